"""Read a JSON table key by key, each checked, with errors that name file and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.errors import COPY_AGAIN, ContractError

if TYPE_CHECKING:
    from pathlib import Path

    Types = tuple[type[object], ...]

TEXT: Types = (str,)
COUNT: Types = (int,)
NUMBER: Types = (int, float)


class JsonTable:
    """One table of a JSON file. Keys that are not read are ignored."""

    def __init__(self, path: Path, where: str, data: object) -> None:
        """Wrap `data`, which is in the file `path` under the dotted name `where`.

        Raises:
            ContractError: If it is not a table.
        """
        self._path = path
        self._where = where
        if not isinstance(data, dict):
            raise self.error("", f"must be a table, not {data!r}")
        self._values: dict[str, Any] = data

    def error(self, key: str, what: str) -> ContractError:
        """Return the error that `key` is wrong; an empty key means the table itself."""
        name = ".".join(filter(None, (self._where, key))) or "the file"
        return ContractError(f"{self._path}: {name}: {what}", remedy=COPY_AGAIN)

    def has(self, key: str) -> bool:
        """Return whether there is such a key."""
        return key in self._values

    def take(self, key: str, types: Types) -> Any:  # noqa: ANN401 - a JSON value
        """Return the value of `key`; raises ContractError if it is missing or of another type."""
        if key not in self._values:
            raise self.error(key, "is missing")
        value = self._values[key]
        # bool is a subclass of int, but true is no height.
        if not isinstance(value, types) or isinstance(value, bool):
            expected = " or ".join(each.__name__ for each in types)
            raise self.error(key, f"must be {expected}, not {value!r}")
        return value

    def take_or(self, key: str, types: Types, default: Any) -> Any:  # noqa: ANN401 - a JSON value
        """Return the value of `key`, or `default` if there is no such key."""
        return self.take(key, types) if key in self._values else default

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of str."""
        return tuple(self._each(key, str))

    def counts(self, key: str) -> tuple[int, ...]:
        """Return a list of int."""
        return tuple(self._each(key, int))

    def table(self, key: str) -> JsonTable:
        """Return a table in this one."""
        return JsonTable(self._path, self._name(key), self.take(key, (dict,)))

    def tables(self, key: str) -> list[JsonTable]:
        """Return a list of tables."""
        rows = self._each(key, dict)
        return [JsonTable(self._path, f"{self._name(key)}.{i}", row) for i, row in enumerate(rows)]

    def _name(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def _each(self, key: str, kind: type[Any]) -> list[Any]:
        values: list[Any] = self.take(key, (list,))
        for value in values:
            if not isinstance(value, kind) or isinstance(value, bool):
                raise self.error(key, f"must contain only {kind.__name__}, not {value!r}")
        return values
