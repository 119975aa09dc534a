"""Write ONNX files that old versions of ONNX Runtime read, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import helper

_OLDEST_IR = 8
"""Read by ONNX Runtime from 1.13 on; the first with everything that exporters may use, such as
functions."""
_DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})


def write_onnx(model: onnx.ModelProto, target: Path) -> None:
    """Check `model` and write it into `target`; equal models give equal bytes.

    Its imports are reduced to the operator sets that it uses, and its format to the lowest one that
    has them: an engine refuses a file that states newer ones, even if it needs nothing of them.
    """
    _lower_versions(model)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _lower_versions(model: onnx.ModelProto) -> None:
    used = {*_DEFAULT_DOMAINS, *_domains(model.graph.node)}
    for function in model.functions:
        used.update(_domains(function.node))
    imports = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    # Types came with operator sets. Those of other publishers do not depend on the format.
    least = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    model.ir_version = max(_OLDEST_IR, least)


def _domains(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Yield the domains of `nodes` and of those in their subgraphs."""
    for node in nodes:
        yield node.domain
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _domains(graph.node)
