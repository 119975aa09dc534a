"""JUnit XML that servers read: elements and attributes of the schema, nothing green by mistake."""

from __future__ import annotations

from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from edgetl.report.junit import error_xml, junit_xml

_SUITE = {"name", "tests", "failures", "errors", "skipped"}


def _checked(*cases: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "verdict": "passed",
        "bundle": "dist/rpi4",
        "name": "parts",
        "target": "rpi4",
        "candidate": "onnx int8",
        "device": "ssh://pi@rpi4",
        "provenance": "measured",
        "required": "measured",
        "baseline": None,
        "allowed_drop_pp": 0.5,
        "allowed_ratio": 1.1,
        "false_alarm_rate": 0.01,
        "host": {"processor": "A72", "cores": 4},
        "cases": list(cases),
    } | changes


def _case(name: str, status: str, reason: str = "fine", **changes: str) -> dict[str, Any]:
    return {"name": name, "status": status, "reason": reason, "provenance": "", "warning": ""} | (
        changes
    )


def test_every_case_is_a_testcase_and_counts_add_up() -> None:
    root = fromstring(
        junit_xml(
            _checked(
                _case("files", "passed"),
                _case("accuracy", "failed", "top-1 0.7 < 0.8", provenance="measured"),
                _case("latency", "unverified", "only emulated"),
                _case("memory", "skipped", "no limit"),
                required="emulated",
            )
        )
    )
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    assert set(suite.attrib) == _SUITE
    assert [suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")] == [
        "4", "1", "0", "2",
    ]  # fmt: skip
    assert [child.tag for child in suite] == ["properties", *["testcase"] * 4]
    cases = {case.attrib["name"]: case for case in suite.iter("testcase")}
    assert {frozenset(case.attrib) for case in cases.values()} == {frozenset({"name", "classname"})}
    assert [child.tag for child in cases["files"]] == ["system-out"]
    failure, said = cases["accuracy"]
    assert (failure.tag, failure.attrib["message"]) == ("failure", "top-1 0.7 < 0.8")
    assert said.text == "top-1 0.7 < 0.8\nprovenance: measured"
    assert cases["latency"][0].attrib == {"message": "unverified: only emulated"}
    assert cases["memory"][0].attrib == {"message": "skipped: no limit"}


def test_unverified_case_is_an_error_where_measured_figures_are_required() -> None:
    root = fromstring(junit_xml(_checked(_case("latency", "unverified", "disturbed"))))
    (suite,) = root
    assert (root.attrib["errors"], suite.attrib["errors"], suite.attrib["skipped"]) == (
        "1", "1", "0",
    )  # fmt: skip
    error = suite.find("testcase/error")
    assert error.attrib == {"message": "disturbed", "type": "edgetl.check"}
    assert error.text == "disturbed"


def test_check_that_could_not_be_made_is_one_error() -> None:
    where = {"bundle": "dist/rpi4", "target": "rpi4", "device": "ssh://pi@rpi4"}
    root = fromstring(error_xml(where, "device 'ssh://pi@rpi4' cannot be reached\n  turn it on"))
    (suite,) = root
    assert set(suite.attrib) == _SUITE
    assert (suite.attrib["name"], suite.attrib["tests"], suite.attrib["errors"]) == (
        "edgetl check dist/rpi4 rpi4", "1", "1",
    )  # fmt: skip
    (case,) = suite.iter("testcase")
    assert case.attrib == {"name": "device", "classname": "edgetl.check.rpi4"}
    assert case.find("error").text == ("device 'ssh://pi@rpi4' cannot be reached\n  turn it on")
    given = {each.attrib["name"]: each.attrib["value"] for each in suite.iter("property")}
    assert given == where


def test_properties_tell_the_provenance_and_the_machine() -> None:
    cases = [_case("accuracy", "passed", provenance="emulated"), _case("files", "passed")]
    (suite,) = fromstring(junit_xml(_checked(*cases, baseline="b.json")))
    given = {each.attrib["name"]: each.attrib["value"] for each in suite.iter("property")}
    assert given == {
        "bundle": "dist/rpi4",
        "candidate": "onnx int8",
        "device": "ssh://pi@rpi4",
        "provenance": "measured",
        "required": "measured",
        "baseline": "b.json",
        "allowed_drop_pp": "0.5",
        "allowed_ratio": "1.1",
        "false_alarm_rate": "0.01",
        "host.processor": "A72",
        "host.cores": "4",
        "provenance.accuracy": "emulated",
    }


def test_warning_is_told_although_the_case_is_green() -> None:
    (suite,) = fromstring(junit_xml(_checked(_case("accuracy", "passed", warning="gained 9 pp"))))
    assert suite.find("testcase/system-out").text == "fine\nwarning: gained 9 pp"


@pytest.mark.parametrize(
    ("said", "kept"),
    [('a < b & "c" ]]>', 'a < b & "c" ]]>'), ("\x1b[31mred\x00 Öse", "?[31mred? Öse")],
    ids=["markup", "control characters"],
)
def test_any_text_of_a_device_makes_good_xml(said: str, kept: str) -> None:
    (suite,) = fromstring(junit_xml(_checked(_case("files", "failed", said))))
    assert suite.find("testcase/failure").text == kept
