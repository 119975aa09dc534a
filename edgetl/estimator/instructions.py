"""Milliseconds of a board that is not at hand, from the instructions that its core would execute.

One inference is counted on the emulated core (`edgetl.devices._instructions`) and divided by a
rate: how many instructions a second such a core gets through. The rate of a core is the geometric
mean of published single-thread times of well-known detectors on these very boards, set against
counts of the same networks, built from their papers with random weights and run by LiteRT 2.3. Its
band is the largest factor between a published time and what the rate gives for it, and never less
than `LEAST_FACTOR`. That holds LiteRT's older versions, which the times are of, and the suppression
behind the networks, which was timed but not counted. A time that was left out, of YOLOX-Nano on a
Raspberry Pi 4, is met within 4 %.

No other engine was timed in these sources: for ONNX Runtime and OpenVINO the rate is LiteRT's, and
the band is wider by `OTHER_ENGINE_FACTOR`. Caches and memory are not seen at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl.config.target import Target
from edgetl.devices._cpu_files import CORES
from edgetl.devices._instructions import Instructions, count_instructions
from edgetl.devices.emulated import EmulatedDevice
from edgetl.errors import UsageError
from edgetl.estimator import Estimate
from edgetl.estimator.graph import FORMATS
from edgetl.runtime.contract import CONTRACT_FILE, Contract
from edgetl.runtime.engines import packages

METHOD = "instructions"
LEAST_FACTOR = 1.5
"""The band's ends are at least this far from the middle; there are only a few points."""
OTHER_ENGINE_FACTOR = 1.5

_RATED_FORMAT = "tflite"
_REMEDY = "time it there: edgetl profile --device ssh://user@board, then estimate with its profile"
_MILLION = 1e6
_MS = 1e3


@dataclass(frozen=True, slots=True)
class Point:
    """A published single-thread time, and the instructions of the same network here."""

    model: str
    core: str
    published_ms: float
    minstructions: float
    """Counted, millions."""
    source: str

    @property
    def rate(self) -> float:
        """Instructions per second."""
        return self.minstructions * _MILLION / (self.published_ms / _MS)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a core is, and how well that is known."""

    per_second: float
    spread: float
    """The largest factor between a published time and what `per_second` gives for it."""
    points: int

    @property
    def factor(self) -> float:
        """How far the ends of the band are from the middle."""
        return max(LEAST_FACTOR, self.spread)


_BENCHMARKS = "https://github.com/NobuoTsukamoto/benchmarks/tree/main/tensorflow/lite"
_EFFICIENTDET = f"{_BENCHMARKS}/efficentdet, mean of one thread"
_SSD = f"{_BENCHMARKS}/tf1_detection_model_zoo, mean of one thread"

POINTS = (
    Point("EfficientDet-Lite0 320 fp32", "cortex-a53", 720.83, 618.4, _EFFICIENTDET),
    Point("SSDLite MobileNetV2 300 fp32", "cortex-a53", 349.29, 463.4, _SSD),
    Point("EfficientDet-Lite0 320 fp32", "cortex-a72", 328.65, 414.8, _EFFICIENTDET),
    Point("SSDLite MobileNetV2 300 fp32", "cortex-a72", 210.46, 316.5, _SSD),
    Point("SSDLite MobileNetV2 300 int8", "cortex-a72", 168.15, 263.7, _SSD),
    Point("EfficientDet-Lite0 320 fp32", "cortex-a76", 104.01, 403.3, _EFFICIENTDET),
    Point("EfficientDet-Lite0 320 int8", "cortex-a76", 44.20, 173.9, _EFFICIENTDET),
)
"""Times that their measurer published, of 64-bit systems and one thread, in milliseconds.

EfficientDet-Lite on a Raspberry Pi 4 and 5 ran in TensorFlow Lite 2.18, all else in 2.5.
"""


@dataclass(frozen=True, slots=True)
class RatedBoard:
    """The board that a core's published times are of."""

    name: str
    ghz: float


BOARDS = {
    "cortex-a53": RatedBoard("Raspberry Pi 3 Model B+", 1.4),
    "cortex-a72": RatedBoard("Raspberry Pi 4 Model B Rev 1.2", 1.5),
    "cortex-a76": RatedBoard("Raspberry Pi 5", 2.4),
}
"""Core to board, both of the times and of the rate."""
_CLOCKS_GHZ = {"Broadcom BCM2710A1": 1.0}
"""Chips of targets that run a core slower than the board that it is rated on."""


def estimate_by_instructions(model: Path, target: Target) -> Estimate:
    """Return what one inference of `model` takes on `target`, single thread, from instructions.

    Counting takes seconds to minutes, once; the counts are kept.

    Args:
        model: A model folder or bundle, or a model file that edgetl exported.
        target: Its board names the core.

    Raises:
        UsageError: If `model` is neither, or the target's core is not emulated or has no rate.
        ContractError: If the folder's contract is missing or damaged.
        DeviceError: If the emulated device cannot be made, or the model does not run there.
        MissingPackageError: If there is no C compiler.
    """
    core = _core(target)
    engine_format, files = _files(model)
    device = EmulatedDevice(core, engines=(packages(engine_format)[0],))
    counted = count_instructions(device, engine_format, files)
    return _estimate(counted, next(iter(files)), engine_format, target)


def rate_of(core: str) -> Rate:
    """Return the rate of `core` from its points.

    Raises:
        KeyError: If there are no points of it.
    """
    rates = [point.rate for point in POINTS if point.core == core]
    if not rates:
        raise KeyError(core)
    middle = math.exp(sum(map(math.log, rates)) / len(rates))
    spread = max(max(rate / middle, middle / rate) for rate in rates)
    return Rate(middle, spread, len(rates))


def _core(target: Target) -> str:
    known = ", ".join(name.title() for name in BOARDS)
    if target.board is None:
        raise UsageError(
            f"targets/{target.name}.yaml does not say which processor its board has, so there is "
            "nothing to count instructions on",
            remedy=f"add 'board' with a processor among {known}, or {_REMEDY}",
        )
    core = target.board.processor.lower()
    if core not in BOARDS or core not in CORES:
        raise UsageError(
            f"instructions cannot be counted for targets/{target.name}.yaml: its processor is "
            f"'{target.board.processor}'; emulated, with a known rate, are {known}",
            remedy=_REMEDY,
        )
    return core


def _files(model: Path) -> tuple[str, Mapping[str, Path]]:
    """Return the format of `model` and its files by name, the one to open first."""
    if model.is_dir() or (not model.exists() and model.suffix not in FORMATS):
        contract = Contract.load(model)
        engine_format, file = contract.format, model / contract.file
    else:
        engine_format, file = FORMATS.get(model.suffix, ""), model
    if not engine_format or not file.is_file():
        raise UsageError(
            f"'{model}' is no model file; known are {', '.join(FORMATS)} and folders with "
            f"{CONTRACT_FILE}",
            remedy="name a bundle such as dist/rpi4, or a file that edgetl exported",
        )
    files = [file]
    if engine_format == "openvino":
        files.append(file.with_suffix(".bin"))
    return engine_format, {path.name: path for path in files}


def _estimate(counted: Instructions, file: str, engine_format: str, target: Target) -> Estimate:
    core = _core(target)
    rate, board = rate_of(core), BOARDS[core]
    soc = "" if target.board is None else target.board.soc
    ghz = _CLOCKS_GHZ.get(soc, board.ghz)
    rated = engine_format == _RATED_FORMAT
    engine = packages(engine_format)[0]
    factor = rate.factor if rated else rate.factor * OTHER_ENGINE_FACTOR
    per_second = rate.per_second * ghz / board.ghz
    basis = (
        f"{counted.total / _MILLION:.1f} million instructions of {file} on an emulated "
        f"{core.title()}, {counted.dot / counted.total:.0%} of them dot products, at "
        f"{per_second / _MILLION:.0f} million a second ({ghz:g} GHz): {rate.points} published "
        f"times of LiteRT on a {board.name} agree with that within a factor of {rate.spread:.2f}"
    )
    if not rated:
        basis += (
            f"; {engine} is taken to be as fast an instruction, which widens the "
            f"band by {OTHER_ENGINE_FACTOR:g}"
        )
    basis += f"; the band is a factor of {factor:.2g} both ways; one thread"
    if target.threads > 1:
        basis += f" only, though the target uses {target.threads}"
    ms = counted.total / per_second * _MS
    return Estimate(ms, ms / factor, ms * factor, METHOD, basis)
