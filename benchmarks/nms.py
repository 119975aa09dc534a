"""Claim: 8400 locations x 80 classes become detections in at most 10 ms on one core, in numpy.

Three kinds of answers, of a 640 px network: `typical`, a few hundred candidates on twenty objects
above a threshold of 0.01; `crowded`, two thousand on five hundred objects; `worst`, random scores
of which all pass 0.001. Beside it stands the same work in torch with `torchvision.ops.batched_nms`,
also on one thread and on the same answers; both by turns in one process.

    python benchmarks/nms.py [--runs 100]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

# Before numpy and torch are imported, which read it once.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms

from edgetl.runtime.detections import MAX_CANDIDATES, MODES, NmsSettings, detect
from edgetl.runtime.preprocess import Preprocess, place

_LOCATIONS, _CLASSES = 8400, 80
_IMAGE = (480, 640)
_PREPROCESS = Preprocess(640, 640, "letterbox", "bilinear", 114)
_LIMIT_MS = 10.0
_IOU = 0.65
_LIMIT = 300
_NS_PER_MS = 1e6

Predictions = tuple[NDArray[np.float32], NDArray[np.float32]]


def main() -> None:
    """Time every kind of answers in every mode and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="repetitions of each (100)")
    num_runs = parser.parse_args().runs
    torch.set_num_threads(1)
    print(f"{_LOCATIONS} x {_CLASSES}, at most {_LIMIT} detections, median of {num_runs}, 1 thread")
    print(
        f"{'predictions':<12}{'mode':<16}{'found':>6}{'numpy ms':>10}{'p95 ms':>8}"
        f"{'torch finds':>13}{'torch ms':>10}{'ratio':>7}"
    )
    for name, (predictions, score) in _kinds(np.random.default_rng(0)).items():
        for mode in MODES:
            _report(name, predictions, NmsSettings(score, _IOU, _LIMIT, mode), num_runs)
    print(f"limit {_LIMIT_MS:.0f} ms; ratio is numpy over torch")


def _report(name: str, predictions: Predictions, nms: NmsSettings, num_runs: int) -> None:
    boxes, scores = predictions
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)

    def ours() -> int:
        return len(detect(boxes, scores, image_size=_IMAGE, preprocess=_PREPROCESS, nms=nms))

    def theirs() -> int:
        return len(_in_torch(*tensors, nms))

    found = ours(), theirs()
    times: tuple[list[float], list[float]] = [], []
    for _ in range(num_runs):
        for taken, run in zip(times, (ours, theirs), strict=True):
            taken.append(_timed(run))
    numpy_ms, torch_ms = (statistics.median(taken) for taken in times)
    p95_ms = sorted(times[0])[int(0.95 * num_runs)]
    print(
        f"{name:<12}{nms.mode:<16}{found[0]:>6}{numpy_ms:>10.2f}{p95_ms:>8.2f}"
        f"{found[1]:>13}{torch_ms:>10.2f}{numpy_ms / torch_ms:>7.2f}"
    )


def _kinds(rng: np.random.Generator) -> dict[str, tuple[Predictions, float]]:
    """Return the answers of each kind and the threshold for them."""
    noise = rng.random((_LOCATIONS, _CLASSES), np.float32)
    return {
        "typical": (_predictions(rng, noise, num_objects=20, num_candidates=300), 0.01),
        "crowded": (_predictions(rng, noise, num_objects=500, num_candidates=2000), 0.01),
        "worst": ((_predictions(rng, noise, num_objects=500, num_candidates=0)[0], noise), 0.001),
    }


def _predictions(
    rng: np.random.Generator, noise: NDArray[np.float32], *, num_objects: int, num_candidates: int
) -> Predictions:
    """Return boxes that scatter around objects, and scores that are noise but for candidates."""
    centres = rng.uniform(0.1, 0.9, (num_objects, 2))
    sizes = rng.uniform(0.03, 0.3, (num_objects, 2))
    near = rng.integers(0, num_objects, _LOCATIONS)
    middle = centres[near] + rng.normal(0, 0.01, (_LOCATIONS, 2))
    half = sizes[near] * np.exp(rng.normal(0, 0.1, (_LOCATIONS, 2))) / 2
    boxes = np.clip(np.concatenate([middle - half, middle + half], axis=1), 0, 1)
    scores = noise * np.float32(1e-4)
    hit = rng.choice(_LOCATIONS, num_candidates, replace=False)
    scores[hit, near[hit] % _CLASSES] = rng.uniform(0.01, 1, num_candidates)
    return boxes.astype(np.float32), scores


def _in_torch(boxes: Tensor, scores: Tensor, nms: NmsSettings) -> Tensor:
    """Return detections `(D, 6)` of the same rule, with torch and torchvision alone."""
    if nms.mode == "per-class":
        locations, labels = (scores >= nms.score_threshold).nonzero(as_tuple=True)
        found = scores[locations, labels]
    else:
        best, classes = scores.max(dim=1)
        locations = (best >= nms.score_threshold).nonzero().squeeze(1)
        found, labels = best[locations], classes[locations]
    if len(found) > MAX_CANDIDATES:
        found, chosen = found.topk(MAX_CANDIDATES)
        locations, labels = locations[chosen], labels[chosen]
    pixels = boxes[locations] * boxes.new_tensor([640, 640, 640, 640])
    groups = torch.zeros_like(labels) if nms.mode == "class-agnostic" else labels
    kept = batched_nms(pixels, found, groups, nms.iou)[: nms.max_detections]
    where = place(*_IMAGE, _PREPROCESS)
    shift = boxes.new_tensor([where.left, where.top] * 2)
    scale = boxes.new_tensor([where.scale_x, where.scale_y] * 2)
    in_image = (pixels[kept] - shift) / scale
    border = boxes.new_tensor([_IMAGE[1], _IMAGE[0]] * 2)
    clipped = torch.minimum(in_image.clamp(min=0), border)
    rows = torch.cat([clipped, found[kept, None], labels[kept, None].float()], dim=1)
    return rows[(clipped[:, 2:] > clipped[:, :2]).all(dim=1)]


def _timed(run: Callable[[], int]) -> float:
    started = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - started) / _NS_PER_MS


if __name__ == "__main__":
    main()
