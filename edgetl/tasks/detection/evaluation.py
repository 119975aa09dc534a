"""Evaluate detectors by COCO's mean average precision over IoU thresholds .5 to .95.

Letters: N images, M locations, K classes, D detections, T IoU thresholds, R recall thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation import Inputs, Outputs, Predictions, image_inputs
from edgetl.evaluation.noise import LOWEST_SNR_DB, max_error, snr_db
from edgetl.evaluation.operating import RankedClass, Ranking
from edgetl.facts.scores import Agreement, Difference, Score
from edgetl.runtime.detections import Detections, NmsSettings, detect, non_maximum_suppression
from edgetl.tasks.detection._bootstrap import interval, mean_precision, resamples
from edgetl.tasks.detection._coco import SIZES, Evaluated, evaluate
from edgetl.tasks.detection._misdetected import worst_errors_image
from edgetl.tasks.detection._nms import best_score, most_objects, nms_settings, truncated
from edgetl.tasks.detection._pairs import pairs
from edgetl.types import Facts, Split

_PP = 100.0
_DIGITS = 6
_LEAST_SCORE = 0.001
"""Lowest score of an evaluated detection: precision is needed down to the lowest useful score."""
_DEFAULT = nms_settings(NmsTable())
"""Used without a contract."""
_CONFIDENT = 0.05
"""Boxes are compared only where the reference has at least this score."""
_CURVE_STEP = 5
"""Curves keep every fifth of COCO's 101 recall thresholds."""


class _DetectionEvaluation:
    metric = "map"
    title = "mAP"
    outputs: tuple[str, ...] = ("boxes", "scores")
    images_per_chunk = 16
    lowest_snr_db = LOWEST_SNR_DB

    def inputs(self, dataset: Dataset, split: Split, rows: slice) -> Inputs:
        return image_inputs(dataset, split, rows)

    def collect(
        self,
        outputs: Outputs,
        dataset: Dataset,
        split: Split,
        start: int,
        nms: NmsSettings | None,
    ) -> Predictions:
        """Return the detections of the runtime with `nms`, but with a tiny score threshold."""
        nms = replace(nms or _DEFAULT, score_threshold=_LEAST_SCORE)
        sizes = dataset.image_sizes(split)[start:]
        detections = [
            detect(
                boxes,
                scores,
                image_size=(int(size[0]), int(size[1])),
                preprocess=dataset.preprocess,
                nms=nms,
            )
            for boxes, scores, size in zip(outputs["boxes"], outputs["scores"], sizes, strict=False)
        ]
        return {
            "boxes": np.concatenate([each.boxes for each in detections]),
            "scores": np.concatenate([each.scores for each in detections]),
            "labels": np.concatenate([each.labels for each in detections]),
            "offsets": np.cumsum([0, *(len(each.scores) for each in detections)], dtype=np.int64),
        }

    def join(self, parts: Sequence[Predictions]) -> Predictions:
        counts = np.concatenate([np.diff(part["offsets"]) for part in parts])
        joined = {
            name: np.concatenate([part[name] for part in parts])
            for name in ("boxes", "scores", "labels")
        }
        return {**joined, "offsets": np.cumsum([0, *counts], dtype=np.int64)}

    def value(self, predictions: Predictions, dataset: Dataset, split: Split) -> float:
        return _mean(_evaluated(predictions, dataset, split).precision[..., 0])

    def score(self, predictions: Predictions, dataset: Dataset, split: Split) -> Score:
        truths = dataset.truths(split)
        evaluated = _evaluated(predictions, dataset, split, sizes=tuple(SIZES))
        value = _mean(evaluated.precision[..., 0])
        low, high = interval(value, mean_precision(evaluated.matches, resamples(len(truths))))
        return Score(
            metric=self.metric,
            title=self.title,
            value=round(value, _DIGITS),
            low=round(low, _DIGITS),
            high=round(high, _DIGITS),
            images=len(truths),
            figures={
                "map50": round(_mean(evaluated.precision[0, ..., 0]), _DIGITS),
                "map75": round(_mean(evaluated.precision[5, ..., 0]), _DIGITS),
                **{
                    f"map_{size}": _rounded(evaluated.precision[..., position])
                    for position, size in enumerate(SIZES)
                    if size != "all"
                },
                "objects": sum(int((~truth.crowd).sum()) for truth in truths),
                "detections": len(predictions["scores"]),
            },
        )

    def difference(
        self, first: Predictions, second: Predictions, dataset: Dataset, split: Split
    ) -> Difference:
        one, two = (_evaluated(predictions, dataset, split) for predictions in (first, second))
        value = _mean(one.precision[..., 0]) - _mean(two.precision[..., 0])
        counts = resamples(len(dataset.truths(split)))
        repeated = mean_precision(one.matches, counts) - mean_precision(two.matches, counts)
        low, high = interval(value, repeated)
        return Difference(
            pp=round(_PP * value, 4), low_pp=round(_PP * low, 4), high_pp=round(_PP * high, 4)
        )

    def details(self, predictions: Predictions, dataset: Dataset, split: Split) -> Facts:
        """Return COCO's figures per class, and precision over recall at an IoU of .5.

        ``recall`` is that of all detections at an IoU of .5. A class without objects has no
        figures.
        """
        evaluated = _evaluated(predictions, dataset, split)
        classes = [
            {
                "label": label,
                "support": int(evaluated.matches[k].objects.sum()),
                "ap": _rounded(evaluated.precision[:, :, k, 0]),
                "ap50": _rounded(evaluated.precision[0, :, k, 0]),
                "recall": _rounded(evaluated.recall[0, k, 0]),
            }
            for k, label in enumerate(dataset.classes)
        ]
        curves = evaluated.precision[0, ::_CURVE_STEP, :, 0]
        return {
            "classes": classes,
            "curves": {
                "recall": [round(i / (len(curves) - 1), 2) for i in range(len(curves))],
                "precision": {
                    label: [round(float(value), 4) for value in curves[:, k]]
                    for k, label in enumerate(dataset.classes)
                    if classes[k]["ap"] is not None
                },
            },
        }

    def ranking(self, predictions: Predictions, dataset: Dataset, split: Split) -> Ranking:
        """Return the detections by score, correct at an IoU of .5; crowds count for nothing."""
        classes = []
        evaluated = _evaluated(predictions, dataset, split)
        for name, matches in zip(dataset.classes, evaluated.matches, strict=True):
            counted = ~matches.ignored[0]
            scores, hits = matches.scores[counted], matches.hits[0][counted]
            classes.append(RankedClass(name, scores, hits, int(matches.objects.sum())))
        num_images = len(dataset.truths(split))
        return Ranking(tuple(classes), images=num_images, one_each=False)

    def reported(self, predictions: Predictions, thresholds: Sequence[float]) -> Predictions:
        labels, scores = predictions["labels"], predictions["scores"]
        kept = scores >= np.asarray(thresholds, np.float64)[labels]
        before = np.cumsum([0, *kept], dtype=np.int64)
        names = ("boxes", "scores", "labels")
        return {
            **{name: predictions[name][kept] for name in names},
            "offsets": before[predictions["offsets"]],
        }

    def compare(self, before: Outputs, after: Outputs, nms: NmsSettings | None = None) -> Agreement:
        """Return the noise of the scores, and the share of matching detections.

        ``agreement`` is the share of the detections of both, after `nms`, that match a detection
        of the other: same class and an IoU of at least one half.
        """
        sure = before["scores"].max(axis=2) > _CONFIDENT
        box_error = max_error(before["boxes"][sure], after["boxes"][sure])
        return Agreement(
            max_error=max(max_error(before["scores"], after["scores"]), box_error),
            snr_db=snr_db(before["scores"], after["scores"]),
            agreement=round(_agreement(before, after, nms or _DEFAULT), 6),
            figures={"max_box_error": box_error},
        )

    def shown(self, dataset: Dataset, split: Split) -> NDArray[np.bool_]:
        """Return which images have boxes; others have a label beyond the classes."""
        shown: NDArray[np.bool_] = dataset.labels(split) < len(dataset.classes)
        return shown

    def span(self, outputs: Outputs) -> float:
        """Return 1: boxes are shares of the input and scores probabilities."""
        del outputs
        return 1.0

    def nms(self, dataset: Dataset, wanted: NmsTable | None = None) -> NmsSettings:
        """Return the recipe's settings; the default limit fits the fullest train or val image."""
        num_objects = most_objects(dataset, Split.TRAIN, Split.VAL)
        return nms_settings(wanted or NmsTable(), num_objects)

    def with_selected_threshold(
        self, nms: NmsSettings | None, predictions: Predictions, dataset: Dataset, split: Split
    ) -> NmsSettings:
        """Return `nms` with the threshold of the best F1 at an IoU of .5, over all classes."""
        score = best_score(_evaluated(predictions, dataset, split).matches)
        return replace(nms or _DEFAULT, score_threshold=score)

    def truncated(self, dataset: Dataset, split: Split, nms: NmsSettings | None) -> str | None:
        """Return a message if images have more objects than `nms` allows."""
        return truncated(dataset, split, nms or _DEFAULT)

    def num_predictions(self, predictions: Predictions, nms: NmsSettings | None) -> int:
        """Return the number of detections above the score threshold."""
        return int((predictions["scores"] >= (nms.score_threshold if nms else _LEAST_SCORE)).sum())

    def at_chance(
        self,
        predictions: Predictions,
        dataset: Dataset,
        split: Split,
        nms: NmsSettings | None = None,
    ) -> str | None:
        """Return why the predictions do not depend on their images; None if they do.

        Average precision depends only on the order of scores: if all scores shrink, it may stay
        good although no detection passes the threshold on the device.
        """
        truths = dataset.truths(split)
        if not len(predictions["scores"]):
            return f"detects nothing on any of {len(truths)} images"
        if nms and not self.num_predictions(predictions, nms):
            best = float(predictions["scores"].max())
            return (
                f"detects nothing on any of {len(truths)} images: the best score is {best:.3f}, "
                f"but the contract requires {nms.score_threshold:g}"
            )
        value = self.value(predictions, dataset, split)
        if value == 0.0:
            return f"none of {len(predictions['scores'])} detections meets an object"
        if len(truths) == 1:
            return None
        exchanged = self.value(_exchanged(predictions, dataset.image_sizes(split)), dataset, split)
        if value > exchanged:
            return None
        return (
            f"{self.title} {value:.3f} is no better than with the detections of other images "
            f"({exchanged:.3f})"
        )

    def worst_errors(
        self, predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings | None
    ) -> NDArray[np.uint8] | None:
        return worst_errors_image(predictions, dataset, split, nms or _DEFAULT)


def _evaluated(
    predictions: Predictions, dataset: Dataset, split: Split, sizes: Sequence[str] = ("all",)
) -> Evaluated:
    return evaluate(predictions, dataset.truths(split), len(dataset.classes), sizes=sizes)


def _mean(figures: NDArray[np.float64]) -> float:
    """Return the mean over defined values; 0 if there are none."""
    known = figures[figures > -1]
    return float(known.mean()) if known.size else 0.0


def _rounded(figures: NDArray[np.float64]) -> float | None:
    return round(_mean(figures), _DIGITS) if (figures > -1).any() else None


def _agreement(before: Outputs, after: Outputs, nms: NmsSettings) -> float:
    total = matched = 0
    for i in range(len(before["scores"])):
        first, second = (_after_nms(outputs, i, nms) for outputs in (before, after))
        matches = pairs(first.boxes, first.labels, second.boxes, second.labels)
        total += len(first.scores) + len(second.scores)
        matched += 2 * int((matches >= 0).sum())
    return matched / total if total else 1.0


def _after_nms(outputs: Outputs, image: int, nms: NmsSettings) -> Detections:
    return non_maximum_suppression(outputs["boxes"][image], outputs["scores"][image], nms)


def _exchanged(predictions: Predictions, sizes: NDArray[np.int32]) -> Predictions:
    """Give every image the detections of another image, half the split further on.

    Boxes are scaled from the other image's height and width.
    """
    offsets = predictions["offsets"]
    num_images = len(offsets) - 1
    sources = np.roll(np.arange(num_images), -(num_images // 2))
    rows = [np.arange(offsets[source], offsets[source + 1]) for source in sources]
    scales = (sizes / sizes[sources])[:, [1, 0, 1, 0]]
    counts = np.array([len(each) for each in rows])
    order = np.concatenate(rows)
    scale = np.repeat(scales, counts, axis=0)
    return {
        "boxes": (predictions["boxes"][order] * scale).astype(np.float32),
        "scores": predictions["scores"][order],
        "labels": predictions["labels"][order],
        "offsets": np.cumsum([0, *counts], dtype=np.int64),
    }


EVALUATION = _DetectionEvaluation()
