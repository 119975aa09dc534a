"""Claim: edgetl trains at no less than 0.95 of the speed of a bare PyTorch loop that does the same.

The same network, data, augmentation, loss and running average of the weights (EMA), in the loop of
`edgetl.train.fit` and in a loop of ten lines with `torch.optim.swa_utils.AveragedModel`. The cost
of augmentation and of the average is shown apart: the bare loop without either has its batches
made before. All take turns of some steps in one process; each ratio is the median of the turns'
ratios, with the interval of their order statistics.

    python benchmarks/training_overhead.py [--rounds 9] [--steps 10] [--only classification]
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgetl.api.console import Console
from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, as_detector
from edgetl.pipeline.execute import Finder, run_nodes
from edgetl.pipeline.job import load_job
from edgetl.pipeline.planner import all_stages, plan_round
from edgetl.runtime.paired import Rounds, ratio
from edgetl.stages._phases import finetune_phases
from edgetl.store.store import Store
from edgetl.tasks.classification import classifiers
from edgetl.tasks.detection import detectors
from edgetl.train.fit import fit
from edgetl.train.interfaces import LABELLED, RunContext, TrainingSetup

_LIMIT = 0.95
_CASES = {
    "classification": ("parts", ["data.synthetic.images=600", "input.size=96"]),
    "detection": ("detect-parts", ["data.synthetic.images=140", "input.size=416"]),
}


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    steps: int
    """Timed in a turn; one more comes before."""
    module: nn.Module
    setup: TrainingSetup[Any]
    training: Any


def main() -> None:
    """Time all loops in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a turn")
    parser.add_argument("--only", choices=_CASES)
    given = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {given.rounds} rounds of {given.steps} steps")
    print(f"{'network':<28}{'loop':<36}{'images/s':>9}  relative to a bare loop")
    for task in [given.only] if given.only else _CASES:
        with tempfile.TemporaryDirectory() as folder:
            _compare(_case(Path(folder), *_CASES[task], given.steps), given.rounds)


def _compare(case: _Case, rounds: int) -> None:
    name = case.name
    batches = case.setup.streams[LABELLED]
    prepared = list(itertools.islice(batches.epoch(1), case.steps + 1))
    loops: dict[str, Callable[[], float]] = {
        "bare": lambda: _bare(case, itertools.cycle(prepared), average=False),
        "bare, augmentation": lambda: _bare(case, _epochs(case), average=False),
        "bare, EMA": lambda: _bare(case, itertools.cycle(prepared), average=True),
        "bare, augmentation and EMA": lambda: _bare(case, _epochs(case), average=True),
        "edgetl, augmentation and EMA": lambda: _edgetl(case),
    }
    seconds: dict[str, list[float]] = {loop: [] for loop in loops}
    for number in range(rounds):
        order = list(loops.items())
        for loop, turn in order[number % len(order) :] + order[: number % len(order)]:
            seconds[loop].append(turn())
    images = case.steps * case.training.batch_size
    timed = {loop: Rounds(each, [False] * rounds) for loop, each in seconds.items()}
    for loop, each in timed.items():
        # The speed is the inverse of the time.
        speed = ratio(timed["bare"], each)
        interval = f"{speed.value:.3f} [{speed.low:.3f} {speed.high:.3f}]"
        print(f"{name:<28}{loop:<36}{images / each.typical:>9.1f}  {interval}")
    ours, theirs = timed["edgetl, augmentation and EMA"], timed["bare, augmentation and EMA"]
    speed = ratio(theirs, ours)
    verdict = "holds" if speed.value >= _LIMIT else "MISSED"
    print(
        f"{name:<28}edgetl / the same bare loop: {speed.value:.3f} [{speed.low:.3f} "
        f"{speed.high:.3f}]; limit {_LIMIT}: {verdict}"
    )


def _epochs(case: _Case) -> Iterator[Any]:
    return itertools.chain.from_iterable(
        map(case.setup.streams[LABELLED].epoch, itertools.count(1))
    )


def _bare(case: _Case, batches: Iterable[Any], *, average: bool) -> float:
    """Return the seconds of the timed steps of a bare loop."""
    module = copy.deepcopy(case.module).to(memory_format=torch.channels_last).train()
    optimizer = AdamW(module.parameters(), lr=case.training.lr)
    averaged = None
    if average:
        averaged = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(case.training.ema))
    started = 0.0
    for step, batch in enumerate(batches):
        if step == 1:
            started = time.perf_counter()
        loss = case.setup.objective.loss(module, {LABELLED: batch})
        optimizer.zero_grad()
        loss.backward()
        if case.training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), case.training.clip_norm)
        optimizer.step()
        if averaged is not None:
            averaged.update_parameters(module)
        if step == case.steps:
            break
    return time.perf_counter() - started


class _Enough(Exception):  # noqa: N818 - ends a turn, no failure
    pass


def _edgetl(case: _Case) -> float:
    """Return the seconds of the same steps in the loop of edgetl."""
    ended: list[float] = []

    def step(done: int, total: int, text: str) -> None:
        del done, total, text
        ended.append(time.perf_counter())
        if len(ended) == case.steps + 1:
            raise _Enough

    try:
        fit(
            copy.deepcopy(case.module),
            case.setup,
            training=case.training,
            run_context=RunContext(device="cpu", step=step, note=lambda _: None),
        )
    except _Enough:
        return ended[-1] - ended[0]
    raise ValueError("an epoch is shorter than a turn")


def _case(folder: Path, recipe: str, changes: list[str], steps: int) -> _Case:
    store, stages = Store(folder), all_stages()
    job = load_job(recipe, changes, store, stages)
    teacher = job.recipe.teacher
    if teacher is None:
        raise ValueError("the recipe trains a teacher")
    plan = plan_round(job, stages, Finder(store, stages).find)
    nodes = [node for node in plan.nodes if node.stage in {"index", "view"}]
    artifacts = run_nodes(nodes, store, stages, Console(quiet=True))
    dataset = Dataset.open(artifacts[nodes[-1]].folder)
    family = FAMILIES.load(teacher.family)
    module = family.build(width=teacher.width, num_classes=len(dataset.classes), seed=0)
    (phase,) = finetune_phases(job, teacher)
    setup: TrainingSetup[Any]
    if job.recipe.task == "classification":
        setup = classifiers.setup(dataset, family, phase)
    else:
        setup = detectors.setup(dataset, as_detector(family), phase)
    name = f"{teacher.family}, {dataset.preprocess.width} px"
    return _Case(name, steps, module, setup, phase.training)


if __name__ == "__main__":
    main()
