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
    "tap": "feature layer",
    "taps": "feature layers",
    "aliases": "key mapping",
    "collapse": "at_chance",
    "mend": "fix",
    "clamp": "clip",
    "fault": "error",
    "faults": "errors",
    "asking": "the noun: request",
}
"""Words of identifiers, in lower case."""

_ROOM_WORDS: Mapping[str, Mapping[str, str]] = {
    "edgetl/quantizers": {"curve": "activation", "curves": "activations"},
    "edgetl/graph_lint": {"curve": "activation", "curves": "activations"},
    "edgetl/estimator": {"curve": "activation", "curves": "activations"},
    "edgetl/data": {"choice": "sampling", "choices": "sampling"},
    "edgetl/config/calibration.py": {"choice": "sampling"},
}
"""File or folder to words of identifiers that have another meaning elsewhere."""

_FIELDS: Mapping[str, Mapping[str, str]] = {
    "nms": {"score": "score_threshold", "limit": "max_detections"},
}
"""Word of a class's name to fields that it must not have."""

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
    "answer": (r"answer(?:s|ed|ing)?", "prediction, output; predict, reproduce"),
    "says": (r"(?:model|network|detector|location|teacher|student)s? (?:says?|told)", "predicts"),
    "silent": (r"(?:is|are|stays?|stayed) silent", "no predictions; omits"),
    "merit": (r"merits?", "selection metric"),
    "short rows": (r"short rows?", "broadcast"),
    "taps": (r"taps?", "feature layers"),
    "published weights": (r"published (?:weights?|checkpoints?)", "pretrained weights"),
    "tuned": (r"(?<!fine-)tuned", "selected threshold"),
    "workshop": (r"workshops?", "quantization backend"),
    "evidence": (r"evidence", "measurements"),
    "question": (r"questions?", "check options"),
    "fault": (r"faults?", "error"),
    "leaders": (r"leaders", "top k"),
    "bricks": (r"bricks?", "ConvFactory"),
    "imitation": (r"imitat(?:e|es|ed|ing|ions?)", "learn from, distil"),
    "collapse": (r"collapse[sd]?", "at chance"),
    "anew": (r"anew", "again"),
    "of no use": (r"of no use", "useless"),
    "told": (r"told|(?:is|are|was|were) asked", "reported, requested"),
    "whoever": (r"whoever", "name the actor"),
    "no sound": (r"no sound", "not valid"),
    "asked for": (r"(?:asks?|asked|asking) for(?! confirmation)", "requested"),
    "became of": (r"bec(?:ame|omes?) of", "name the result"),
}
"""Label to the regular expression of words that mean only one thing in this project, and what to
write instead."""

_ALLOWED: Mapping[tuple[str, str], str] = {
    ("edgetl/config/check.py", "photo"): "a former key, for which the error names the new one",
    ("edgetl/config/check.py", "suppression"): "a former key",
    ("edgetl/runtime/contract_schema1.py", "suppression"): "the key in contracts of schema 1",
    ("edgetl/data/synthetic/__init__.py", "belt"): "a conveyor belt",
    ("edgetl/data/image_sets.py", "belt"): "a conveyor belt",
    ("edgetl/data/sources/_class_names.py", "photo"): "what users call a folder",
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
    return any((place, rule) in _ALLOWED for place in _places(path))


def _places(path: Path) -> set[str]:
    """Return the path and its folders, below the root of the repository."""
    if not path.is_relative_to(_ROOT):
        return set()
    where = path.relative_to(_ROOT)
    return {each.as_posix() for each in (where, *where.parents)}


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
    source, words = path.read_text(encoding="utf-8"), _words_of(path)
    for name, line in _identifiers(source):
        whole = name.strip("_").lower()
        if whole in _NAMES:
            yield whole, f"{line}: '{name}', write {_NAMES[whole]}"
        for word in {*_split(name)} & words.keys():
            yield word, f"{line}: '{name}', write {words[word]}"
    yield from _field_problems(source)


def _words_of(path: Path) -> Mapping[str, str]:
    """Return the words that identifiers of a file must not have."""
    words = dict(_WORDS)
    for place in _places(path):
        words |= _ROOM_WORDS.get(place, {})
    return words


def _field_problems(source: str) -> Iterator[tuple[str, str]]:
    """Yield rule and description of fields of classes."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        fields = {
            each.target.id: each.lineno
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        }
        for word in {*_split(node.name)} & _FIELDS.keys():
            for field in fields.keys() & _FIELDS[word].keys():
                what = f"{fields[field]}: '{field}', write {_FIELDS[word][field]}"
                yield f"{word} {field}", what


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
        pytest.param("class NmsTable:\n    limit: int", ["nms limit"], id="field"),
        pytest.param("class Loader:\n    limit: int", [], id="field of another class"),
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
        pytest.param('x = "fine-tuned"', [], id="term with a hyphen"),
        pytest.param("# which was asked for", ["told", "asked for"], id="two rules"),
        pytest.param("# the teacher says so", ["says"], id="model"),
    ],
)
def test_retired_text_is_noticed(tmp_path: Path, source: str, rules: list[str]) -> None:
    path = tmp_path / "a.py"
    path.write_text(source, encoding="utf-8")
    assert [rule for rule, _ in _text_problems(path)] == rules


def test_word_of_a_room_is_retired_there_only() -> None:
    assert "curve" in _words_of(_ROOT / "edgetl" / "quantizers" / "a.py")
    assert "curve" not in _words_of(_ROOT / "edgetl" / "report" / "a.py")
