from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.exporters import EXPORTERS
from edgetl.hashing import digest_folder
from edgetl.runtime.engines import TensorInfo, formats, open_session

NAMES = EXPORTERS.names()

EXPORT_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import torch
from torch import nn
from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Hardswish(), nn.Flatten(), nn.Linear(8 * 9, 3))
module = RawPixels(network, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).eval()
exporter = EXPORTERS.load(sys.argv[1])
exporter.export(module, {"image": torch.zeros(1, 8, 8, 3)}, ("logits",), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("name", NAMES)
def test_exporter_is_named_after_its_format_and_lists_what_it_needs(name: str) -> None:
    exporter = EXPORTERS.load(name)

    assert exporter.format == name
    assert exporter.files[0] == exporter.file
    assert name in formats(), "an engine runs it"
    assert EXPORTERS.stamp(name)
    assert EXPORTERS.extra_of(name) or not exporter.requires
    assert all(version(tool) for tool in exporter.tools)


@pytest.mark.parametrize("name", NAMES)
def test_exported_file_agrees_with_torch(
    name: str, tiny: Any, exported: Callable[[str], Any]
) -> None:
    exported_model = exported(name)
    session = open_session(name, exported_model.folder / EXPORTERS.load(name).file, 1)

    predictions = [session.run({"image": image[np.newaxis]}) for image in tiny.images]

    assert tuple(exported_model.tensors) == ("logits", "features")
    for output, tensor in exported_model.tensors.items():
        together = np.concatenate([answer[tensor] for answer in predictions])
        np.testing.assert_allclose(together, tiny.outputs[output], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_exported_input_takes_float_pixels_and_is_called_image(
    name: str, exported: Callable[[str], Any]
) -> None:
    session = open_session(name, exported(name).folder / EXPORTERS.load(name).file, 1)

    assert session.inputs == (TensorInfo("image", (1, 32, 32, 3), "float32", None, None),)


@pytest.mark.parametrize("name", NAMES)
def test_exporter_writes_the_files_that_it_lists_and_no_path(
    name: str, exported: Callable[[str], Any]
) -> None:
    folder = exported(name).folder

    assert sorted(path.name for path in folder.iterdir()) == sorted(EXPORTERS.load(name).files)
    for path in folder.iterdir():
        content = path.read_bytes()
        for private in (str(Path.home()), str(folder), sys.prefix, ".py"):
            assert private.encode() not in content, f"{path.name} holds {private}"


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_export_the_same_bytes(name: str, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second folder"]
    for folder in folders:
        folder.mkdir()

    command = [sys.executable, "-c", EXPORT_IN_ANOTHER_PROCESS, name]
    running = [
        subprocess.Popen(
            [*command, str(folder)],
            cwd=folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for folder in folders
    ]
    said = [process.communicate()[0] for process in running]

    assert said == [b"", b""], "an exporter prints nothing"
    assert digest_folder(folders[0]) == digest_folder(folders[1])
    assert set(digest_folder(folders[0])) == set(EXPORTERS.load(name).files)


@pytest.mark.parametrize("name", NAMES)
def test_module_in_training_mode_is_refused(name: str, tiny: Any, tmp_path: Path) -> None:
    module = type(tiny.module)(tiny.module.module, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).train()

    with pytest.raises(ValueError, match=r"must be in evaluation mode; call module\.eval"):
        EXPORTERS.load(name).export(module, {"image": tiny.example}, tiny.names, tmp_path)
    module.eval()
