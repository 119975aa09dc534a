"""Claim: answering one image from a cold start costs at most 1.3 times what it costs by hand.

By hand means the shortest program with onnxruntime and Pillow that gives the same answer. Both run
in fresh processes, by turns; time is measured around the process, memory is its own peak. Python
keeps compiled modules, as it does on a device; without, edgetl's are compiled each time.

    python benchmarks/cold_predict.py [--runs 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_SIZE = 224
_LIMIT = 1.3

_BY_HAND = """
import sys
import numpy as np
import onnxruntime
from PIL import Image

model, labels, path = sys.argv[1:]
image = Image.open(path).convert("RGB")
scale = min(224 / image.width, 224 / image.height)
width, height = round(image.width * scale), round(image.height * scale)
canvas = Image.new("RGB", (224, 224), (114, 114, 114))
resized = image.resize((width, height), Image.Resampling.BILINEAR)
canvas.paste(resized, ((224 - width) // 2, (224 - height) // 2))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {"image": np.asarray(canvas, np.float32)[None]})
exponentials = np.exp(logits[0] - logits[0].max())
probabilities = exponentials / exponentials.sum()
best = int(probabilities.argmax())
print(f"{path}: {open(labels).read().splitlines()[best]} {probabilities[best]:.4f}")
"""

# Runs a program the way Python would, and tells its peak memory when it ends.
_WITH_PEAK = """
import atexit, runpy, sys
def tell():
    with open("/proc/self/status") as status:
        sys.stderr.write(next(line for line in status if line.startswith("VmHWM")))
atexit.register(tell)
kind, name = sys.argv[1:3]
del sys.argv[1:3]
if kind == "module":
    runpy.run_module(name, run_name="__main__", alter_sys=True)
else:
    runpy.run_path(name, run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One cold process."""

    seconds: float
    peak_kib: int
    answer: str


def main() -> None:
    """Make a model, run both programs by turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15, help="processes of each kind (15)")
    num_runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="edgetl-cold-") as name:
        folder = Path(name)
        _make_model(folder)
        image = folder / "image.jpg"
        _draw(image)
        by_hand = folder / "by_hand.py"
        by_hand.write_text(_BY_HAND, encoding="utf-8")
        commands: dict[str, list[str | Path]] = {
            "by hand": ["file", by_hand, folder / "model.onnx", folder / "labels.txt", image],
            "edgetl.runtime": ["module", "edgetl.runtime", "predict", folder, image],
        }
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs: dict[str, list[Run]] = {kind: [] for kind in commands}
        for turn in range(num_runs + 1):
            for kind, command in commands.items():
                run = _run(command, environment)
                if turn:  # the first one compiles modules and fills the file cache
                    runs[kind].append(run)
    _report(runs)


def _make_model(folder: Path) -> None:
    import torch
    from torchvision.models import mobilenet_v2

    from edgetl.exporters import EXPORTERS
    from edgetl.nn.layers import RawPixels
    from edgetl.runtime.contract import Contract, OutputSpec
    from edgetl.runtime.inputs import ImageInput
    from edgetl.runtime.model_files import describe_files
    from edgetl.runtime.preprocess import Preprocess

    torch.manual_seed(0)
    network = mobilenet_v2(weights=None, num_classes=10)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    module = RawPixels(network, mean, std, row=_SIZE).eval()
    exporter = EXPORTERS.load("onnx")
    tensors = exporter.export(
        module, {"image": torch.zeros(1, _SIZE, _SIZE, 3)}, ("logits",), folder
    )
    Contract(
        task="classification",
        labels=tuple(f"class {index}" for index in range(10)),
        format="onnx",
        files=describe_files(folder, exporter.files),
        precision="fp32",
        inputs=(
            ImageInput("image", "image", Preprocess(_SIZE, _SIZE, "letterbox", "bilinear", 114)),
        ),
        outputs=(OutputSpec("logits", tensors["logits"], (1, 10), "logits"),),
    ).save(folder)


def _draw(image: Path) -> None:
    import numpy as np
    from PIL import Image

    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((1280, 960), Image.Resampling.BICUBIC).save(image)


def _run(command: list[str | Path], environment: dict[str, str]) -> Run:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _WITH_PEAK, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    peak = next(line for line in done.stderr.splitlines() if line.startswith("VmHWM"))
    return Run(seconds, int(peak.split()[1]), done.stdout.strip())


def _report(runs: dict[str, list[Run]]) -> None:
    # The path, which is printed in front, is a temporary one.
    predictions = {run.answer.rpartition(": ")[2] for found in runs.values() for run in found}
    print(f"predictions: {', '.join(sorted(predictions))}")
    print(f"{'':<16}{'median s':>10}{'spread s':>18}{'peak MiB':>10}")
    medians: dict[str, tuple[float, float]] = {}
    for kind, found in runs.items():
        seconds = [run.seconds for run in found]
        peak_mib = statistics.median(run.peak_kib for run in found) / 1024
        medians[kind] = statistics.median(seconds), peak_mib
        spread = f"{min(seconds):.3f}..{max(seconds):.3f}"
        print(f"{kind:<16}{medians[kind][0]:>10.3f}{spread:>18}{peak_mib:>10.1f}")
    time_ratio, peak_ratio = (
        ours / theirs
        for ours, theirs in zip(medians["edgetl.runtime"], medians["by hand"], strict=True)
    )
    print(f"{'ratio':<16}{time_ratio:>10.2f}{'':>18}{peak_ratio:>10.2f}   limit {_LIMIT}")


if __name__ == "__main__":
    main()
