"""Multiplies the logits of a model: an entry of a ``refine`` list."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from edgetl.config.table import Table
from edgetl.facts import FactsModel
from edgetl.models import FAMILIES, load_model, read_spec, save_model
from edgetl.stages import REFINED_KIND, Job, Node, Planned, Refining, Stage, Workspace, no_nodes
from edgetl.store.store import Artifact


class SharpenTable(Table):
    factor: float = Field(default=2.0, gt=0.0)
    """What logits are multiplied by."""


class SharpenFacts(FactsModel):
    factor: float


def _refine(job: Job, step: Refining, made: Planned) -> Node:
    del job, made
    label = f"sharpen {step.model} {step.step}"
    return Node("sharpen", label, step.options, {"model": step.source}, key=step.model)


def _run(settings: SharpenTable, inputs: Mapping[str, Artifact], work: Workspace) -> SharpenFacts:
    import torch

    spec, module = load_model(inputs["model"].folder)
    head = module.get_submodule(FAMILIES.load(spec.family).head)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(settings.factor)
    save_model(work.out, spec, module)
    return SharpenFacts(factor=settings.factor)


def _tools(settings: SharpenTable) -> tuple[str, ...]:
    del settings
    return ("torch",)


def _summary(facts: SharpenFacts) -> str:
    return f"logits times {facts.factor:g}"


def _plugins(settings: SharpenTable, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del settings
    return FAMILIES.stamp(read_spec(inputs["model"].folder).family)


STAGE = Stage(
    name="sharpen",
    version=1,
    needs=(),
    makes=REFINED_KIND,
    options=SharpenTable,
    plan=no_nodes,
    refine=_refine,
    tools=_tools,
    facts=SharpenFacts,
    run=_run,
    summary=_summary,
    plugins=_plugins,
)
