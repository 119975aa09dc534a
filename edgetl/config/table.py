"""The base of every table that a user writes: frozen, and an unknown key is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A checked table of a YAML file, or the settings of one stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
