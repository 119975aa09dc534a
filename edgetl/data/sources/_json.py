"""Read JSON label files, and tell by a look at the content which tool wrote one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from edgetl.data.container import Container
from edgetl.data.sources._files import decoded, read_text, with_suffix
from edgetl.data.sources._screened import ScreenedContainer
from edgetl.runtime.errors import ImageError
from edgetl.types import Fact


class Form(StrEnum):
    """Known contents of JSON files, in words for messages."""

    COCO = "COCO"
    COCO_CLASSES = "COCO with classes of images"
    CREATEML = "CreateML"
    DATUMARO = "Datumaro"
    DATUMARO_CLASSES = "Datumaro with labels of images"
    LABELME = "LabelMe"
    LABELS = "labels of an unknown form"
    OTHER = "no labels"


_KEYS = {
    Form.LABELME: ('"shapes"', '"imagePath"'),
}
"""Keys that a file of the form has."""
_DATUMARO = ('"items"', '"categories"', '"annotations"')
_TYPE = re.compile(r'"type"\s*:\s*"(\w+)"')
_COCO = ('"images"', '"annotations"')
_COCO_FURTHER = ('"categories"', '"image_id"')
"""Of these a COCO file has one at least, as without categories it is still no other file."""
_COCO_BOXES = ('"bbox"', '"segmentation"', '"keypoints"', '"segments_info"', '"caption"')
"""Of an annotation that has more than the class of an image."""
_CREATEML = re.compile(r'"(?:image|imagefilename)"\s*:\s*"')
_CREATEML_BOXES = re.compile(r'"coordinates"\s*:|"annotations?"\s*:\s*\[\s*\]')
_LABELS = re.compile(
    r'"(annotations?|labels?|objects|regions|shapes|bbox|bounding_?boxes|polygons?|'
    r'class(Title|Name|_name|es)?|category(_id)?|choices?|tags?|caption)"\s*:',
    re.IGNORECASE,
)


def json_files(container: Container, form: Form) -> tuple[str, ...]:
    """Return the JSON files of one form, sorted."""
    if isinstance(container, ScreenedContainer):
        forms = container.json_forms
    else:
        forms = json_forms(container, with_suffix(container, ".json"))
    return tuple(name for name, known in forms.items() if known == form)


def json_forms(container: Container, names: Sequence[str]) -> Mapping[str, str]:
    """Return the form of JSON files; a file that cannot be read has no labels."""
    return {name: _form(container, name) for name in names}


def read_json(container: Container, name: str) -> Fact:
    """Return the content of a JSON file.

    Raises:
        ValueError: If it cannot be read or is not JSON; the message gives the reason.
    """
    try:
        return json.loads(read_text(container, name))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:  # also of text in no known encoding and of endless numbers
        raise ValueError(f"not valid JSON ({error})") from error


def _form(container: Container, name: str) -> Form:
    try:
        content = decoded(container.read(name))
    except ImageError:
        return Form.OTHER
    for form, keys in _KEYS.items():
        if all(key in content for key in keys):
            return form
    if all(key in content for key in _COCO) and any(key in content for key in _COCO_FURTHER):
        with_boxes = any(key in content for key in _COCO_BOXES) or '"category_id"' not in content
        return Form.COCO if with_boxes else Form.COCO_CLASSES
    if all(key in content for key in _DATUMARO):
        kinds = {match[1] for match in _TYPE.finditer(content)}
        return Form.DATUMARO_CLASSES if kinds == {"label"} else Form.DATUMARO
    is_list = content.lstrip().startswith("[")
    if is_list and _CREATEML.search(content) and _CREATEML_BOXES.search(content):
        return Form.CREATEML
    return Form.LABELS if _LABELS.search(content) else Form.OTHER
