"""What adaptive batch normalisation brings on another domain than that of the labels.

    python benchmarks/adapt.py OFFICE WEIGHTS [--source webcam] [--target amazon] [--seeds 3]

OFFICE holds one folder per domain with one folder per class each (for example Office-Caltech-10);
WEIGHTS is an ImageNet file of MobileNetV2. The target's images are halved by their content: one
half is `unlabelled`, the other `evaluation`. The transductive run adapts to the second half itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_RECIPE = """\
name: adapt
task: classification
data: {{path: {source}, seed: 0, drop: [duplicates]}}
unlabelled: {{path: {unlabelled}, transductive: {transductive}}}
evaluation: {{path: {evaluation}}}
input: {{size: 160, fit: stretch}}
teacher:
  family: mobilenet_v2
  weights: {weights}
  refine: [{{adapt: {{method: bn-statistics}}}}]
finetune: {{strategy: probe-then-full, epochs: 8}}
calibration: few
targets: [none]
seed: {seed}
"""
_TARGET = (
    "name: none\ndescription: no device\ndevice: null\nthreads: 1\ncandidates: {onnx: [fp32]}\n"
)
_CALIBRATION = "name: few\nsplit: train\ncount: 32\nsampling: random\n"


def main() -> None:
    """Run every seed with both choices of unlabelled images and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("office", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--source", default="webcam")
    parser.add_argument("--target", default="amazon")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.source} -> {options.target}, MobileNetV2 160 px, top-1 on the evaluation half")
    print(f"{'seed':<5} {'unlabelled':<13} {'before':>7} {'after':>7}  gain, 95 % interval")
    with tempfile.TemporaryDirectory(prefix="edgetl-adapt-") as name:
        folder = Path(name)
        halves = _halves(options.office / options.target, folder)
        (folder / "targets").mkdir()
        (folder / "targets" / "none.yaml").write_text(_TARGET, encoding="utf-8")
        (folder / "calibration").mkdir()
        (folder / "calibration" / "few.yaml").write_text(_CALIBRATION, encoding="utf-8")
        for seed in range(options.seeds):
            for transductive in (False, True):
                facts = _run(
                    folder,
                    source=(options.office / options.source).resolve(),
                    unlabelled=halves[1 if transductive else 0],
                    evaluation=halves[1],
                    weights=options.weights.resolve(),
                    transductive=str(transductive).lower(),
                    seed=seed,
                )
                before, after = facts["steps"]
                gain = after["gain"]
                kind = "transductive" if after["transductive"] else "other half"
                print(
                    f"{seed:<5} {kind:<13} {before['score']['value']:>7.3f} "
                    f"{after['score']['value']:>7.3f}  {gain['pp']:+.1f} pp "
                    f"[{gain['low_pp']:+.1f}, {gain['high_pp']:+.1f}]",
                    flush=True,
                )


def _halves(domain: Path, folder: Path) -> tuple[Path, Path]:
    """Copy the images of a domain into two folders by content; return unlabelled, evaluation."""
    halves = folder / "unlabelled", folder / "evaluation"
    for path in sorted(domain.rglob("*")):
        if path.is_file() and path.parent.parent == domain:
            digest = hashlib.sha256(path.read_bytes()).digest()
            place = halves[digest[0] % 2] / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return halves


def _run(folder: Path, **fields: object) -> dict[str, Any]:
    """Run the recipe and return the facts of the chain."""
    (folder / "recipe.yaml").write_text(_RECIPE.format(**fields), encoding="utf-8")
    command = [sys.executable, "-m", "edgetl", "run", "recipe.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 5}:  # 5: no device has timed the model
        sys.exit(done.stderr)
    facts: dict[str, Any] = json.loads(done.stdout)["artifacts"]["evaluate teacher"]["facts"]
    return facts


if __name__ == "__main__":
    main()
