"""The order of stages follows from what they need and make."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError

import pytest

from edgetl.config.table import Table
from edgetl.facts import NoFacts
from edgetl.pipeline.planner import all_stages, in_order, plan_round
from edgetl.stages import Job, Node, Stage


def _stage(name: str, needs: tuple[str, ...], makes: str, nodes: int = 0) -> Stage:
    return Stage(
        name=name,
        version=1,
        needs=needs,
        makes=makes,
        options=Table,
        plan=lambda _job, _made: [Node(name, name, Table())] * nodes,
        tools=lambda _: (),
        facts=NoFacts,
        run=lambda _settings, _inputs, _work: NoFacts(),
        summary=lambda _: "",
    )


def test_stages_come_after_those_that_make_what_they_need(stages: Mapping[str, Stage]) -> None:
    assert list(stages) == ["source", "sum", "parity"]


def test_real_stages_are_ordered_from_index_to_package() -> None:
    names = list(all_stages())
    assert names[0] == "index"
    assert names[-1] == "package"
    for earlier, later in [
        ("index", "view"),
        ("view", "finetune"),
        ("finetune", "distill"),
        ("distill", "export"),
        ("export", "quantize"),
        ("quantize", "verify"),
        ("quantize", "benchmark"),
    ]:
        assert names.index(earlier) < names.index(later)


def test_stages_that_need_each_other_are_refused() -> None:
    with pytest.raises(CycleError):
        in_order([_stage("a", ("b",), "a"), _stage("b", ("a",), "b")])


def test_need_that_nobody_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="stage a needs gold, which no stage makes"):
        in_order([_stage("a", ("gold",), "a")])


def test_stage_comes_after_every_maker_of_what_it_needs() -> None:
    ordered = in_order([_stage("a", ("x",), "y"), _stage("b", (), "x"), _stage("c", (), "x")])
    assert list(ordered) == ["b", "c", "a"]


def test_two_nodes_of_one_label_are_refused(job: Job) -> None:
    with pytest.raises(ValueError, match="two nodes are called 'a'"):
        plan_round(job, in_order([_stage("a", (), "x", nodes=2)]), lambda _: None)
