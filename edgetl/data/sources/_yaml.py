"""YAML with every value as it is written: a class may be called 010, 1.10, no or 2024-01-01."""

from __future__ import annotations

from collections.abc import Hashable

import yaml

from edgetl.data.container import Container
from edgetl.data.sources._files import read_text
from edgetl.types import Fact

_MAX_LENGTH = 1 << 18


class _AsWritten(yaml.BaseLoader):
    """Makes texts, lists and tables, whose keys are texts, too, and refuses a key said twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Fact]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Return the table of a node; a ConstructorError if it says a key twice."""
        known = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in known:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' is given twice", key.start_mark
                )
            known.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(container: Container, name: str) -> Fact:
    """Return texts, lists and tables of texts.

    Raises:
        ValueError: If the file cannot be read, is far too long for a table of names, or is no sound
            YAML; the message says which, and where.
    """
    text = read_text(container, name)
    if len(text) > _MAX_LENGTH:
        raise ValueError("too long to be a table of names")
    try:
        return yaml.load(text, _AsWritten)  # noqa: S506 - a BaseLoader makes nothing but texts
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_table(container: Container, name: str) -> dict[str, Fact]:
    """Return the table of a YAML file; an empty one if it is something else or broken."""
    try:
        content = read_yaml(container, name)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
