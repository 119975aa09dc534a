"""Claim: a few hundred labelled images make a detector of a COCO file, and its int8 files keep it.

`edgetl run` fine-tunes YOLOX-Nano from WEIGHTS, a file of the official layout, on the labelled
boxes in DATA (any layout), with int8 calibrated as `calibration/detection-100.yaml` says. With
--student, a student is distilled from it, and trained once more on labels alone. Test images are
the data's own split where it has one. Printed are accuracies on them and minutes of training.

    python benchmarks/fine_tune_detector.py DATA WEIGHTS [--leave-out FINDING] [--work FOLDER]
        [--size 416] [--epochs 15] [--student FAMILY FILE] [--student-epochs 10]

With `--work`, what was made is kept there, and used by the next call.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from edgetl.facts.package import CandidateRow, PackageFacts
from edgetl.facts.scores import Score
from edgetl.facts.training import TrainingFacts
from edgetl.report.record import Run, last_run
from edgetl.store.store import Store
from edgetl.types import Facts

_NAME = "fine-tuned"
_S_PER_MINUTE = 60


def main() -> None:
    """Run the recipe and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--leave-out", action="append", default=[], metavar="FINDING")
    parser.add_argument("--work", type=Path, metavar="FOLDER")
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--student", nargs=2, metavar=("FAMILY", "FILE"))
    parser.add_argument("--student-epochs", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgetl-fine-tune-") as name:
        work = given.work or Path(name)
        recipe = work / "recipe.yaml"
        work.mkdir(parents=True, exist_ok=True)
        recipe.write_text(yaml.safe_dump(_recipe(given)), encoding="utf-8")
        command = [sys.executable, "-m", "edgetl", "run", recipe.name]
        # 5: no file held the limits, which is what is to be seen.
        if subprocess.run(command, cwd=work, check=False).returncode not in {0, 5}:
            raise SystemExit(f"{' '.join(command)} failed")
        artifacts = last_run(Store(work / ".edgetl"), _NAME, " ".join(command))
        _tell(Run(name=_NAME, recipe={}, artifacts=artifacts))


def _recipe(given: argparse.Namespace) -> Facts:
    recipe: Facts = {
        "name": _NAME,
        "task": "detection",
        "data": {"path": str(given.data.resolve()), "drop": given.drop},
        "input": {"size": given.size, "fit": "letterbox"},
        "teacher": {"family": "yolox_nano", "weights": str(given.weights.resolve())},
        "finetune": {"epochs": given.epochs},
        "calibration": "detection-100",
        "targets": ["host"],
        # Only accuracy is claimed.
        "benchmark": {"seconds": 0.1, "count": 24, "runs": 3},
    }
    if given.student:
        family, weights = given.student
        recipe["student"] = {"family": family, "weights": str(Path(weights).resolve())}
        recipe["distill"] = {"epochs": given.student_epochs, "control": True}
    return recipe


def _tell(run: Run) -> None:
    print(f"\n{'model':<36} {'mAP':>6} {'interval':<16} {'mAP50':>6} {'minutes':>8}")
    for role, artifact in run.trained.items():
        facts = artifact.read(TrainingFacts)
        minutes = f"{artifact.manifest.seconds / _S_PER_MINUTE:>8.1f}"
        if facts.test is not None:
            _row(f"{role}: {facts.family}", facts.test, facts.test.figures["map50"], minutes)
    if run.comparison and run.comparison.gain:
        gain = run.comparison.gain
        print(
            f"gain by the teacher: {gain.pp:+.1f} points of AP "
            f"[{gain.low_pp:+.1f}, {gain.high_pp:+.1f}]"
        )
    print(f"\n{'file':<36} {'mAP':>6} {'interval':<16} {'mAP50':>6} {'drop':>8}")
    for row in run.packages[0].read(PackageFacts).rows:
        _row(row.candidate.name, row, row.others["mAP50"], f"{row.drop_pp:>z8.1f}")


def _row(name: str, score: Score | CandidateRow, map50: float | None, last: str) -> None:
    interval = f"[{score.low:.3f}, {score.high:.3f}]"
    print(f"{name:<36} {score.value:>6.3f} {interval:<16} {map50 or 0.0:>6.3f} {last}")


if __name__ == "__main__":
    main()
