from __future__ import annotations

from edgetl.quantizers._graph import Gate, Operation, gated, tail, unit

# Two convolutions in a row, then one for boxes and one for scores, and a residual sum.
STEM = Operation("stem", "CONV_2D", ("image",), ("a",))
BIAS = Operation("bias", "Add", ("a",), ("b",))
GATE = Operation("gate", "LOGISTIC", ("b",), ("c",))
SILU = Operation("silu", "MUL", ("b", "c"), ("d",))
PAD = Operation("pad", "PAD", ("d",), ("e",))
DEPTHWISE = Operation("depthwise", "DEPTHWISE_CONV_2D", ("e",), ("f",))
SUM = Operation("sum", "ADD", ("d", "f"), ("g",))
BOXES = Operation("boxes", "Convolution", ("g",), ("h",))
EXP = Operation("exp", "Exp", ("h",), ("i",))
SCORES = Operation("scores", "Conv", ("g",), ("j",))
GRAPH = (STEM, BIAS, GATE, SILU, PAD, DEPTHWISE, SUM, BOXES, EXP, SCORES)


def test_tail_begins_with_the_last_convolution_of_every_output() -> None:
    assert tail(GRAPH, ("i", "j")) == {"boxes", "exp", "scores"}
    assert tail(GRAPH, ("i",)) == {"boxes", "exp"}


def test_tail_of_a_graph_without_weights_is_all_of_it() -> None:
    assert tail((GATE, SILU), ("d",)) == {"gate", "silu"}


def test_unit_of_a_convolution_has_its_bias_and_its_whole_activation() -> None:
    assert unit(GRAPH, STEM) == {"stem", "bias", "gate", "silu"}


def test_unit_includes_the_padding_before_it_but_no_sum_with_another_tensor() -> None:
    assert unit(GRAPH, DEPTHWISE) == {"pad", "depthwise"}


def test_gated_are_the_tensors_that_only_a_silu_or_hard_swish_reads() -> None:
    whole = Operation("swish", "HARD_SWISH", ("f",), ("k",))
    graph = (*GRAPH[:6], whole, Operation("last", "CONV_2D", ("k",), ("l",)))
    assert gated(graph, ("l",)) == {"b": (Gate.SILU, "d"), "f": (Gate.HARD_SWISH, "k")}


def test_tensor_with_other_readers_is_not_gated() -> None:
    # A residual sum; an output; a squeeze-and-excitation block, whose gate reads another tensor.
    residual = (GATE, SILU, Operation("sum", "ADD", ("b", "d"), ("e",)))
    excitation = (
        Operation("gate", "HardSigmoid", ("squeezed",), ("share",)),
        Operation("scale", "Mul", ("map", "share"), ("scaled",)),
    )
    assert gated(residual, ("e",)) == {}
    assert gated((GATE, SILU), ("b", "d")) == {}
    assert gated(excitation, ("scaled",)) == {}


def test_gate_with_other_readers_is_not_part_of_an_activation() -> None:
    assert gated((GATE, SILU, Operation("other", "ADD", ("c", "d"), ("e",))), ("e",)) == {}
