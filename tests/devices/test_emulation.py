"""Real emulation: programs run on Debian and wheels, which are downloaded if necessary.

Needs the network once, so it is not part of the default tests. Bundles on Cortex-A72 and A76 are
tested in `tests/system/test_emulated_boards.py`. Tolerances: the same engine with other kernels
adds floats in a different order, 1e-4 of the outputs' range; integers differ by at most one step of
255.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgetl.config.calibration import Int8Table
from edgetl.devices import Device, open_device
from edgetl.devices.local import LocalDevice
from edgetl.errors import DeviceError
from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels
from edgetl.quantizers import QUANTIZERS, for_format
from edgetl.runtime.bundle import runtime_files
from edgetl.types import Precision

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.timeout(1200),
]

BOARDS = {
    "emulated:cortex-a53": ("onnx", "tflite"),
    # Not a default engine; refuses int8 files on cores without dot products.
    "emulated:cortex-a76?engine=openvino": ("openvino",),
}
"""Formats to run by address."""
ALLOWED = {"fp32": 1e-4, "int8": 1 / 255}
_TIMEOUT_S = 300.0
_PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from edgetl.runtime.engines import open_session
session = open_session(sys.argv[1], Path(sys.argv[2]), 1)
rows = [session.run({"image": image[None]}) for image in np.load("images.npy")]
np.save("outputs.npy", np.concatenate([next(iter(row.values())) for row in rows]))
"""


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    blocks = np.random.default_rng(0).integers(10, 201, (8, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def models(
    images: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[tuple[str, str], Path]:
    """Return files of a small network with depthwise convolutions, by format and precision."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.Hardswish(),
        nn.Conv2d(16, 16, 3, 2, 1, groups=16),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    module = RawPixels(network, (0.5, 0.4, 0.3), (0.2, 0.2, 0.25)).eval()
    files: dict[tuple[str, str], Path] = {}
    for name in sorted({name for names in BOARDS.values() for name in names}):
        exporter, quantizer = EXPORTERS.load(name), QUANTIZERS.load(for_format(name) or "")
        folders = {each: tmp_path_factory.mktemp(f"{name}-{each}") for each in ALLOWED}
        exporter.export(module, {"image": torch.zeros(1, 64, 64, 3)}, ("logits",), folders["fp32"])
        model = folders["fp32"] / exporter.file
        quantizer.quantize(model, {"image": images}, Precision.INT8, Int8Table(), folders["int8"])
        files |= {(name, each): folder / exporter.file for each, folder in folders.items()}
    return files


def predictions(
    device: Device, models: Mapping[tuple[str, str], Path], images: NDArray[np.uint8], work: Path
) -> dict[tuple[str, str], NDArray[np.float32]]:
    work.mkdir()
    (work / "predict.py").write_text(_PROGRAM)
    np.save(work / "images.npy", images)
    outputs: dict[tuple[str, str], NDArray[np.float32]] = {}
    with device.connect() as connection:
        files = {name: work / name for name in ("predict.py", "images.npy")}
        connection.put({**runtime_files(), **files})
        for (name, precision), file in models.items():
            connection.put({path.name: path for path in file.parent.iterdir()})
            connection.run(["predict.py", name, file.name], timeout_s=_TIMEOUT_S)
            connection.get(["outputs.npy"], work)
            outputs[name, precision] = np.load(work / "outputs.npy")
    return outputs


@pytest.mark.parametrize("address", BOARDS)
def test_predictions_match_those_of_this_machine(
    address: str,
    models: Mapping[tuple[str, str], Path],
    images: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    tested = {key: file for key, file in models.items() if key[0] in BOARDS[address]}

    here = predictions(LocalDevice(), tested, images, tmp_path / "here")
    there = predictions(open_device(address), tested, images, tmp_path / "there")

    for (name, precision), expected in here.items():
        worst = np.abs(there[name, precision] - expected).max()
        assert worst <= ALLOWED[precision] * np.ptp(expected), (name, precision)


@pytest.mark.parametrize(
    ("address", "python"),
    [("emulated:cortex-a72", "3.11"), ("emulated:cortex-a76?system=trixie", "3.13")],
)
def test_description_is_of_an_emulated_arm_processor(address: str, python: str) -> None:
    device = open_device(address)

    facts = device.describe()

    assert facts["machine"] == "aarch64"
    cpu = facts["emulation"]["cpu"]
    assert address.startswith(f"emulated:{cpu}")
    assert facts["processor"] == f"emulated {cpu}"
    assert facts["provenance"] == device.provenance == "emulated"
    assert json.loads(json.dumps(facts)) == facts
    with device.connect() as connection:
        code = "import sys, numpy, PIL.Image, onnxruntime; print('%d.%d' % sys.version_info[:2])"
        assert connection.run(["-c", code], timeout_s=_TIMEOUT_S).strip() == python


def test_this_machines_packages_are_not_importable() -> None:
    code = "import sys; print(*sys.path, sep='\\n')"

    with open_device("emulated:cortex-a72").connect() as connection:
        paths = [path for path in connection.run(["-c", code], timeout_s=60).splitlines() if path]
        with pytest.raises(DeviceError, match=r"No module named 'edgetl'"):
            connection.run(["-c", "import edgetl"], timeout_s=60)

    kept = str(Path.home() / ".cache" / "edgetl" / "emulated")
    assert [path for path in paths if path.startswith(kept)] == paths[:3]
    assert all("/edgetl-emulated-" in path for path in paths[3:])


def test_command_is_killed_at_its_time_limit() -> None:
    with (
        open_device("emulated:cortex-a72").connect() as connection,
        pytest.raises(DeviceError, match=r"took longer than 1 s"),
    ):
        connection.run(["-c", "import time; time.sleep(60)"], timeout_s=1.0)


def test_remedy_for_a_missing_engine_names_an_address_with_it() -> None:
    with (
        open_device("emulated:cortex-a76").connect() as connection,
        pytest.raises(DeviceError, match=r"No module named 'openvino'") as caught,
    ):
        connection.run(["-c", "import openvino"], timeout_s=60)

    remedy = "use --device 'emulated:cortex-a76?engine=...' with the engine openvino"
    assert caught.value.remedy == remedy


def test_processor_has_only_the_features_of_its_core() -> None:
    """HWCAP in the auxiliary vector describes the emulated core; bit 20 is the dot product."""
    code = (
        "import ctypes; f = ctypes.CDLL(None).getauxval; f.restype = ctypes.c_ulong; "
        "print(f(16) >> 20 & 1, open('/proc/cpuinfo').read().count('asimddp'))"
    )

    for cpu, expected in (("cortex-a72", "0 0"), ("cortex-a76", "1 4")):
        with open_device(f"emulated:{cpu}").connect() as connection:
            assert connection.run(["-c", code], timeout_s=60).strip() == expected
