"""Estimate latencies on a board from the instructions that its core would execute.

The instructions of one inference are counted on the emulated core
(`EmulatedDevice.count_instructions`) and divided by the core's rate, in instructions per second.
The rate is a geometric mean over published single-thread times of well-known detectors on these
boards, each compared with the counts of the same network, built from its paper with random weights
and run by LiteRT 2.3. The band is the largest factor between a published time and the rate's
prediction, and at least `LEAST_FACTOR`. It covers the older versions of LiteRT in the publications,
and non-maximum suppression after the networks, which was timed but not counted. A held-out time, of
YOLOX-Nano on a Raspberry Pi 4, is predicted within 4 %.

The publications timed no other engines. For ONNX Runtime and OpenVINO the rate is that of LiteRT,
and the band is wider by `OTHER_ENGINE_FACTOR`. Caches and memory are not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl.config.target import Target
from edgetl.devices.emulated import CORES, EmulatedDevice, Instructions
from edgetl.errors import UsageError
from edgetl.estimator import Estimate
from edgetl.estimator.graph import FORMATS
from edgetl.runtime.contract import CONTRACT_FILE, Contract
from edgetl.runtime.engines import packages

METHOD = "instructions"
LEAST_FACTOR = 1.5
"""Minimum factor between the estimate and the ends of its band, as there are only a few points."""
OTHER_ENGINE_FACTOR = 1.5

_RATED_FORMAT = "tflite"
_REMEDY = (
    "time it on the board: edgetl profile --device ssh://user@board, then estimate with its profile"
)
_MILLION = 1e6
_MS = 1e3


@dataclass(frozen=True, slots=True)
class Point:
    """A published single-thread time, and the instruction count of the same network."""

    model: str
    core: str
    published_ms: float
    minstructions: float
    """Counted instructions, millions."""
    source: str

    @property
    def rate(self) -> float:
        """Instructions per second."""
        return self.minstructions * _MILLION / (self.published_ms / _MS)


@dataclass(frozen=True, slots=True)
class Rate:
    """Speed of a core and its uncertainty."""

    per_second: float
    spread: float
    """Largest factor between a published time and its prediction by `per_second`."""
    points: int

    @property
    def factor(self) -> float:
        """Factor between the estimate and the ends of its band."""
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
"""Published times on 64-bit systems with one thread.

EfficientDet-Lite on a Raspberry Pi 4 and 5 ran in TensorFlow Lite 2.18, all others in 2.5.
"""


@dataclass(frozen=True, slots=True)
class RatedBoard:
    """The board on which a core's published times were measured."""

    name: str
    ghz: float


BOARDS = {
    "cortex-a53": RatedBoard("Raspberry Pi 3 Model B+", 1.4),
    "cortex-a72": RatedBoard("Raspberry Pi 4 Model B Rev 1.2", 1.5),
    "cortex-a76": RatedBoard("Raspberry Pi 5", 2.4),
}
"""Board of each core, on which its published times were measured."""
_CLOCKS_GHZ = {"Broadcom BCM2710A1": 1.0}
"""Clock rates of chips that run a core slower than its rated board."""


def estimate_by_instructions(model: Path, target: Target) -> Estimate:
    """Estimate the latency of `model` on `target`, single thread, from instruction counts.

    Counting takes seconds to minutes; the counts are cached.

    Args:
        model: A model folder or bundle, or a model file that edgetl exported.
        target: Target whose board has an emulated core.

    Raises:
        UsageError: If `model` is neither, or the target's core is not emulated or has no rate.
        ContractError: If the folder's contract is missing or damaged.
        DeviceError: If the emulated device cannot be set up, or the model does not run there.
        MissingPackageError: If there is no C compiler.
    """
    core = _core(target)
    engine_format, files = _files(model)
    device = EmulatedDevice(core, engines=(packages(engine_format)[0],))
    counts = device.count_instructions(engine_format, files)
    return _estimate(counts, next(iter(files)), engine_format, target)


def rate_of(core: str) -> Rate:
    """Return the rate of `core` from its points.

    Raises:
        KeyError: If it has no points.
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
            f"targets/{target.name}.yaml names no board, so the processor on which to count "
            "instructions is unknown",
            remedy=f"add 'board' with one of the processors {known}, or {_REMEDY}",
        )
    core = target.board.processor.lower()
    if core not in BOARDS or core not in CORES:
        raise UsageError(
            f"instructions cannot be counted for targets/{target.name}.yaml: its processor is "
            f"'{target.board.processor}'; processors with an emulation and a known rate: {known}",
            remedy=_REMEDY,
        )
    return core


def _files(model: Path) -> tuple[str, Mapping[str, Path]]:
    """Return the format of `model` and its files by name, the one to open first."""
    suffix = model.suffix.lower()
    if model.is_dir() or (not model.exists() and suffix not in FORMATS):
        contract = Contract.load(model)
        engine_format, file = contract.format, model / contract.file
    else:
        engine_format, file = FORMATS.get(suffix, ""), model
    if not engine_format or not file.is_file():
        raise UsageError(
            f"'{model}' is not a model file; allowed are {', '.join(FORMATS)} and folders with "
            f"{CONTRACT_FILE}",
            remedy="name a bundle such as dist/rpi4, or a file that edgetl exported",
        )
    files = [file]
    if engine_format == "openvino":
        files.append(file.with_suffix(".bin"))
    return engine_format, {path.name: path for path in files}


def _estimate(counts: Instructions, file: str, engine_format: str, target: Target) -> Estimate:
    core = _core(target)
    rate, board = rate_of(core), BOARDS[core]
    soc = "" if target.board is None else target.board.soc
    ghz = _CLOCKS_GHZ.get(soc, board.ghz)
    rated = engine_format == _RATED_FORMAT
    engine = packages(engine_format)[0]
    factor = rate.factor if rated else rate.factor * OTHER_ENGINE_FACTOR
    per_second = rate.per_second * ghz / board.ghz
    basis = (
        f"{counts.total / _MILLION:.1f} million instructions of {file} on an emulated "
        f"{core.title()}, {counts.dot / counts.total:.0%} of them dot products, at "
        f"{per_second / _MILLION:.0f} million a second ({ghz:g} GHz): {rate.points} published "
        f"times of LiteRT on a {board.name} agree with that within a factor of {rate.spread:.2f}"
    )
    if not rated:
        basis += (
            f"; {engine} is assumed to take as long per instruction, which widens the band by "
            f"{OTHER_ENGINE_FACTOR:g}"
        )
    basis += f"; the band is a factor of {factor:.2g} both ways; one thread"
    if target.threads > 1:
        basis += f" only, though the target uses {target.threads}"
    ms = counts.total / per_second * _MS
    return Estimate(ms, ms / factor, ms * factor, METHOD, basis)
