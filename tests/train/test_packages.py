"""What training needs beyond edgetl's own dependencies is found without importing it."""

from __future__ import annotations

import pytest

from edgetl.errors import MissingPackage
from edgetl.train import packages


def test_nothing_is_missing_where_everything_is_installed() -> None:
    assert list(packages.missing_packages()) == []


def test_missing_package_belongs_to_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = {"torch", "lightning_fabric"}
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in hidden else name)
    assert list(packages.missing_packages()) == [
        MissingPackage("training", "lightning-fabric", "edgetl[train]"),
        MissingPackage("training", "torch", "edgetl[train]"),
    ]
