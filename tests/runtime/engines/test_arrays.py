"""Inputs of models that are no images as edgetl exports them."""

from __future__ import annotations

import pytest

from edgetl.runtime.engines import TensorInfo
from edgetl.runtime.engines._arrays import check_input
from edgetl.runtime.errors import ContractError


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((1, 3, 416, 640), "its channels come first: export it again around a module that takes"),
        ((1, 416, 640, 4), "export the model with edgetl"),
        ((3, 416), "export the model with edgetl"),
    ],
    ids=["channels first", "four channels", "no image"],
)
def test_input_of_another_shape_is_refused_with_the_way_out(
    shape: tuple[int, ...], remedy: str
) -> None:
    info = TensorInfo("images", shape, "float32", None, None)
    with pytest.raises(
        ContractError, match=r"input 'images' has shape .*, not \(1, H, W, 3\)"
    ) as e:
        check_input(info)
    assert e.value.remedy.startswith(remedy)
