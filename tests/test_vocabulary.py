"""Names and texts use the terms of the field; words that were replaced do not come back.

Identifiers are read from the syntax tree, texts from comments and strings, and from whole files of
other kinds. Words with a second, proper meaning are only looked for as the identifiers that had the
old one.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]

_NAMES: Mapping[str, str] = {
    "found": "the noun: artifact, boxes, row",
    "told": "reported, or the noun: message, lines",
    "said": "the noun: output, printed",
    "says": "predicts, or the noun",
    "answer": "prediction, output",
    "answers": "predictions, outputs",
    "finds": "detections",
    "cut_off": "truncated",
    "closing_epochs": "no_aug_epochs",
    "keep_float": "float_layers",
    "leave_out": "drop",
    "left_out": "dropped",
    "hand_over": "package",
    "short_rows": "broadcast",
    "tuned": "selected threshold",
    "fresh": "reinitialized",
    "published": "pretrained",
    "question": "check options",
    "evidence": "measurements",
    "drawing": "parsed graph",
    "suppression": "nms",
}
"""Whole identifiers, in lower case and without leading underscores."""

_WORDS: Mapping[str, str] = {
    "photo": "image",
    "photos": "images",
    "course": "TrainingSetup",
    "exam": "Validator",
    "lesson": "TeacherSignal",
    "taught": "TeacherOutputs",
    "surroundings": "RunContext",
    "apprentice": "DistillationWrapper",
    "imitation": "StudentOutputs",
    "dice": "rng",
    "belt": "background",
    "painting": "rendering",
    "workshop": "backend",
    "misses": "worst errors",
    "merit": "selection metric",
    "leaders": "top_k",
    "bricks": "ConvFactory",
    "userland": "rootfs",
    "taps": "feature layers",
    "aliases": "key mapping",
    "collapse": "at_chance",
    "mend": "fix",
    "clamp": "clip",
}
"""Words of identifiers, in lower case."""

_MODULES: Mapping[str, str] = {
    "terms": "interfaces",
    "teachers": "teacher_logits",
    "outcome": "training_artifacts",
    "belt": "background",
    "cover": "occlude",
    "expose": "exposure",
    "drawn": "synthetic",
    "ahead": "prefetch",
    "words": "formatting",
}
"""Names of modules and packages."""

_TEXTS: Mapping[str, tuple[str, str]] = {
    "photo": (r"photos?", "image"),
    "double finds": (r"double finds|finds nothing", "duplicate detections, no detections"),
    "suppression": (r"(?<!maximum )suppression", "non-maximum suppression"),
    "dice": (r"dice", "random generator"),
    "belt": (r"belts?", "background"),
    "mend": (r"mend(?:s|ed|ing)?", "fix"),
    "leave out": (r"(?:leave|leaves|left|leaving)(?: \w+){0,3} out", "drop, exclude, omit"),
    "hand over": (r"hand(?:s|ed|ing)?(?: \w+)? over", "package, pass"),
    "drawn images": (r"drawn (?:image|scene|part)s?", "synthetic images"),
    "userland": (r"userland", "rootfs"),
    "lesson": (r"apprentices?|lessons?|exams?", "wrapper, teacher signal, validator"),
    "worst misses": (r"worst misses", "worst errors"),
    "collapse": (r"collapse[sd]?", "at chance"),
    "anew": (r"anew", "again"),
    "of no use": (r"of no use", "useless"),
    "told": (r"told|(?:is|are|was|were) asked", "reported, requested"),
    "whoever": (r"whoever", "name the actor"),
    "no sound": (r"no sound", "not valid"),
}
"""Label to the regular expression of words that mean only one thing in this project, and what to
write instead."""

_ALLOWED: Mapping[tuple[str, str], str] = {
    ("edgetl/config/check.py", "photo"): "a former key, for which the error names the new one",
    ("edgetl/config/check.py", "suppression"): "a former key",
    ("edgetl/runtime/contract_schema1.py", "suppression"): "the key in contracts of schema 1",
    ("edgetl/data/synthetic/__init__.py", "belt"): "a conveyor belt",
    ("edgetl/data/image_sets.py", "belt"): "a conveyor belt",
    ("edgetl/nn", "clamp"): "torch's function",
    ("edgetl/report/templates/style.css", "collapse"): "a property of CSS",
}
"""File or folder, and rule, to the reason for an exception."""


def _files(*suffixes: str) -> Iterator[Path]:
    for root in ("edgetl", "docs", "targets", "calibration"):
        for path in sorted((_ROOT / root).rglob("*")):
            if path.suffix in suffixes:
                yield path
    yield from (path for path in [_ROOT / "README.md"] if path.suffix in suffixes)


def _is_exempt(path: Path, rule: str) -> bool:
    where = path.relative_to(_ROOT)
    places = {each.as_posix() for each in (where, *where.parents)}
    return any((place, rule) in _ALLOWED for place in places)


def _identifiers(source: str) -> Iterator[tuple[str, int]]:
    """Yield names and lines."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, line
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield name, line
            case ast.arg(arg=name) | ast.Name(id=name) | ast.keyword(arg=str(name)):
                yield name, line
            case ast.Attribute(attr=name):
                yield name, line
            case ast.alias(name=name, asname=asname):
                yield asname or name.rpartition(".")[2], line


def _split(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _texts(path: Path) -> Iterator[tuple[str, int]]:
    """Yield comments and strings of Python, and lines of other files."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from ((line, number) for number, line in enumerate(text.splitlines(), start=1))
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING}:
            yield " ".join(token.string.split()), token.start[0]


def _name_problems(path: Path) -> Iterator[tuple[str, str]]:
    """Yield rule and description."""
    for part in {path.stem, path.parent.name} & _MODULES.keys():
        yield part, f"module '{part}', write {_MODULES[part]}"
    for name, line in _identifiers(path.read_text(encoding="utf-8")):
        whole = name.strip("_").lower()
        if whole in _NAMES:
            yield whole, f"{line}: '{name}', write {_NAMES[whole]}"
        for word in {*_split(name)} & _WORDS.keys():
            yield word, f"{line}: '{name}', write {_WORDS[word]}"


def _text_problems(path: Path) -> Iterator[tuple[str, str]]:
    """Yield rule and description."""
    for text, line in _texts(path):
        for rule, (pattern, instead) in _TEXTS.items():
            match = re.search(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
            if match:
                yield rule, f"{line}: '{match[0]}', write {instead}"


def _id(path: Path) -> str:
    return path.relative_to(_ROOT).as_posix()


@pytest.mark.parametrize("path", [*_files(".py")], ids=_id)
def test_identifiers_use_the_vocabulary(path: Path) -> None:
    assert [what for rule, what in _name_problems(path) if not _is_exempt(path, rule)] == []


@pytest.mark.parametrize("path", [*_files(".py", ".md", ".html", ".yaml", ".css", ".js")], ids=_id)
def test_texts_use_the_vocabulary(path: Path) -> None:
    assert [what for rule, what in _text_problems(path) if not _is_exempt(path, rule)] == []


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        pytest.param("found = 1", ["found"], id="local"),
        pytest.param("def f(photo): ...", ["photo"], id="argument"),
        pytest.param("class LastExam: ...", ["exam"], id="class"),
        pytest.param("x.leave_out", ["leave_out"], id="attribute"),
        pytest.param("from a import b as _dice", ["dice"], id="alias"),
        pytest.param("not_found = find(photometric)", [], id="other words"),
    ],
)
def test_retired_identifier_is_noticed(tmp_path: Path, source: str, rules: list[str]) -> None:
    path = tmp_path / "a.py"
    path.write_text(source, encoding="utf-8")
    assert [rule for rule, _ in _name_problems(path)] == rules


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        pytest.param("x = 1  # the photos", ["photo"], id="comment"),
        pytest.param('x = "left them out"', ["leave out"], id="message"),
        pytest.param('"""Non-maximum\nsuppression."""', [], id="full term over two lines"),
        pytest.param('"""Suppression."""', ["suppression"], id="docstring"),
        pytest.param('x = "commended"', [], id="part of a word"),
    ],
)
def test_retired_text_is_noticed(tmp_path: Path, source: str, rules: list[str]) -> None:
    path = tmp_path / "a.py"
    path.write_text(source, encoding="utf-8")
    assert [rule for rule, _ in _text_problems(path)] == rules
