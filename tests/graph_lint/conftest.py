"""A tiny detection head in two forms: all in one tensor, or boxes and scores apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels

SIZE = 32
FILES = {"onnx": "model.onnx", "tflite": "model.tflite"}


FLOAT = 1
Shape = Sequence[int | str]


class Head(nn.Module):
    """Answers with boxes in pixels beside scores in 0..1, `(N, 64, 7)`, or with the two apart."""

    def __init__(self, *, joined: bool) -> None:
        super().__init__()
        self.joined = joined
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
        self.boxes = nn.Conv2d(8, 4, 1)
        self.scores = nn.Conv2d(8, 3, 1)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return one tensor or two."""
        found = torch.relu(self.trunk(image))
        boxes = torch.sigmoid(self.boxes(found)).flatten(2).permute(0, 2, 1)
        scores = torch.sigmoid(4 * self.scores(found)).flatten(2).permute(0, 2, 1)
        if self.joined:
            return torch.cat([boxes * 320, scores], dim=-1)
        return boxes, scores


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Return coarse noise, `(8, 32, 32, 3)`."""
    blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="session")
def head_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that exports a form of the head to a format, once."""
    made: dict[tuple[str, bool], Path] = {}

    def export(name: str, *, joined: bool) -> Path:
        exporter = EXPORTERS.load(name)
        if any(find_spec(module) is None for module in exporter.requires):
            pytest.skip(f"edgetl[{EXPORTERS.extra_of(name)}] is not installed")
        if (name, joined) not in made:
            torch.manual_seed(0)
            module = RawPixels(Head(joined=joined), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).eval()
            folder = tmp_path_factory.mktemp(f"head-{name}")
            outputs = ("found",) if joined else ("boxes", "scores")
            exporter.export(module, {"image": torch.zeros(1, SIZE, SIZE, 3)}, outputs, folder)
            made[name, joined] = folder / FILES[name]
        return made[name, joined]

    return export


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an ONNX file whose image is the input `image`."""
    onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")
    helper = onnx.helper

    def write_file(
        nodes: Sequence[Any],
        outputs: Mapping[str, Shape],
        shape: Shape,
        *,
        dtype: int = FLOAT,
        constants: Mapping[str, object] | None = None,
        inputs: Mapping[str, tuple[int, Shape]] | None = None,
        predictions: int = FLOAT,
    ) -> Path:
        """Write nodes of kind, inputs, output (which names it too) and, if any, attributes."""
        taken = {"image": (dtype, shape), **(inputs or {})}
        made = [
            helper.make_node(kind, read.split(), [output], name=output, **dict(*fields))
            for kind, read, output, *fields in nodes
        ]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            made,
            "graph",
            [info(name, kind, sizes) for name, (kind, sizes) in taken.items()],
            [info(name, predictions, sizes) for name, sizes in outputs.items()],
            [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return write_file
