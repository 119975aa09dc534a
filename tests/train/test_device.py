from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from edgetl.train import device


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cores", "num_threads"),
    [
        pytest.param(1, 1, id="quota of a container"),
        pytest.param(3, 3, id="as many"),
        # A smaller number was set on purpose, for example by OMP_NUM_THREADS.
        pytest.param(8, 3, id="more cores"),
    ],
)
def test_cpu_computes_with_no_more_threads_than_usable_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, num_threads: int
) -> None:
    torch.set_num_threads(3)
    monkeypatch.setattr(device, "usable_cores", lambda: cores)
    device.open_fabric("cpu", mixed_precision=False)
    assert torch.get_num_threads() == num_threads
