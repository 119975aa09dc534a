"""The prefix under which most names of the network are found is taken off."""

from __future__ import annotations

import pytest

from edgetl.train.tensor_names import Placement, place_tensors

_OWN = ["features.0.weight", "features.1.weight", "head.bias"]
_DETECTOR = ["backbone.features.0.weight", "backbone.features.1.weight", "neck.weight", "head.bias"]
_MAPPING = {"features.": "backbone.features."}


@pytest.mark.parametrize(
    "prefix", ["", "model.", "backbone.", "module.", "0.", "model.0.", "_any_.of.them."]
)
def test_any_prefix_common_to_all_names_is_found(prefix: str) -> None:
    names = [prefix + name for name in _OWN]

    assert place_tensors(names, _OWN, {}) == Placement(
        dict(zip(names, _OWN, strict=True)), prefix, is_own_layout=True
    )


@pytest.mark.parametrize("prefix", ["", "model.", "encoder.0."])
def test_prefix_of_a_mapped_layout_is_found(prefix: str) -> None:
    names = [f"{prefix}features.0.weight", f"{prefix}features.1.weight", f"{prefix}classifier.bias"]

    assert place_tensors(names, _DETECTOR, _MAPPING) == Placement(
        {
            names[0]: "backbone.features.0.weight",
            names[1]: "backbone.features.1.weight",
            names[2]: "classifier.bias",
        },
        prefix,
        is_own_layout=False,
    )


def test_own_layout_goes_before_a_mapped_one_that_fits_a_part_of_it() -> None:
    names = [f"model.{name}" for name in _DETECTOR]

    placement = place_tensors(names, _DETECTOR, _MAPPING)

    assert placement.is_own_layout
    assert list(placement.places.values()) == _DETECTOR


def test_names_outside_the_prefix_stand_for_nothing() -> None:
    names = [*(f"model.{name}" for name in _OWN), "head.bias", "loss.weight"]

    placement = place_tensors(names, _OWN, {})

    assert [placement.places[name] for name in names] == [*_OWN, "", ""]


def test_network_held_twice_is_told_and_the_names_as_they_are_go_first() -> None:
    queries = [f"{prefix}{name}" for name in _OWN for prefix in ("encoder_q.", "encoder_k.")]
    averaged = [f"{prefix}{name}" for name in _OWN for prefix in ("", "ema.")]

    assert place_tensors(queries, _OWN, {}).prefix == "encoder_k."
    assert place_tensors(queries, _OWN, {}).also_under == ("encoder_q.",)
    assert place_tensors(averaged, _OWN, {}).prefix == ""
    assert place_tensors(averaged, _OWN, {}).also_under == ()


def test_names_of_another_network_keep_their_own() -> None:
    assert place_tensors(["stem.weight", "fc.bias"], _OWN, {}) == Placement(
        {"stem.weight": "stem.weight", "fc.bias": "fc.bias"}, "", is_own_layout=True
    )
