"""The result of a check as JUnit XML, which CI servers show: one testcase per case."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping

from edgetl.types import Fact, Provenance

_SUITE = "edgetl check"
_ELEMENTS = {"passed": "", "failed": "failure", "unverified": "skipped", "skipped": "skipped"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 (section 2.2) forbids even escaped; a device may print them."""


def junit_xml(checked: Mapping[str, Fact]) -> str:
    """Return the XML text of a check.

    The order of elements and their attributes are those of the schema that Jenkins publishes
    (junit-10.xsd): properties, testcases, system-out. Unverified and skipped cases are ``skipped``,
    so they are never shown green; if the check ends with a missed limit for an unverified case,
    that is an ``error``.

    Args:
        checked: As `edgetl.gate.check.Checked.as_json` returns it.
    """
    cases = checked["cases"]
    elements = {**_ELEMENTS}
    if checked["required"] == Provenance.MEASURED:
        elements["unverified"] = "error"
    counts = Counter(elements[case["status"]] for case in cases)
    root, suite = _suite(f"{checked['name']} {checked['target']}", len(cases), counts)
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(checked):
        ET.SubElement(properties, "property", {"name": key, "value": _clean(value)})
    for case in cases:
        _add_case(suite, case, elements[case["status"]], checked["target"])
    return _text(root)


def error_xml(where: Mapping[str, str], message: str) -> str:
    """Return the XML text of a check that could not be made: one case, ``device``, as an error.

    Args:
        where: ``bundle``, ``target`` and ``device`` as they were given.
        message: Why, with the remedy.
    """
    root, suite = _suite(f"{where['bundle']} {where['target']}", 1, {"error": 1})
    properties = ET.SubElement(suite, "properties")
    for key, value in where.items():
        ET.SubElement(properties, "property", {"name": key, "value": _clean(value)})
    case = {"name": "device", "reason": message, "provenance": "", "warning": ""}
    _add_case(suite, case, "error", where["target"])
    return _text(root)


def _suite(name: str, tests: int, counts: Mapping[str, int]) -> tuple[ET.Element, ET.Element]:
    numbers = {
        "tests": str(tests),
        "failures": str(counts.get("failure", 0)),
        "errors": str(counts.get("error", 0)),
    }
    skipped = {"skipped": str(counts.get("skipped", 0))}
    root = ET.Element("testsuites", {"name": _SUITE} | numbers)
    title = {"name": _clean(f"{_SUITE} {name}")}
    return root, ET.SubElement(root, "testsuite", title | numbers | skipped)


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_case(suite: ET.Element, case: Mapping[str, Fact], kind: str, target: str) -> None:
    """Add a case with an element `kind`; without a time, because single cases are not timed."""
    classname = _clean(f"edgetl.check.{target}")
    element = ET.SubElement(suite, "testcase", {"name": case["name"], "classname": classname})
    reason = _clean(case["reason"])
    if kind in {"failure", "error"}:
        problem = ET.SubElement(element, kind, {"message": reason, "type": "edgetl.check"})
        problem.text = reason
    elif kind == "skipped":
        ET.SubElement(element, kind, {"message": f"{case['status']}: {reason}"})
    lines = [reason]
    if case["provenance"]:
        lines.append(f"provenance: {case['provenance']}")
    if case["warning"]:
        lines.append(f"warning: {case['warning']}")
    ET.SubElement(element, "system-out").text = _clean("\n".join(lines))


def _properties(checked: Mapping[str, Fact]) -> Iterator[tuple[str, str]]:
    """Yield what the figures depend on; a testcase has no properties in the schema."""
    for key in (
        "bundle",
        "candidate",
        "device",
        "provenance",
        "required",
        "baseline",
        "allowed_drop_pp",
        "allowed_ratio",
        "false_alarm_rate",
    ):
        if checked[key] is not None:
            yield key, str(checked[key])
    for key, value in (checked["host"] or {}).items():
        yield f"host.{key}", str(value)
    for case in checked["cases"]:
        if case["provenance"]:
            yield f"provenance.{case['name']}", case["provenance"]


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
