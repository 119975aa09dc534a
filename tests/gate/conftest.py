"""A bundle of a mean-colour classifier, the store it comes from, and what breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgetl.config.target import Target
from edgetl.data.dataset import IMAGES_FILE, Item, write_images, write_index
from edgetl.facts.bundle import Origin
from edgetl.facts.verification import ClassFigures, VerificationFacts
from edgetl.gate.measure import Measurements, Times
from edgetl.hashing import digest_folder
from edgetl.runtime import golden
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Facts, Split

SIZE = 32
CLASSES = ("red", "green", "blue")
PREPROCESS = Preprocess(SIZE, SIZE, "stretch", "bilinear", 0)
NUM_IMAGES = 60
_WATCH = """

import pathlib
from dataclasses import replace

_read = Watch.read


def _told(self):
    log = pathlib.Path({log!r})
    log.write_bytes(log.read_bytes() + b"." if log.exists() else b".")
    return replace(
        _read(self),
        steal_share=0.0,
        involuntary_switches=0,
        others_cores=1.0e6 if log.stat().st_size <= {runs} else 0.0,
        frequency_mhz=(None, None),
        throttled=(),
    )


Watch.read = _told
"""
"""What a bundle's runtime sees of the machine, so that busy ones run the tests as quiet ones do."""
NUM_WRONG = 6
"""Images that show another colour than their label says: 54 of 60 can be right."""


@dataclass
class QuantizationBackend:
    """Makes bundles, and the artifacts that they come from."""

    root: Path
    examples: Any
    """The facts that tests replace figures of."""

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def bundle(
        self,
        name: str = "bundle",
        *,
        order: Sequence[int] = (0, 1, 2),
        gain: float = 1.0,
        seed: int = 0,
        **accuracy: Any,
    ) -> Path:
        """Write a bundle and its artifacts.

        Args:
            name: Its folder.
            order: Which colour each class takes; only the verified one is (0, 1, 2).
            gain: What the answers are multiplied with.
            seed: Of the images.
            accuracy: Replaces figures of the manifest.
        """
        folder = self.root / name
        folder.mkdir()
        save_model(folder, order, gain)
        Contract(
            task="classification",
            labels=CLASSES,
            format="onnx",
            files=describe_files(folder, ("model.onnx",)),
            precision="fp32",
            inputs=(ImageInput("image", "image", PREPROCESS),),
            outputs=(OutputSpec("logits", "logits", (1, 3), "logits"),),
        ).save(folder)
        images, labels = draw(seed)
        logits = images[:4].mean(axis=(1, 2), dtype=np.float32)
        golden.record(folder, {"image": images[:4]}, {"logits": logits}, list(images[:2]))
        artifacts = {
            "dataset": self._dataset(images, labels),
            "verification": self._verification(images, order, seed),
        }
        figures = _accuracy(images, labels, order, self.examples) | accuracy
        facts = self.examples.verification("onnx fp32", **figures)
        self.complete(folder, "colours", facts, artifacts)
        self.disturb(folder, runs=0)
        seal(folder)
        return folder

    def complete(
        self,
        folder: Path,
        name: str,
        accuracy: VerificationFacts,
        artifacts: Mapping[str, Artifact],
    ) -> None:
        """Put the runtime and the manifest, not yet sealed, beside a model.

        Args:
            folder: Of a bundle.
            name: Of its recipe.
            accuracy: As verified.
            artifacts: That it comes from, by kind.
        """
        for path, source in runtime_files().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(source.read_bytes())
        lineage = {
            kind: Origin(
                stage=artifact.manifest.stage,
                key=artifact.manifest.key,
                digest=artifact.manifest.digest,
            )
            for kind, artifact in artifacts.items()
        }
        manifest = self.examples.bundle("board", name=name, accuracy=accuracy, lineage=lineage)
        (folder / "manifest.json").write_text(manifest.model_dump_json(by_alias=True))

    def save_model(self, folder: Path, order: Sequence[int], gain: float) -> None:
        """Write the mean of each colour, in `order`, times `gain`, as a model."""
        save_model(folder, order, gain)

    def disturb(self, folder: Path, *, runs: int) -> None:
        """Let the first `runs` runs of a bundle's timings be disturbed, and none after them."""
        code = folder / "edgetl" / "runtime" / "interference.py"
        text = code.read_text().partition(_WATCH.partition("{")[0])[0]
        code.write_text(text + _WATCH.format(log=str(self.root / "runs"), runs=runs))
        (self.root / "runs").unlink(missing_ok=True)

    def seal(self, folder: Path) -> None:
        """Write the digests of all files into the manifest, as a build does."""
        seal(folder)

    def _dataset(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Artifact:
        request = Request("index", 1, {"images": str(images.sum())}, {}, {})
        made = self.store.find(request)
        if made is not None:
            return made
        out, _, _ = self.store.folders(request)
        with (out / IMAGES_FILE).open("wb") as file:
            write_images(file, images, images.shape)
        items = [
            Item(f"{i}.png", int(label), f"{images[i].sum()}{i}") for i, label in enumerate(labels)
        ]
        write_index(
            out,
            task="classification",
            classes=CLASSES,
            preprocess=PREPROCESS,
            items={Split.TRAIN: [], Split.VAL: [], Split.TEST: items},
            dropped=[],
        )
        return self.store.commit(request, kind="dataset", label="index", facts={}, seconds=0)

    def _verification(self, images: NDArray[np.uint8], order: Sequence[int], seed: int) -> Artifact:
        request = Request("verify", 1, {"order": list(order), "seed": seed}, {}, {})
        out, _, _ = self.store.folders(request)
        np.savez(out / "predictions.npz", logits=_logits(images, order))
        return self.store.commit(request, kind="verification", label="verify", facts={}, seconds=0)


def draw(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images of one colour each, all of them different, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(NUM_IMAGES, dtype=np.int64) % 3
    shown = labels.copy()
    shown[-NUM_WRONG:] = (shown[-NUM_WRONG:] + 1) % 3
    images = generator.integers(0, 90, (NUM_IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
    images[np.arange(NUM_IMAGES), :, :, shown] += 100
    return images, labels


def save_model(folder: Path, order: Sequence[int], gain: float) -> None:
    """Write the mean of each colour, in `order`, times `gain`, as a model."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "mix"], ["logits"]),
    ]
    mix = np.zeros((3, 3), np.float32)
    mix[list(order), range(3)] = gain
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIZE, SIZE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(
        nodes, "mean", [image], [logits], [numpy_helper.from_array(mix, "mix")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")


def seal(folder: Path) -> None:
    """Write the digests of all files into the manifest, as a build that did its paperwork does."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.unlink()
    files = {
        name: digest for name, digest in digest_folder(folder).items() if "__pycache__" not in name
    }
    path.write_text(json.dumps(manifest | {"files": files}, indent=2))


def _logits(images: NDArray[np.uint8], order: Sequence[int]) -> NDArray[np.float32]:
    means: NDArray[np.float32] = images.mean(axis=(1, 2), dtype=np.float32)
    return means[:, list(order)]


def _accuracy(
    images: NDArray[np.uint8], labels: NDArray[np.int64], order: Sequence[int], examples: Any
) -> Facts:
    value = float((_logits(images, order).argmax(axis=1) == labels).mean())
    return {
        "value": value,
        "low": max(0.0, value - 0.1),
        "high": min(1.0, value + 0.1),
        "images": NUM_IMAGES,
        "num_predictions": NUM_IMAGES,
        "drop": examples.drop(round(100 * (0.9 - value), 4), value=0.9),
        "classes": tuple(ClassFigures(label=label, support=20, figures={}) for label in CLASSES),
    }


@pytest.fixture
def backend(tmp_path: Path, examples: Any) -> QuantizationBackend:
    return QuantizationBackend(tmp_path, examples)


@pytest.fixture
def board() -> Callable[..., Target]:
    """Return what makes the profile of this machine, given its limits."""

    def make(device: str | None = "local", **limits: Any) -> Target:
        return Target.model_validate(
            {
                "name": "board",
                "description": "this machine",
                "device": device,
                "threads": 1,
                "candidates": {"onnx": ["fp32"]},
                "limits": {"top1": 0.8, "drop_pp": 1.0, "size_mib": 1.0, **limits},
            }
        )

    return make


@pytest.fixture
def evidence(examples: Any) -> Callable[..., Measurements]:
    """Return what makes measurements of a p95 of 5 ms and 64 MiB, with other figures."""

    def make(p95_ms: float = 5.0, **changes: Any) -> Measurements:
        runs = {"asked": 5, "taken": 5, "undisturbed": 5, "p50_ms": [4] * 5}
        quiet = {"runs": {**runs, "disturbances": [[]] * 5}, "peak_memory_bytes": 64 << 20}
        times = Times(examples.timing(p95_ms, **(quiet | changes)), {})
        return Measurements("ssh://pi@rpi4", "measured", (), "", times, None)

    return make
