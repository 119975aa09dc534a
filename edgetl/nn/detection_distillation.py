"""Losses between the predictions and maps of two detectors.

Letters: N images, M locations of all maps, K classes, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name the field knows
from torch import Tensor, nn

from edgetl.nn.boxes import Grid, pair_gious
from edgetl.nn.detection_loss import decode_safely
from edgetl.nn.yolox import RawDetections

CONFIDENT = 0.3
"""Best score above which the student learns from a teacher's box."""

_FLAT = 1e-6
"""Standard deviation below which a channel counts as constant."""


def prediction_loss(
    student: RawDetections,
    teacher: RawDetections,
    grid: Grid,
    *,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return how far a student's scores and boxes are from its teacher's.

    A score is the product of the probabilities of class and objectness, which also ranks
    detections. Each location is weighted by the teacher's best score there: nearly all of them show
    background, which would otherwise dominate the few that are informative.

    Args:
        student: Of the network that is trained; computed in float32.
        teacher: On the same images and locations; no gradient flows into it.
        grid: Of the network's input.
        temperature: Above zero; softens the scores of both, 1 leaves them as they are.

    Returns:
        Scalars. The KL divergence between the scores from teacher to student, over all classes, in
        nats times `temperature ** 2`, averaged with the weights; scaled down if these sum to less
        than 1. And 1 - GIoU of the boxes, averaged with the same weights over the locations where
        the teacher's best score is above `CONFIDENT`; zero if there is none.

    Raises:
        ValueError: If classes or locations of the two differ.
    """
    _check_predictions(student, teacher)
    student = RawDetections(*(part.float() for part in student))
    teacher = RawDetections(*(part.detach().float() for part in teacher))
    given, wanted = _score_logits(student), _score_logits(teacher)
    weights = wanted.sigmoid().amax(dim=2)

    divergence = _binary_divergence(wanted / temperature, given / temperature).sum(dim=2)
    soft = (divergence * weights).sum() / weights.sum().clamp(min=1.0) * temperature**2

    images, places = (weights > CONFIDENT).nonzero(as_tuple=True)
    confident = Grid(grid.corners[places], grid.strides[places])
    overlaps = pair_gious(
        decode_safely(student.offsets[images, places], confident),
        decode_safely(teacher.offsets[images, places], confident),
    )
    share = weights[images, places]
    box = ((1 - overlaps) * share).sum() / share.sum().clamp(min=_FLAT)
    return soft, box


def correlation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 - Pearson's correlation of two maps, averaged over the channels.

    Half of the squared difference after standardising each channel over all images and positions
    (Cao et al. 2022, https://arxiv.org/abs/2207.02039, section 3.3), so maps that differ only by a
    shift and a positive scale per channel count as equal. A constant channel costs one half against
    one that varies, and nothing against another constant one.

    Args:
        student: Shape `(N, C, H, W)`, any float dtype; computed in float32.
        teacher: Of the same shape; no gradient flows into it.

    Returns:
        A scalar in [0, 2].

    Raises:
        ValueError: If the shapes differ; broadcasting would hide a swapped dimension.
    """
    _check_maps(student, teacher)
    differences = _standardised(student.float()) - _standardised(teacher.detach().float())
    return differences.square().mean() / 2


def channel_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the channel-wise distillation loss between two maps.

    Softmax turns each channel into a distribution over its positions; the loss is the KL divergence
    from teacher to student, times `temperature ** 2` (Shu et al. 2021,
    https://arxiv.org/abs/2011.13256, section 3.2). Zero when the maps agree up to a shift per
    channel.

    Args:
        student: Shape `(N, C, H, W)`, any float dtype; computed in float32.
        teacher: Of the same shape; no gradient flows into it.
        temperature: Above zero; larger ones include more positions.

    Returns:
        A scalar, the mean over images and channels, in nats times `temperature ** 2`.

    Raises:
        ValueError: If the shapes differ; broadcasting would hide a swapped dimension.
    """
    _check_maps(student, teacher)
    given = F.log_softmax(student.float().flatten(2) / temperature, dim=2)
    wanted = F.log_softmax(teacher.detach().float().flatten(2) / temperature, dim=2)
    divergences = F.kl_div(given, wanted, reduction="none", log_target=True).sum(dim=2)
    return divergences.mean() * temperature**2


class FeatureAdapter(nn.Module):
    """Maps a student's feature maps to the channels of its teacher, one convolution per map.

    It is trained with the student and dropped afterwards. Maps that already have as many channels
    pass unchanged.
    """

    def __init__(self, students: Sequence[int], teachers: Sequence[int], *, seed: int) -> None:
        """Describe the adapter.

        Args:
            students: Channels of the student's maps.
            teachers: Channels of the teacher's maps, in the same order.
            seed: Of the initial weights; the caller's random state is not changed.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.convs = nn.ModuleList(
                nn.Identity() if given == wanted else nn.Conv2d(given, wanted, 1)
                for given, wanted in zip(students, teachers, strict=True)
            )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the maps with the teacher's channels, each `(N, C, H, W)`."""
        return tuple(conv(each) for conv, each in zip(self.convs, maps, strict=True))


def _score_logits(raw: RawDetections) -> Tensor:
    """Return the logits `(N, M, K)` of class probability times objectness.

    With c and o the two logits this is -log(e**-c + e**-o + e**(-c-o)), without ever taking the
    logarithm of a rounded 1 - p.
    """
    either = torch.logaddexp(-raw.classes, -raw.objectness)
    return -torch.logaddexp(either, -raw.classes - raw.objectness)


def _binary_divergence(of: Tensor, to: Tensor) -> Tensor:
    """Return the KL divergence between Bernoulli distributions, given as logits."""
    gain = of.sigmoid() * (F.logsigmoid(of) - F.logsigmoid(to))
    return gain + (-of).sigmoid() * (F.logsigmoid(-of) - F.logsigmoid(-to))


def _standardised(maps: Tensor) -> Tensor:
    centred = maps - maps.mean(dim=(0, 2, 3), keepdim=True)
    variance = centred.square().mean(dim=(0, 2, 3), keepdim=True)
    return centred / (variance + _FLAT**2).sqrt()


def _check_predictions(student: RawDetections, teacher: RawDetections) -> None:
    if student.classes.shape != teacher.classes.shape:
        raise ValueError(
            f"student {tuple(student.classes.shape)} and teacher {tuple(teacher.classes.shape)} "
            "must be predictions for the same images, locations and classes"
        )


def _check_maps(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} must have the "
            "same shape"
        )
