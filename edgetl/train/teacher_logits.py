"""The teacher's logits for a student's batches: read from a file, or computed by the teacher.

Letters: V views of an image, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data import loaders
from edgetl.data.levels import Level
from edgetl.train.distillation import TeacherSignal
from edgetl.train.image_batches import Normalised, Teacher, raw_pixels
from edgetl.train.options import Training
from edgetl.types import Split

LOGITS_FILE = "logits.npy"
_BATCH = 64
"""Fixed, because the last bits of a matrix product may depend on the number of its rows."""


def make_teacher(teacher_signal: TeacherSignal, training: Training) -> Teacher:
    """Return the source of the teacher's logits for the batches of `training`."""
    if teacher_signal.outputs is not None:
        return _RecordedTeacher(np.load(teacher_signal.outputs / LOGITS_FILE, mmap_mode="r"))
    images = None
    if teacher_signal.dataset is not None:
        images = loaders.AugmentedImages(
            teacher_signal.dataset,
            Split.TRAIN,
            level=Level(training.augment),
            seed=training.seed,
        )
    return _LiveTeacher(teacher_signal.module, teacher_signal.spec, images)


def write_logits(
    folder: Path,
    module: nn.Module,
    normalised: Normalised,
    *,
    images: loaders.AugmentedImages,
    num_views: int,
    progress: Callable[[int, int, str], None],
) -> None:
    """Write the logits of `module` for views of all images, view by view.

    Args:
        folder: For `logits.npy`, float32 `(V, N, K)`.
        module: In evaluation mode, on any device.
        normalised: The module's normalisation.
        images: N images, fitted to the module's input.
        num_views: V.
        progress: Called with views done, total views, and a text.
    """
    device = next(module.parameters()).device
    network = raw_pixels(module, normalised).to(device)
    total = num_views * len(images)
    done = 0
    with (folder / LOGITS_FILE).open("wb") as file, torch.inference_mode():
        for view in range(num_views):
            for start in range(0, len(images), _BATCH):
                indices = np.arange(start, min(start + _BATCH, len(images)))
                pixels = images.show(indices, [view] * len(indices)).to(device)
                logits = network(pixels.permute(0, 2, 3, 1).float()).float().cpu().numpy()
                if not done:
                    shape = (num_views, len(images), logits.shape[1])
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(logits.astype("<f4", copy=False).tobytes())
                done += len(indices)
                progress(done, total, "views through the teacher")


class _LiveTeacher:
    """Computes logits for every batch, because with a new view in every epoch none recurs."""

    def __init__(
        self,
        module: nn.Module,
        normalised: Normalised,
        images: loaders.AugmentedImages | None,
    ) -> None:
        """Wrap a module.

        Args:
            module: In evaluation mode, on the device it is to run on.
            normalised: Its normalisation.
            images: The training images, fitted to its input; None to use those of the student.
        """
        self._device = next(module.parameters()).device
        self._network = raw_pixels(module, normalised).to(self._device)
        self._images = images

    def logits(self, batch: loaders.Batch) -> Tensor:
        images = batch.images
        if self._images is not None:
            images = self._images.show(batch.indices.numpy(), batch.views.tolist())
        with torch.inference_mode():
            pixels = images.to(self._device).permute(0, 2, 3, 1).float()
            logits: Tensor = self._network(pixels)
        # A plain tensor: those made in inference mode cannot be saved for a backward pass.
        return logits.clone()


class _RecordedTeacher:
    """Reads the logits of every view of every training image, shape `(V, N, K)`."""

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self._logits = logits

    def logits(self, batch: loaders.Batch) -> Tensor:
        rows = self._logits[batch.views.numpy(), batch.indices.numpy()]
        return torch.from_numpy(np.array(rows))
