"""Whatever inputs a file has, its image is found and the others are given what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgetl.errors import ConfigError
from edgetl.graph_lint import lint
from edgetl.graph_lint.inputs import Image, InputInfo, feed

FLOAT, BOOL, TEXT, INT64 = 1, 9, 8, 7
FILE = Path("model.onnx")
IMAGE = InputInfo("image", (1, 3, 48, 64), "float32")
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("stated", "image", "fed"),
    [
        ((1, 3, 48, 64), (48, 64, 3, True, 1), (1, 3, 48, 64)),
        ((8, 48, 64, 3), (48, 64, 3, False, 8), (8, 48, 64, 3)),
        ((None, 1, None, None), (320, 320, 1, True, 1), (1, 1, 320, 320)),
        ((3, None, None), (320, 320, 3, True, None), (3, 320, 320)),
        ((48, 64, 3), (48, 64, 3, False, None), (48, 64, 3)),
    ],
    ids=["first", "last in eights", "open and grey", "open without batch", "without batch"],
)
def test_image_of_any_layout_is_known(
    stated: tuple[int | None, ...],
    image: tuple[int, int, int, bool, int | None],
    fed: tuple[int, ...],
) -> None:
    height, width, channels, channels_first, batch = image

    found = feed(FILE, [InputInfo("image", stated, "float32")]).image

    assert found == Image(
        height, width, channels, channels_first=channels_first, dtype="float32", batch=batch
    )
    assert found.shape == fed


@pytest.mark.parametrize(
    ("given", "values", "told"),
    [
        (
            InputInfo("image_shape", (1, 2), "float32"),
            [[48, 64]],
            (
                "input 'image_shape' was fed with 48 and 64, height and width of the image; "
                "if it needs something else, make it a constant in the file"
            ),
        ),
        (
            InputInfo("orig_target_sizes", (None, 2), "int64"),
            [[48, 64]],
            "input 'orig_target_sizes' was fed with 48 and 64, height and width of the image",
        ),
        (
            InputInfo("im_info", (1, 3), "float32"),
            [[48, 64, 1]],
            "input 'im_info' was fed with 48, 64 and 1, height, width and scale of the image",
        ),
        (
            InputInfo("scale_factor", (1, 2), "float32"),
            [[1, 1]],
            "input 'scale_factor' was fed with ones; if it needs something else, make it",
        ),
        (
            InputInfo("threshold", (), "float32"),
            1,
            "input 'threshold' was fed with 1; if it needs something else, make it",
        ),
        (
            InputInfo("mean", (1, 3, 1, 1), "float32"),
            [[[[1]], [[1]], [[1]]]],
            "input 'mean' was fed with ones; if it needs something else, make it",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, InputInfo) else "",
)
def test_further_input_gets_a_stand_in_that_is_told(
    given: InputInfo, values: object, told: str
) -> None:
    fed = feed(FILE, [given, IMAGE])

    assert fed.image_inputs == ("image",)
    assert fed.others[given.name].tolist() == values
    assert fed.notes[0].startswith(told)


def test_second_image_of_the_same_kind_gets_the_same_image() -> None:
    fed = feed(FILE, [IMAGE, InputInfo("right", IMAGE.shape, "float32")])

    assert (fed.image_inputs, fed.others) == (("image", "right"), {})
    assert fed.notes == ("input 'right' was fed with the same image as 'image'",)


def test_coloured_image_with_a_batch_comes_before_a_mask() -> None:
    fed = feed(FILE, [InputInfo("mask", (1, 1, 48, 64), "float32"), IMAGE])

    assert fed.image_inputs == ("image",)
    assert fed.others["mask"].shape == (1, 1, 48, 64)


def test_open_first_axis_of_a_further_input_is_as_long_as_the_batch() -> None:
    image = InputInfo("image", (4, 3, 48, 64), "float32")

    fed = feed(
        FILE, [image, InputInfo("size", (None, 2), "int64"), InputInfo("k", (None,), "int64")]
    )

    assert fed.others["size"].tolist() == [[48, 64]] * 4
    assert fed.others["k"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([InputInfo("row", (1, 10), "float32")], r"no input is an image, .+: 'row' \(1, 10\)"),
        (
            [InputInfo("points", (1, 1024, 3), "float32")],
            r"no input is .+: 'points' \(1, 1024, 3\)",
        ),
        (
            [InputInfo("many", (1, 12, None, None), "float32"), InputInfo("flag", (), "bool")],
            r"no input is .+: 'many' \(1, 12, \?, \?\), 'flag' \(\)",
        ),
        ([InputInfo("mask", (1, 1, 8, 8), "bool")], r"no input is .+: 'mask' \(1, 1, 8, 8\)"),
        ([], "no input is an image, .+: there is none"),
        ([IMAGE, InputInfo("name", (1,), "object")], "input 'name' takes no numbers"),
    ],
    ids=["row", "points", "twelve channels", "yes or no", "none", "text"],
)
def test_file_without_an_image_or_with_text_is_refused(
    inputs: list[InputInfo], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{message}\n *give .+ file that takes an image"):
        feed(FILE, inputs)


def test_model_with_two_inputs_is_looked_at(write: Write) -> None:
    nodes = [
        ("Mul", "image gain", "a"),
        ("Mul", "a small", "b"),
        ("Where", "flag a b", "c"),
        ("Concat", "b c", "both", {"axis": 1}),
    ]
    file = write(
        nodes, {"both": [1, 6, 8, 8]}, [1, 3, 8, 8], constants={"small": np.float32(0.01)},
        inputs={"gain": (FLOAT, [1]), "flag": (BOOL, [1])},
    )  # fmt: skip

    report = lint(file)

    assert report.findings[0].what == "Concat 'both'"
    assert report.findings[0].ratio == pytest.approx(100)
    assert [told.split(";")[0] for told in report.fed] == [
        "input 'gain' was fed with 1",
        "input 'flag' was fed with 1",
    ]


def test_size_of_the_image_reaches_the_model(write: Write) -> None:
    nodes = [
        ("Cast", "size", "sides", {"to": FLOAT}),
        ("ReduceMax", "image", "most", {"keepdims": 1}),
        ("Reshape", "most shape", "row"),
        ("Concat", "row sides", "both", {"axis": 1}),
    ]
    file = write(
        nodes, {"both": [1, 3]}, [1, 3, 24, 40], constants={"shape": np.array([1, 1])},
        inputs={"size": (INT64, [1, 2])},
    )  # fmt: skip

    (found,) = (each for each in lint(file, pixels="0..1").findings if "Concat" in each.what)

    assert (found.parts[1].lowest, found.parts[1].highest) == (24, 40)


@pytest.mark.parametrize("shape", [[4, 3, 8, 8], [3, 8, 8]], ids=["four at a time", "no batch"])
def test_fixed_batch_is_filled_and_a_missing_one_left_out(write: Write, shape: list[int]) -> None:
    nodes = [("Mul", "image small", "a"), ("Concat", "a image", "both", {"axis": -1})]
    file = write(nodes, {"both": [*shape[:-1], 16]}, shape, constants={"small": np.float32(0.01)})

    report = lint(file)

    assert report.findings[0].ratio == pytest.approx(100)
    assert report.fed == (
        ("every image was fed 4 times, the batch that the file fixes",) if len(shape) > 3 else ()
    )


def test_input_with_a_value_in_the_file_needs_none(write: Write) -> None:
    file = write(
        [("Mul", "image gain", "out")], {"out": [1, 3, 8, 8]}, [1, 3, 8, 8],
        constants={"gain": np.ones(1, np.float32)}, inputs={"gain": (FLOAT, [1])},
    )  # fmt: skip

    assert lint(file).fed == ()


def test_input_that_takes_text_is_refused(write: Write) -> None:
    file = write(
        [("Relu", "image", "out"), ("Identity", "name", "same")], {"out": [1, 3, 8, 8]},
        [1, 3, 8, 8], inputs={"name": (TEXT, [1])},
    )  # fmt: skip

    with pytest.raises(ConfigError, match="input 'name' takes no numbers"):
        lint(file)


def test_input_that_is_a_list_is_refused(write: Write) -> None:
    import onnx

    file = write([("Relu", "image", "out")], {"out": [1, 3, 8, 8]}, [1, 3, 8, 8])
    model = onnx.load(file)
    model.graph.input.append(onnx.helper.make_tensor_sequence_value_info("all", FLOAT, [3, 8, 8]))
    onnx.save(model, file)

    with pytest.raises(ConfigError, match="input 'all' is not a tensor"):
        lint(file)
