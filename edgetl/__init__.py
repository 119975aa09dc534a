"""Edge deployment pipeline: fine-tune, distil, quantize, export, verify, benchmark, package."""

__version__ = "0.1.0"
