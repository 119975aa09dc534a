"""The inputs of a model: an image or a row of tokens, one class per kind."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Union

from edgetl.runtime.json_table import COUNT, TEXT
from edgetl.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from edgetl.runtime.json_table import JsonTable

_TOKEN_DTYPES = ("int32", "int64")


@dataclass(frozen=True)
class ImageInput:
    """Raw RGB pixels, uint8 ``(1, height, width, 3)``."""

    kind: ClassVar[str] = "image"
    array_dtype: ClassVar[str] = "uint8"
    """Of the array that the runtime is given; an engine converts it to the file's dtype."""

    name: str
    """Name in edgetl."""
    tensor: str
    """Name in the model file."""
    preprocess: Preprocess
    dtype: str | None = None
    """Of the tensor in the file, as numpy's name; None if the format states none."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample with its batch axis."""
        return (1, self.preprocess.height, self.preprocess.width, 3)

    def as_json(self) -> dict[str, Any]:
        """Return the table that describes this input."""
        return asdict(self.preprocess)

    @classmethod
    def read(cls, table: JsonTable) -> ImageInput:
        """Return the input that `table` describes; raises ContractError if it is wrong."""
        values = {
            "height": table.take("height", COUNT),
            "width": table.take("width", COUNT),
            "fit": table.take("fit", TEXT),
            "filter": table.take("filter", TEXT),
            "pad": table.take("pad", COUNT),
            # Contracts from before there was a choice do not name it.
            "anchor": table.take_or("anchor", TEXT, "centre"),
        }
        try:
            preprocess = Preprocess(**values)
        except ValueError as error:
            raise table.error("", str(error)) from error
        return cls(*_names(table), preprocess, table.take_or("dtype", TEXT, None))


@dataclass(frozen=True)
class TokensInput:
    """Token ids, ``(1, length)``. Tokenization is not described yet."""

    kind: ClassVar[str] = "tokens"

    name: str
    tensor: str
    length: int
    dtype: str | None = None
    """``int32`` or ``int64``; None if the format states none, and int32 is given."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.length < 1:
            raise ValueError(f"length {self.length}: must be at least 1")
        if self.dtype not in (None, *_TOKEN_DTYPES):
            raise ValueError(f"dtype '{self.dtype}': tokens are {' or '.join(_TOKEN_DTYPES)}")

    @property
    def array_dtype(self) -> str:
        """Of the array that the runtime is given."""
        return self.dtype or _TOKEN_DTYPES[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample with its batch axis."""
        return (1, self.length)

    def as_json(self) -> dict[str, Any]:
        """Return the table that describes this input."""
        return {"length": self.length}

    @classmethod
    def read(cls, table: JsonTable) -> TokensInput:
        """Return the input that `table` describes; raises ContractError if it is wrong."""
        length, dtype = table.take("length", COUNT), table.take_or("dtype", TEXT, None)
        try:
            return cls(*_names(table), length, dtype)
        except ValueError as error:
            raise table.error("", str(error)) from error


InputSpec = Union[ImageInput, TokensInput]

_KINDS: dict[str, type[InputSpec]] = {each.kind: each for each in (ImageInput, TokensInput)}


def read_input(table: JsonTable) -> InputSpec:
    """Return the input of any kind that `table` describes.

    Raises:
        ContractError: If the kind is unknown, or a key of it is missing or wrong.
    """
    kind = table.take("kind", TEXT)
    if kind not in _KINDS:
        raise table.error("kind", f"is {kind!r}; this runtime knows {', '.join(_KINDS)}")
    return _KINDS[kind].read(table)


def input_json(spec: InputSpec) -> dict[str, Any]:
    """Return `spec` as `read_input` reads it."""
    head: dict[str, Any] = {"name": spec.name, "tensor": spec.tensor, "kind": spec.kind}
    if spec.dtype is not None:
        head["dtype"] = spec.dtype
    return {**head, **spec.as_json()}


def _names(table: JsonTable) -> tuple[str, str]:
    return table.take("name", TEXT), table.take("tensor", TEXT)
