"""What every model family must hold, for each file in `edgetl/models/`."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from edgetl.config.recipe import InputTable
from edgetl.models import FAMILIES, Family, ModelSpec, deployable
from edgetl.nn.folding import fold_norms
from edgetl.nn.yolox import RawDetections
from edgetl.train.tasks import TASKS
from edgetl.types import Task

CLASSES = 3
SIZE = 64
WIDTH = 0.25
LOCATIONS = 8 * 8 + 4 * 4 + 2 * 2

CLASSIFIERS = [name for name in FAMILIES.names() if FAMILIES.load(name).task is Task.CLASSIFICATION]
DETECTORS = [name for name in FAMILIES.names() if FAMILIES.load(name).task is Task.DETECTION]


@pytest.fixture(params=FAMILIES.names())
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES.load(request.param)


@pytest.fixture(params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest) -> Family:
    return FAMILIES.load(request.param)


@pytest.fixture(params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Family:
    return FAMILIES.load(request.param)


def built(
    family: Family, *, width: float = WIDTH, seed: int = 0, classes: int = CLASSES
) -> nn.Module:
    return family.build(width=width, num_classes=classes, seed=seed)


def images(size: int = SIZE) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def spec(name: str) -> ModelSpec:
    family = FAMILIES.load(name)
    return ModelSpec(
        task=family.task,
        family=name,
        width=WIDTH,
        classes=("nut", "bolt", "gear"),
        mean=family.mean,
        std=family.std,
        input=InputTable(size=SIZE),
    )


def test_every_task_has_families() -> None:
    assert {FAMILIES.load(name).task for name in FAMILIES.names()} == set(Task)
    assert {task.value for task in Task} == set(TASKS.names())


def test_facts_of_families_are_known_without_a_framework() -> None:
    program = (
        "import sys\n"
        "from edgetl.models import FAMILIES\n"
        "for name in FAMILIES.names():\n"
        "    family = FAMILIES.load(name)\n"
        "    family.task, family.strides, family.published, family.fresh\n"
        "print({'torch', 'torchvision', 'numpy'} & set(sys.modules))\n"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout == "set()\n"


def test_head_is_a_linear_layer_over_the_features(classifier: Family) -> None:
    module = built(classifier).eval()
    head = module.get_submodule(classifier.head)

    with torch.inference_mode():
        features = classifier.features(module, images())
        logits = module(images())
        logits_of_features = head(features)

    assert isinstance(head, nn.Linear)
    assert head.out_features == CLASSES
    assert features.shape == (2, head.in_features)
    assert torch.equal(logits_of_features, logits)


def test_detector_answers_at_every_location_of_its_maps(detector: Family) -> None:
    module = built(detector).eval()

    with torch.inference_mode():
        raw = module(images())

    assert isinstance(raw, RawDetections)
    assert detector.strides == (8, 16, 32)
    assert [tuple(part.shape) for part in raw] == [
        (2, LOCATIONS, count) for count in (4, 1, CLASSES)
    ]


def test_detector_has_no_row_of_features(detector: Family) -> None:
    with pytest.raises(ValueError, match="a detector's head sees maps, not a row of features"):
        detector.features(nn.Identity(), images())


def test_same_seed_builds_the_same_weights_and_leaves_the_random_state(family: Family) -> None:
    before = torch.get_rng_state()
    first, second, other = (built(family, seed=seed).state_dict() for seed in (4, 4, 5))

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_wider_networks_have_more_parameters(family: Family) -> None:
    with torch.device("meta"):
        sizes = [
            sum(parameter.numel() for parameter in built(family, width=width).parameters())
            for width in (0.25, 0.35, 0.5, 0.75, 1.0)
        ]

    assert sizes == sorted(set(sizes))


def test_taps_have_strides_8_16_and_32(family: Family) -> None:
    module = built(family).eval()
    heights: list[int] = []
    for name in family.feature_layers:
        module.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output: heights.append(output.shape[2])
        )

    with torch.inference_mode():
        module(images())

    assert heights == [SIZE // 8, SIZE // 16, SIZE // 32]


def test_smallest_input_is_large_enough_to_train_on(family: Family) -> None:
    module = built(family).train()
    size = family.min_size

    outputs = module(images(size))

    if family.strides:
        assert size % max(family.strides) == 0
    for output in outputs if family.strides else (outputs,):
        assert len(output) == 2
        assert bool(output.isfinite().all())


def test_gradient_reaches_every_parameter(family: Family) -> None:
    module = built(family).train()
    draw = torch.Generator().manual_seed(0)

    outputs = module(images())
    parts = outputs if family.strides else (outputs,)
    # Weighted at random, as batch normalisation takes the gradient out of a plain sum.
    sum((part * torch.randn(part.shape, generator=draw)).sum() for part in parts).backward()

    without = [name for name, value in module.named_parameters() if value.grad is None]
    assert without == []


def test_exactly_the_fresh_modules_depend_on_the_number_of_classes(family: Family) -> None:
    with torch.device("meta"):
        few, many = (built(family, classes=count).state_dict() for count in (3, 7))

    differing = {name for name in few if few[name].shape != many[name].shape}
    below = {
        name for name in few if name.startswith(tuple(f"{part}." for part in family.reinitialized))
    }

    assert few.keys() == many.keys()
    assert differing == below
    assert below
    assert all(f"{part}.".startswith(f"{family.head}.") for part in family.reinitialized)


def test_weights_that_nobody_publishes_cannot_be_fetched(family: Family) -> None:
    assert family.pretrained
    with pytest.raises(KeyError, match="made-up"):
        family.fetch("made-up")


def test_every_norm_can_be_folded_into_the_convolution_before_it(family: Family) -> None:
    module = built(family).eval()
    rng = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight, part.bias, part.running_mean, part.running_var):
                assert values is not None
                values.data.uniform_(0.5, 1.5, generator=rng)
    images = torch.rand(1, 3, SIZE, SIZE, generator=rng)
    with torch.inference_mode():
        before = module(images)
        fold_norms(module)
        after = module(images)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES.names())
def test_deployed_network_takes_raw_pixels_and_leaves_the_trained_one_as_it_is(name: str) -> None:
    module = built(FAMILIES.load(name)).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    pixels = torch.rand(1, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(0)) * 255

    with torch.inference_mode():
        outputs = deployable(spec(name), module)(pixels)

    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    if FAMILIES.load(name).strides:
        boxes, scores = outputs
        assert boxes.shape == (1, LOCATIONS, 4)
        assert scores.shape == (1, LOCATIONS, CLASSES)
        assert 0 <= boxes.min() <= boxes.max() <= 1
        assert 0 <= scores.min() <= scores.max() <= 1
    else:
        assert outputs.shape == (1, CLASSES)
