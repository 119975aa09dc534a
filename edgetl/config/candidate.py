"""Typed keys that identify model files and candidates; their names are for display only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from edgetl.runtime.engines import CPU
from edgetl.types import Precision


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run any model on a target."""

    format: str
    precision: Precision
    provider: str
    """One of `edgetl.runtime.engines.providers`."""

    @property
    def name(self) -> str:
        """Display name: ``onnx int8``, ``onnx fp16 cuda``."""
        return self.of("").name

    def of(self, model: str) -> Candidate:
        """Return the candidate that `model` is in this way."""
        return Candidate(model, self.format, self.precision, self.provider)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file; any number of candidates, each with its provider, run the same one."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    model: str
    """Name of the network in the recipe, such as ``student``: the same after a retraining."""
    format: str
    precision: Precision

    @property
    def name(self) -> str:
        """Display name: ``onnx int8``."""
        return f"{self.format} {self.precision.value}"

    @property
    def float_file(self) -> ModelFile:
        """The file that it is quantized from; itself if it is not quantized."""
        return ModelFile(self.model, self.format, Precision.FP32)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file, and what runs it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    model: str
    """Name of the network in the recipe, such as ``student``: the same after a retraining."""
    format: str
    precision: Precision
    provider: str
    """One of `edgetl.runtime.engines.providers`."""

    @property
    def file(self) -> ModelFile:
        """The model file."""
        return ModelFile(self.model, self.format, self.precision)

    @property
    def name(self) -> str:
        """Display name: ``onnx int8``, ``onnx fp16 cuda``."""
        return self.file.name if self.provider == CPU else f"{self.file.name} {self.provider}"
