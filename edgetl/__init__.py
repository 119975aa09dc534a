"""Edge deployment pipeline: fine-tune, distil, quantize, export, verify, benchmark, hand over."""

__version__ = "0.1.0"
