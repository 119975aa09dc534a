"""Models of known weights, which later stages are given in the place of those that were trained.

What a training does depends on a processor's rounding, and more so the longer it lasts. Stages that
read a model must not: they get one whose weights are drawn as integers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, ClassifierFamily, ModelSpec
from edgetl.nn.layers import RawPixels
from edgetl.runtime.preprocess import place
from edgetl.types import Split

_STEPS = 128
"""Weights are multiples of one part in so many, so that float32 holds them exactly."""
_NOISE = 0.25
_CONTRAST = 8.0


def set_exact_weights(module: nn.Module, seed: int) -> None:
    """Draw all weights as dyadic numbers, near those of a network that passes on what it is given.

    A deep network of random weights is chaotic: rounding at its start is noise at its end. Here
    channels are copied; where there are more of them than before they are copied with both signs,
    so that one of two gets through an activation.
    """
    rng = np.random.default_rng(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            tensor.zero_()  # counts the batches of the training that came before
            continue
        shape = tuple(tensor.shape)
        drawn = rng.integers(-_STEPS, _STEPS + 1, shape) / _STEPS
        if tensor.ndim > 1:
            values = _NOISE * drawn
            centre = tuple(side // 2 for side in shape[2:])
            for row, column, sign in _copies(*shape[:2]):
                values[(row, column, *centre)] += sign
        elif name.endswith("running_var"):
            values = np.ones(shape)
        elif name.endswith("running_mean"):
            values = np.zeros(shape)
        else:
            values = drawn / 4 + name.endswith("weight")
        tensor.copy_(torch.from_numpy(values))


def _copies(num_outputs: int, num_inputs: int) -> Iterator[tuple[int, int, float]]:
    """Yield which input each output is copied from, and the sign."""
    for row in range(num_outputs):
        if num_outputs > num_inputs > 1:
            yield row, row // 2 % num_inputs, 1.0 - 2 * (row % 2)
        elif num_inputs > 1:
            yield row, 2 * row % num_inputs, 1.0
            yield row, (2 * row + 1) % num_inputs, -1.0
        else:
            yield row, 0, 1.0


def set_known_weights(spec: ModelSpec, module: nn.Module, dataset: Dataset, number: int) -> None:
    """Give `module` weights that make sense of the training images of `dataset`.

    Args:
        spec: Of the module.
        module: Changed in place; in evaluation mode.
        dataset: As the module sees it.
        number: From 1; models of different numbers differ.
    """
    pixels = torch.from_numpy(dataset.images(Split.TRAIN).copy()).float()
    family = FAMILIES.load(spec.family)
    with torch.no_grad():
        set_exact_weights(module, number)
        images = RawPixels(nn.Identity(), spec.mean, spec.std)(pixels)
        _settle_norms(module, images)
        if isinstance(family, ClassifierFamily):
            labels = _confused(torch.from_numpy(dataset.labels(Split.TRAIN)), number)
            wanted = nn.functional.one_hot(labels, len(spec.classes)) * _CONTRAST
            _fit(module.get_submodule(family.head), family.features(module, images), wanted)
        else:
            _aim_detector(module, images, dataset)


def _settle_norms(module: nn.Module, images: Tensor) -> None:
    """Let all norms of a layer divide by one number, so that none makes noise loud."""

    def settle(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
        variance, mean = torch.var_mean(inputs[0], axes)
        norm.running_mean.copy_(mean)
        norm.running_var.fill_(float(variance.mean()))

    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    handles = [norm.register_forward_pre_hook(settle) for norm in norms]
    module(images)
    for handle in handles:
        handle.remove()


def _confused(labels: Tensor, number: int) -> Tensor:
    """Return labels in which two classes are swapped, so that no two models predict the same."""
    pair = (None, (0, 1), (1, 2))[(number - 1) % 3]
    if pair is None:
        return labels
    first, second = pair
    return torch.where(labels == first, second, torch.where(labels == second, first, labels))


def _aim_detector(module: nn.Module, images: Tensor, dataset: Dataset) -> None:
    """Fit the last layers of a YOLOX to the boxes: a location inside one is to detect it."""
    seen: dict[str, Tensor] = {}
    handles = [
        part.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
        for name, part in module.named_modules()
        if "_preds." in name
    ]
    module(images)
    for handle in handles:
        handle.remove()
    for name, features in seen.items():
        rows = features.permute(0, 2, 3, 1).flatten(0, 2)
        inside, classes, offsets = _wanted_of(dataset, features.shape[-1])
        if "obj" in name:
            _fit(module.get_submodule(name), rows, (2 * inside[:, None] - 0.5) * _CONTRAST)
        elif "cls" in name:
            wanted = (
                2 * nn.functional.one_hot(classes[inside], len(dataset.classes)) - 1
            ) * _CONTRAST
            _fit(module.get_submodule(name), rows[inside], wanted)
        else:
            _fit(module.get_submodule(name), rows[inside], offsets[inside])


def _wanted_of(dataset: Dataset, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a map of `side` locations is to say of the training images, at each location.

    Returns:
        Whether it is inside a box, the class of that, and the raw outputs that `nn.boxes.decode`
        makes the box of.
    """
    stride = dataset.size / side
    y, x = np.divmod(np.arange(side * side), side)
    inside, classes, offsets = [], [], []
    sizes = dataset.image_sizes(Split.TRAIN).tolist()
    for truth, (height, width) in zip(dataset.truths(Split.TRAIN), sizes, strict=True):
        of_image = np.full(len(x), -1)
        wanted = np.zeros((len(x), 4))
        boxes = place(height, width, dataset.preprocess).to_input(truth.boxes) / stride
        for box, (left, top, right, bottom) in enumerate(boxes.tolist()):
            here = (left <= x + 0.5) & (x + 0.5 < right) & (top <= y + 0.5) & (y + 0.5 < bottom)
            of_image[here] = truth.labels[box]
            centre = np.stack([(left + right) / 2 - x, (top + bottom) / 2 - y], axis=1)
            wanted[here, :2] = centre[here]
            wanted[here, 2:] = np.log([right - left, bottom - top])
        inside.append(of_image >= 0)
        classes.append(of_image)
        offsets.append(wanted)
    contained, labels, raw = (
        torch.from_numpy(np.concatenate(each)) for each in (inside, classes, offsets)
    )
    return contained, labels, raw


def _fit(layer: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
    """Fit a linear layer, or a convolution of one pixel, by ridge regression.

    Args:
        layer: Changed in place.
        inputs: Shape `(N, C)`.
        outputs: Shape `(N, D)`.
    """
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    centre, target = inputs.double().mean(0), outputs.double().mean(0)
    spread = inputs.double() - centre
    covariance = spread.T @ spread
    # Strong: what tells two inputs apart by a hair is lost in 8 bits.
    ridge = covariance.trace() / len(covariance) * torch.eye(len(covariance), dtype=torch.float64)
    weight = torch.linalg.solve(covariance + ridge, spread.T @ (outputs - target)).T
    layer.weight.copy_(weight.reshape(layer.weight.shape))
    layer.bias.copy_(target - weight @ centre)
