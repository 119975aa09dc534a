"""Claim: stages side by side take at most 0.75 of the time outside training, and stay under 7 GB.

Trains the models of a built-in recipe once. Then runs the rest of it (reading images, exports,
quantizers, timings, verifications, packages) by turns with each executor, starting from the same
models, and compares times and digests. The machine should be quiet.

    python benchmarks/executors.py [--recipe parts] [--rounds 3] [--epochs 1]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edgetl.pipeline.job import recipe_stages

_SHARE = 0.75
_LIMIT_BYTES = 7e9
_BYTES_PER_KIB = 1024
_EXECUTORS = ("serial", "processes")
_EVERY_S = 0.1


def main() -> None:
    """Run by turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="parts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--epochs", type=int, default=1, help="of each training, which is not timed"
    )
    options = parser.parse_args()
    overrides = [f"finetune.epochs={options.epochs}", f"distill.epochs={options.epochs}"]
    stages = recipe_stages(options.recipe, overrides)
    trained = {name for name, stage in stages.items() if stage.root}
    measured = {name for name, stage in stages.items() if stage.measured}
    seconds: dict[str, list[float]] = {name: [] for name in _EXECUTORS}
    peaks: dict[str, list[int]] = {name: [] for name in _EXECUTORS}
    digests: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="edgetl-executors-") as folder:
        base = Path(folder) / "base"
        _run(options.recipe, overrides, base, "processes")
        for turn in range(options.rounds):
            for name in _EXECUTORS if turn % 2 == 0 else _EXECUTORS[::-1]:
                store = Path(folder) / "store"
                for made in (base / "artifacts").iterdir():
                    if made.name in trained:
                        shutil.copytree(made, store / "artifacts" / made.name)
                took, peak = _run(options.recipe, overrides, store, name)
                seconds[name].append(took)
                peaks[name].append(peak)
                digests.append(_digests(store, without={*measured, "package"}))
                shutil.rmtree(store)
    print(f"{options.recipe}, {options.rounds} runs each by turns, outside training")
    print(f"{'executor':<12} {'median s':>9} {'all s':<30} {'peak GB':>8}")
    for name in _EXECUTORS:
        listed = " ".join(f"{each:.1f}" for each in seconds[name])
        median, peak_gb = statistics.median(seconds[name]), max(peaks[name]) / 1e9
        print(f"{name:<12} {median:>9.1f} {listed:<30} {peak_gb:>8.2f}")
    pairs = zip(seconds["processes"], seconds["serial"], strict=True)
    share = statistics.median(beside / alone for beside, alone in pairs)
    _print_verdict(f"share of the time {share:.2f}, at most {_SHARE}", holds=share <= _SHARE)
    peak = max(peaks["processes"])
    _print_verdict(f"memory {peak / 1e9:.2f} GB, at most 7", holds=peak <= _LIMIT_BYTES)
    same = all(each == digests[0] for each in digests)
    _print_verdict(f"digests of {len(digests[0])} artifacts equal in all runs", holds=same)


def _print_verdict(text: str, *, holds: bool) -> None:
    print(f"{text}: {'holds' if holds else 'MISSED'}")


def _run(recipe: str, overrides: Sequence[str], store: Path, executor: str) -> tuple[float, int]:
    """Run a recipe and return the time that it took, seconds, and its peak memory, bytes."""
    sets = [word for each in overrides for word in ("--set", each)]
    folders = ["--store", str(store), "--dist", str(store / "dist")]
    command = [sys.executable, "-m", "edgetl", "run", recipe, *sets, *folders]
    started = time.monotonic()
    with subprocess.Popen(
        [*command, "--executor", executor], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        watch = _Watch(process.pid)
        watch.start()
        _, stderr = process.communicate()
        took = time.monotonic() - started
        watch.join()
    if process.returncode not in {0, 5}:  # a short training may miss a limit
        raise SystemExit(stderr.decode())
    return took, watch.peak_bytes


class _Watch(threading.Thread):
    """Samples the memory of a process and all below it until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._pid = pid

    def run(self) -> None:
        """Sample."""
        while tree := _tree(self._pid):
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, tree)))
            time.sleep(_EVERY_S)


def _tree(pid: int) -> list[int]:
    """Return `pid` and its descendants; nothing once it has ended."""
    try:
        if Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
            return []
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text("ascii").split()
        ]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(child))]


def _proportional_bytes(pid: int) -> int:
    """Return the memory of a process; what several share is divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    kib = next((line.split()[1] for line in lines if line.startswith("Pss:")), "0")
    return int(kib) * _BYTES_PER_KIB


def _digests(store: Path, *, without: set[str]) -> dict[str, str]:
    manifests = [
        json.loads(path.read_text("utf-8")) for path in store.glob("artifacts/*/*/manifest.json")
    ]
    return {each["label"]: each["digest"] for each in manifests if each["stage"] not in without}


if __name__ == "__main__":
    main()
