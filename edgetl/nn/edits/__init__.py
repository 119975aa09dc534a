"""The contract of a structural edit: a change of a network's shape that a saved model repeats.

A stage that changes the structure of a network, and not its weights alone, records the change as a
`SavedEdit` in the model's spec. Loading builds the family's network, applies the edits in order and
then reads the weights, so a saved model rebuilds without the stage that made it. An edit is one
file here and defines ``EDIT``; it imports no framework at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import JsonValue

from edgetl.config.table import Table
from edgetl.plugins import Slot

if TYPE_CHECKING:  # planning must not wait for torch
    from torch import nn

Options = TypeVar("Options", bound=Table)


@dataclass(frozen=True, slots=True)
class Edit(Generic[Options]):
    """One kind of structural edit.

    Attributes:
        version: Raised when the same options change a network differently than before.
        options: The table of the options that a saved model records.
        apply: Returns the changed network, which may be the given one changed in place. New
            parameters need no particular values: the saved weights replace them.
    """

    version: int
    options: type[Options]
    apply: Callable[[nn.Module, Options], nn.Module]


EDITS: Slot[Edit[Table]] = Slot("edgetl.nn.edits", "EDIT", "structural edit", "edgetl.edits")


class SavedEdit(Table):
    """A structural edit as a saved model records it."""

    kind: str
    """Name of the edit's file."""
    version: int
    """Version of the edit that was applied."""
    options: dict[str, JsonValue]
    """Content of the edit's table of options."""
