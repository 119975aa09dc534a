"""What every model family must fulfil, whatever its task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgetl.config.recipe import InputTable
from edgetl.models import (
    FAMILIES,
    ClassifierFamily,
    DetectorFamily,
    Family,
    ModelSpec,
    as_classifier,
    as_detector,
    deployable,
    load_model,
    save_model,
)
from edgetl.nn.folding import fold_norms
from edgetl.nn.yolox import RawDetections
from edgetl.tasks import TASKS

CLASSES = ("nut", "bolt", "gear")
WIDTH = 0.25

NAMES = FAMILIES.names()
CLASSIFIERS = [name for name in NAMES if isinstance(FAMILIES.load(name), ClassifierFamily)]
DETECTORS = [name for name in NAMES if isinstance(FAMILIES.load(name), DetectorFamily)]


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES.load(request.param)


@pytest.fixture(params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest) -> ClassifierFamily:
    return as_classifier(FAMILIES.load(request.param))


@pytest.fixture(params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> DetectorFamily:
    return as_detector(FAMILIES.load(request.param))


def small(family: Family) -> float:
    return WIDTH if family.has_widths else 1.0


def built(family: Family, *, seed: int = 0, classes: int = len(CLASSES)) -> nn.Module:
    return family.build(width=small(family), num_classes=classes, seed=seed)


def side(family: Family) -> int:
    """Return a small size that the family takes, with more than one location on every map."""
    return 2 * family.min_size


def images(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def listed(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else outputs


def spec(name: str) -> ModelSpec:
    family = FAMILIES.load(name)
    return ModelSpec.of(
        name,
        width=small(family),
        classes=CLASSES,
        image_input=InputTable(size=side(family)),
    )


def below(name: str, modules: tuple[str, ...]) -> bool:
    return name.startswith(tuple(f"{module}." for module in modules))


def settled(module: nn.Module) -> nn.Module:
    """Return `module` with norms that change what passes them, in evaluation mode."""
    rng = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight, part.bias, part.running_mean, part.running_var):
                assert values is not None
                values.data.uniform_(0.5, 1.5, generator=rng)
    return module.eval()


def test_every_task_has_families_and_each_of_them_fulfils_one_contract() -> None:
    assert {FAMILIES.load(name).task for name in NAMES} == set(TASKS.names())
    assert sorted(CLASSIFIERS + DETECTORS) == sorted(NAMES)


def test_family_of_another_task_is_refused(
    classifier: ClassifierFamily, detector: DetectorFamily
) -> None:
    with pytest.raises(TypeError, match="a family for detection has no features for a linear head"):
        as_classifier(detector)
    with pytest.raises(TypeError, match="a family for classification predicts no maps of boxes"):
        as_detector(classifier)


def test_facts_of_families_are_known_without_a_framework() -> None:
    program = (
        "import sys\n"
        "from edgetl.models import FAMILIES\n"
        "for name in FAMILIES.names():\n"
        "    family = FAMILIES.load(name)\n"
        "    family.task, family.version, family.min_size, family.size_multiple, family.blocks\n"
        "    family.min_classes, family.pretrained, family.reinitialized, family.has_widths\n"
        "print({'torch', 'torchvision', 'numpy'} & set(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"


def test_version_and_sizes_are_whole_numbers_from_one(family: Family) -> None:
    assert min(family.version, family.min_size, family.size_multiple, family.min_classes) >= 1
    assert family.min_size % family.size_multiple == 0
    assert len(family.mean) == len(family.std) == 3
    assert min(family.std) > 0


def test_blocks_hold_every_parameter_once(family: Family) -> None:
    module = built(family)
    owners = {
        name: [block.name for block in family.blocks if below(name, block.modules)]
        for name, _ in module.named_parameters()
    }

    assert [name for name, blocks in owners.items() if len(blocks) != 1] == []
    assert {blocks[0] for blocks in owners.values()} == {block.name for block in family.blocks}
    assert len({block.name for block in family.blocks}) == len(family.blocks)


def test_blocks_are_in_the_order_in_which_a_pass_completes_them(family: Family) -> None:
    module = built(family).eval()
    completed: list[str] = []
    for block in family.blocks:
        for name in block.modules:
            for part in module.get_submodule(name).modules():
                if next(part.parameters(recurse=False), None) is not None:
                    part.register_forward_hook(
                        lambda _module, _inputs, _output, name=block.name: completed.append(name)
                    )

    with torch.inference_mode():
        module(images(side(family)))

    last = {name: position for position, name in enumerate(completed)}
    assert sorted(last, key=last.__getitem__) == [block.name for block in family.blocks]


def test_head_is_the_last_block_or_inside_it(family: Family) -> None:
    last = family.blocks[-1]

    assert last.name == "head"
    assert family.head in last.modules or below(family.head, last.modules)
    assert list(built(family).get_submodule(family.head).parameters())


def test_head_is_a_linear_layer_over_the_features(classifier: ClassifierFamily) -> None:
    module = built(classifier).eval()
    head = module.get_submodule(classifier.head)

    with torch.inference_mode():
        features = classifier.features(module, images(side(classifier)))
        logits = module(images(side(classifier)))
        logits_of_features = head(features)

    assert isinstance(head, nn.Linear)
    assert head.out_features == len(CLASSES)
    assert features.shape == (2, head.in_features)
    assert torch.equal(logits_of_features, logits)


def locations(detector: DetectorFamily) -> int:
    return sum((side(detector) // stride) ** 2 for stride in detector.strides)


def test_detector_predicts_at_every_location_of_its_maps(detector: DetectorFamily) -> None:
    module = built(detector).eval()

    with torch.inference_mode():
        raw = module(images(side(detector)))

    assert isinstance(raw, RawDetections)
    assert detector.size_multiple % max(detector.strides) == 0
    assert [tuple(part.shape) for part in raw] == [
        (2, locations(detector), count) for count in (4, 1, len(CLASSES))
    ]


def test_feature_layers_have_strides_8_16_and_32(detector: DetectorFamily) -> None:
    module = built(detector).eval()
    heights: list[int] = []
    for name in detector.feature_layers:
        module.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output: heights.append(output.shape[2])
        )

    with torch.inference_mode():
        module(images(side(detector)))

    assert heights == [side(detector) // stride for stride in (8, 16, 32)]


def test_same_seed_builds_the_same_weights_and_leaves_the_random_state(family: Family) -> None:
    before = torch.get_rng_state()
    first, second, other = (built(family, seed=seed).state_dict() for seed in (4, 4, 5))

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_wider_networks_have_more_parameters(family: Family) -> None:
    widths = (0.25, 0.35, 0.5, 0.75, 1.0) if family.has_widths else (1.0,)
    with torch.device("meta"):
        sizes = [
            sum(
                parameter.numel()
                for parameter in family.build(width=width, num_classes=3, seed=0).parameters()
            )
            for width in widths
        ]

    assert sizes == sorted(set(sizes))


def test_smallest_input_is_large_enough_to_train_on(family: Family) -> None:
    module = built(family).train()

    for output in listed(module(images(family.min_size))):
        assert len(output) == 2
        assert bool(output.isfinite().all())


def test_gradient_reaches_every_parameter(family: Family) -> None:
    module = built(family).train()
    rng = torch.Generator().manual_seed(0)

    parts = listed(module(images(side(family))))
    # Weighted at random, as batch normalisation takes the gradient out of a plain sum.
    weighted = [(part * torch.randn(part.shape, generator=rng)).sum() for part in parts]
    torch.stack(weighted).sum().backward()

    without = [name for name, value in module.named_parameters() if value.grad is None]
    assert without == []


def test_exactly_the_reinitialized_modules_depend_on_the_number_of_classes(family: Family) -> None:
    with torch.device("meta"):
        few, many = (built(family, classes=count).state_dict() for count in (3, 7))

    differing = {name for name in few if few[name].shape != many[name].shape}
    renewed = {name for name in few if below(name, family.reinitialized)}

    assert few.keys() == many.keys()
    assert differing == renewed
    assert renewed
    assert all(f"{part}.".startswith(f"{family.head}.") for part in family.reinitialized)


def test_fewest_classes_can_be_built(family: Family) -> None:
    module = built(family, classes=family.min_classes).eval()

    with torch.inference_mode():
        outputs = listed(module(images(side(family))))

    assert outputs[-1].shape[-1] == family.min_classes


def test_pretrained_weights_state_source_and_licence(family: Family) -> None:
    for weights in family.pretrained.values():
        assert weights.source
        # An SPDX identifier is one word.
        assert weights.licence
        assert not weights.licence.split()[1:]


def test_weights_that_nobody_publishes_cannot_be_fetched(family: Family) -> None:
    with pytest.raises(KeyError, match="made-up"):
        family.fetch("made-up")


def test_every_norm_can_be_folded_into_the_convolution_before_it(family: Family) -> None:
    module = settled(built(family))
    inputs = images(side(family))

    with torch.inference_mode():
        before = module(inputs)
        fold_norms(module)
        after = module(inputs)

    assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    for one, other in zip(listed(before), listed(after), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_saved_model_is_rebuilt_from_its_spec(name: str, tmp_path: Path) -> None:
    module = settled(built(FAMILIES.load(name), seed=3))
    inputs = images(side(FAMILIES.load(name)))

    save_model(tmp_path, spec(name), module)
    loaded_spec, loaded = load_model(tmp_path)

    assert loaded_spec == spec(name)
    with torch.inference_mode():
        pairs = zip(listed(loaded(inputs)), listed(module(inputs)), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_deployed_network_takes_raw_pixels_and_leaves_the_trained_one_as_it_is(name: str) -> None:
    family = FAMILIES.load(name)
    module = built(family).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    size = side(family)
    pixels = torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(0)) * 255

    with torch.inference_mode():
        outputs = listed(deployable(spec(name), module)(pixels))

    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(bool(output.isfinite().all()) for output in outputs)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_deployed_classifier_gives_logits(name: str) -> None:
    size = side(FAMILIES.load(name))
    network = deployable(spec(name), built(FAMILIES.load(name)))

    assert network(torch.zeros(1, size, size, 3)).shape == (1, len(CLASSES))


@pytest.mark.parametrize("name", DETECTORS)
def test_deployed_detector_gives_boxes_and_scores_in_0_to_1(name: str) -> None:
    family = as_detector(FAMILIES.load(name))
    size = side(family)
    pixels = torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(0)) * 255

    with torch.inference_mode():
        boxes, scores = deployable(spec(name), built(family))(pixels)

    assert boxes.shape == (1, locations(family), 4)
    assert scores.shape == (1, locations(family), len(CLASSES))
    assert 0 <= boxes.min() <= boxes.max() <= 1
    assert 0 <= scores.min() <= scores.max() <= 1
