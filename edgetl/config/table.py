"""Base class of all tables in user files: frozen; unknown keys are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A validated table of a YAML file, or the settings of one stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
