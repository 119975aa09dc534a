"""The facts that stages report, as typed tables: one model per stage, used to write and read them.

A model imports neither numpy nor a framework: planning, reports and the gate read facts.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FactsModel(BaseModel):
    """The base of all facts: frozen, made of JSON types, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class NoFacts(FactsModel):
    """The facts of a stage that reports nothing but its files."""
