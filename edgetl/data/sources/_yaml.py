"""Read YAML with all values as text: classes may be named 010, 1.10, no or 2024-01-01."""

from __future__ import annotations

from collections.abc import Hashable

import yaml

from edgetl.data.container import Container
from edgetl.data.sources._files import read_text
from edgetl.types import Fact

_MAX_LENGTH = 1 << 18


class _TextLoader(yaml.BaseLoader):
    """Constructs only strings, lists and tables with string keys; refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Fact]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Return the table of a node; ConstructorError on a duplicate key."""
        known = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in known:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' is defined twice", key.start_mark
                )
            known.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(container: Container, name: str) -> Fact:
    """Return the content as strings, lists and tables of strings.

    Raises:
        ValueError: If the file cannot be read, is too long for a table of names, or is not valid
            YAML; the message gives the reason and the position.
    """
    text = read_text(container, name)
    if len(text) > _MAX_LENGTH:
        raise ValueError("too long to be a table of names")
    try:
        return yaml.load(text, _TextLoader)  # noqa: S506 - a BaseLoader only constructs strings
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_table(container: Container, name: str) -> dict[str, Fact]:
    """Return the table of a YAML file; empty if it is damaged or not a table."""
    try:
        content = read_yaml(container, name)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
