"""Convert a saved torch program to TFLite: ``python -m edgetl.exporters._litert_worker IN OUT``."""

from __future__ import annotations

import sys
from pathlib import Path

import litert_torch
import torch


def main(source: Path, target: Path) -> None:
    """Convert the program in `source`, whose inputs are all named, to the file `target`."""
    program = torch.export.load(source)
    _, examples = program.example_inputs
    converted = litert_torch.convert(program.module(), sample_kwargs=dict(examples))
    converted.export(str(target))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
