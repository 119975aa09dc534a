"""Claim: memory does not grow with the images: 20,000 of them stay under 1.5 GB resident.

Indexes drawn images, fits them to 96 px and trains one epoch on them, each in the same process as
`edgetl run` would, and prints the peak so far after each.

    python benchmarks/memory.py [--images 20000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from edgetl.api.console import Console
from edgetl.pipeline.execute import Finder, run_nodes
from edgetl.pipeline.job import load_job
from edgetl.pipeline.planner import all_stages, plan_round
from edgetl.runtime.host import peak_memory_bytes
from edgetl.store.store import Store

_LIMIT_MB = 1500.0


def main() -> None:
    """Run the three stages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    images = parser.parse_args().images
    overrides = [f"data.synthetic.images={images}", "finetune.epochs=1", "student=null"]
    print(f"{images} images of 96 px\n{'stage':<10} {'s':>8} {'peak RSS MB':>12} {'limit MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        store, stages = Store(Path(folder)), all_stages()
        job = load_job("parts", overrides, store, stages)
        nodes = plan_round(job, stages, Finder(store, stages).find).nodes
        for last in (1, 2, 3):
            started = time.perf_counter()
            wanted = [node for node in nodes if node.stage in {"index", "view", "finetune"}][:last]
            run_nodes(wanted, store, stages, Console(quiet=True))
            seconds = time.perf_counter() - started
            peak_mb = (peak_memory_bytes() or 0) / 1e6
            verdict = "holds" if peak_mb < _LIMIT_MB else "MISSED"
            name = wanted[-1].label
            print(f"{name:<10} {seconds:>8.1f} {peak_mb:>12.0f} {_LIMIT_MB:>10.0f}  {verdict}")


if __name__ == "__main__":
    main()
