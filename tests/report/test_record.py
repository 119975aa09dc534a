"""A run is found again whole, or it is said what to run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from edgetl.config.candidate import Candidate
from edgetl.errors import StoreError, UsageError
from edgetl.facts.model_files import RangeFacts
from edgetl.facts.package import PackageFacts
from edgetl.report.formatting import estimator, mib, milliseconds, percentage_points
from edgetl.report.record import Run, epochs_of, hosts_of, last_run, seeds_of
from edgetl.types import Precision

if TYPE_CHECKING:
    from tests.report.conftest import Shelf

_COMMAND = "edgetl run bits.yaml"


def test_recipe_that_never_ran_names_the_command(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="recipe 'bits' has no finished run in ") as caught:
        last_run(shelf.store, "bits", _COMMAND)
    assert caught.value.remedy == _COMMAND


def test_artifacts_of_the_last_run_come_back_in_their_order(shelf: Shelf, classifier: Run) -> None:
    shelf.store.record_run("bits", classifier.artifacts)
    artifacts = last_run(shelf.store, "bits", _COMMAND)
    assert list(artifacts) == list(classifier.artifacts)
    assert artifacts["package host"].read(PackageFacts).chosen == Candidate(
        "student", "onnx", Precision.INT8, "cpu"
    )


def test_artifact_that_is_gone_is_named(shelf: Shelf, classifier: Run) -> None:
    shelf.store.record_run("bits", classifier.artifacts)
    shutil.rmtree(classifier.artifacts["compare"].folder)
    with pytest.raises(StoreError, match="artifact 'compare' of the last run is gone") as caught:
        last_run(shelf.store, "bits", _COMMAND)
    assert caught.value.remedy == _COMMAND


def test_artifact_that_was_changed_is_not_reported(shelf: Shelf, classifier: Run) -> None:
    shelf.store.record_run("bits", classifier.artifacts)
    (classifier.artifacts["finetune"].folder / "results.csv").write_text("better")
    with pytest.raises(StoreError, match=r"'finetune' in .* 'results.csv' was changed"):
        last_run(shelf.store, "bits", _COMMAND)


def test_epochs_of_all_phases_are_one_row(classifier: Run) -> None:
    epochs = epochs_of(classifier.trained["teacher"])
    assert epochs is not None
    assert epochs.train_loss == (2.0, 1.5, 1.0)
    assert epochs.val_metric == (None, 0.5, 0.75)
    assert epochs.phases == (("probe", 1), ("full", 2))
    assert epochs_of(classifier.trained["control"]) is None


def test_seeds_and_hosts_are_those_of_the_artifacts(classifier: Run) -> None:
    assert seeds_of(classifier) == [("index", "seed", 3)]
    assert [device for device, _ in hosts_of(classifier)] == ["local"]


def test_limits_that_were_not_set_are_not_told(classifier: Run) -> None:
    assert classifier.packages[0].read(PackageFacts).limits.in_words() == {
        "better_than_guessing": "better than guessing",
        "drop_pp": "drop at most 1 pp",
        "p95_ms": "p95 at most 3 ms",
    }


def test_candidate_of_two_targets_is_there_once(classifier: Run) -> None:
    assert [candidate.name for candidate in classifier.verifications()] == [
        "onnx int8",
        "tflite int8",
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(milliseconds(0.0123), "0.0123", id="microseconds"),
        pytest.param(milliseconds(0.614), "0.614", id="below one"),
        pytest.param(milliseconds(12.34), "12.3", id="tens"),
        pytest.param(milliseconds(1234.5), "1234", id="seconds"),
        pytest.param(milliseconds(None), "not measured", id="no time"),
        pytest.param(mib(2**20), "1.00", id="one MiB"),
        pytest.param(mib(150 * 2**20), "150", id="many MiB"),
        pytest.param(mib(None), "not measured", id="no size"),
        pytest.param(percentage_points(-0.04), "0.0", id="no minus zero"),
        pytest.param(
            estimator(RangeFacts(estimator="minmax", percentile=99.9)), "minmax", id="minmax"
        ),
    ],
)
def test_figures_keep_the_digits_that_mean_something(said: str, expected: str) -> None:
    assert said == expected
