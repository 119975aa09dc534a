from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.tasks import classification


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        # exp(0) : exp(log 3) : exp(0) = 1 : 3 : 1
        pytest.param("logits", [0.0, np.log(3.0), 0.0], (0.2, 0.6, 0.2), id="logits"),
        pytest.param("probabilities", [0.1, 0.7, 0.2], (0.1, 0.7, 0.2), id="as they are"),
    ],
)
def test_outputs_become_probabilities(
    contract: Contract, kind: str, values: list[float], expected: tuple[float, ...]
) -> None:
    given = dataclasses.replace(contract, outputs=(OutputSpec("out", "x", (1, 3), kind),))
    assert list(classification.problems(given)) == []

    prediction = classification.predict({"out": np.array(values, np.float32)}, given, None)

    assert prediction.probabilities == pytest.approx(expected, abs=1e-6)
    assert (prediction.label, prediction.index) == ("green", 1)
