"""What a check found as JUnit XML, which CI servers show: one testcase per case."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping

from edgetl.types import Fact

_SUITE = "edgetl check"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) cannot hold, not even escaped; a device may print it."""


def junit_xml(checked: Mapping[str, Fact]) -> str:
    """Return the XML text of a check.

    The order of elements and their attributes are those of the schema that Jenkins publishes
    (junit-10.xsd): properties, testcases, system-out. Unverified and skipped cases are ``skipped``,
    so they are never shown green.

    Args:
        checked: As `edgetl.gate.check.Checked.as_json` returns it.
    """
    cases = checked["cases"]
    counts = Counter(case["status"] for case in cases)
    numbers = {
        "tests": str(len(cases)),
        "failures": str(counts["failed"]),
        "errors": "0",
        "skipped": str(counts["unverified"] + counts["skipped"]),
    }
    name = f"{_SUITE} {checked['name']} {checked['target']}"
    root = ET.Element("testsuites", {"name": _SUITE} | _without(numbers, "skipped"))
    suite = ET.SubElement(root, "testsuite", {"name": _clean(name)} | numbers)
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(checked):
        ET.SubElement(properties, "property", {"name": key, "value": _clean(value)})
    for case in cases:
        _add_case(suite, case, f"edgetl.check.{checked['target']}")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_case(suite: ET.Element, case: Mapping[str, Fact], classname: str) -> None:
    element = ET.SubElement(
        suite, "testcase", {"name": case["name"], "classname": _clean(classname), "time": "0"}
    )
    reason, status = _clean(case["reason"]), case["status"]
    if status == "failed":
        failure = ET.SubElement(element, "failure", {"message": reason, "type": "edgetl.check"})
        failure.text = reason
    elif status != "passed":
        ET.SubElement(element, "skipped", {"message": f"{status}: {reason}"})
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


def _without(attributes: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in attributes.items() if key != name}


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
