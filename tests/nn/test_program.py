from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgetl.nn.program import trace


class Pooled(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        result = image.permute(0, 3, 1, 2)
        once = nn.functional.adaptive_avg_pool2d(result, 1)
        halves = nn.functional.adaptive_avg_pool2d(result, (2, 1))
        return once, halves


EXAMPLE = torch.arange(48.0).reshape(1, 4, 4, 3)
EXAMPLES = {"image": EXAMPLE}


def targets(module: nn.Module, *outputs: str) -> list[str]:
    program = trace(module.eval(), EXAMPLES, outputs).run_decompositions()
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def test_pool_to_one_pixel_is_a_mean_and_nothing_else() -> None:
    class Global(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return nn.functional.adaptive_avg_pool2d(image.permute(0, 3, 1, 2), (1, 1))

    assert targets(Global(), "pooled") == ["aten.permute.default", "aten.mean.dim"]


def test_outputs_carry_their_names_and_values() -> None:
    module = Pooled().eval()

    result = trace(module, EXAMPLES, ("once", "halves")).module()(image=EXAMPLE)

    once, halves = module(EXAMPLE)
    assert list(result) == ["once", "halves"]
    assert torch.allclose(result["once"], once)
    assert torch.allclose(result["halves"], halves), "a pool to more pixels stays a pool"


def test_inputs_are_named_in_the_order_of_the_arguments() -> None:
    class Difference(nn.Module):
        def forward(self, minuend: Tensor, subtrahend: Tensor) -> Tensor:
            return minuend - subtrahend

    # Alphabetical order would swap them.
    examples = {"words": torch.zeros(1, 2, dtype=torch.int32), "types": torch.ones(1, 2)}
    program = trace(Difference().eval(), examples, ("difference",))

    assert program.graph_signature.user_inputs == ("words", "types")
    outputs = program.module()(
        words=torch.full((1, 2), 5, dtype=torch.int32), types=torch.full((1, 2), 3.0)
    )
    assert outputs["difference"].tolist() == [[2.0, 2.0]]


def test_program_remembers_no_source_line() -> None:
    program = trace(Pooled().eval(), EXAMPLES, ("once", "halves"))

    assert all("stack_trace" not in node.meta for node in program.graph.nodes)


def test_wrong_number_of_names_is_refused() -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is longer"):
        trace(Pooled().eval(), EXAMPLES, ("once",))
