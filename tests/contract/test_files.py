"""Every target, calibration recipe and ready-made recipe that ships can be used as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.load import known_files, load_calibration, load_target
from edgetl.devices import check_device
from edgetl.exporters import EXPORTERS
from edgetl.pipeline.job import load_job
from edgetl.pipeline.order import all_stages
from edgetl.store.store import Store


@pytest.mark.parametrize("name", sorted(known_files("targets")))
def test_target_names_plugins_that_exist(name: str) -> None:
    target = load_target(name)
    for kind, _ in target.pairs():
        EXPORTERS.check(kind)
    if target.device is not None:
        assert check_device(target.device) is None


@pytest.mark.parametrize("name", sorted(known_files("calibration")))
def test_calibration_recipe_loads(name: str) -> None:
    assert load_calibration(name).name == name


@pytest.mark.parametrize("name", sorted(known_files("recipes")))
def test_ready_made_recipe_passes_every_check(name: str, tmp_path: Path) -> None:
    job = load_job(name, (), Store(tmp_path), all_stages())
    assert job.recipe.name == name
