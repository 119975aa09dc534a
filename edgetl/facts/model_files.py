"""Facts of the stages that write model files: export and quantize."""

from __future__ import annotations

from edgetl.facts import FactsModel
from edgetl.types import Precision


class NmsFacts(FactsModel):
    """The non-maximum suppression of a detector; see `edgetl.runtime.detections.NmsSettings`."""

    score_threshold: float
    iou: float
    max_detections: int
    mode: str


class ExportFacts(FactsModel):
    """Facts of the export stage."""

    size_bytes: int
    max_abs_error: float
    """Largest difference from torch over the golden samples, in units of the outputs."""
    output_span: float
    """The range of the outputs, which that error is relative to."""
    nms: NmsFacts | None
    """None for a classifier."""


class RangeFacts(FactsModel):
    """How activation ranges are estimated."""

    estimator: str
    percentile: float
    """Read by the estimator ``percentile`` only."""


class TriedRangeFacts(RangeFacts):
    """An estimator that was tried."""

    error: float
    """On held-out images: power of the error divided by that of the outputs."""


class TriedConvolutionFacts(FactsModel):
    """A convolution that was tried alone in int8."""

    operation: str
    """Name of the node in the file."""
    kind: str
    noise: float
    error: float
    """See `TriedRangeFacts`."""


class QuantizationFacts(FactsModel):
    """Facts of the quantize stage."""

    model: str
    """Name of the network in the recipe."""
    format: str
    precision: Precision
    size_bytes: int
    float_size_bytes: int
    max_abs_error: float
    """Largest difference from torch over the golden samples, in units of the outputs."""
    float_operations: dict[str, int]
    """Operations that still compute in float32, by the format's name of the kind."""
    range: RangeFacts | None = None
    """The settings used; None if nothing was calibrated for int8."""
    tail: tuple[str, ...] = ()
    """Operations after the last convolutions that were kept in float."""
    convolutions: tuple[TriedConvolutionFacts, ...] = ()
    """Those that were tried, the most harmful first."""
    estimators: tuple[TriedRangeFacts, ...] = ()
    """Those that were tried, in the order of the trials."""
    held_out: int | None = None
    """Number of calibration images held out to compare; None if nothing was tried."""
    calibration_images: int
    calibration_digest: str | None
    """Of the contents of these images; None if none was read."""
