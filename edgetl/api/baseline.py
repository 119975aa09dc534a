"""``edgetl.record_baseline``: the figures of a good bundle, to compare later ones with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetl.api.arguments import (
    PathLike,
    as_optional_text,
    as_path,
    as_recipe,
    as_seconds,
    as_text,
)
from edgetl.api.bundles import find_bundle, recipe_folder
from edgetl.errors import StoreError
from edgetl.runtime.errors import COPY_AGAIN
from edgetl.store.store import Store

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.gate.baseline import Baseline


def record_baseline(
    bundle: PathLike,
    out: PathLike = "baseline.json",
    *,
    target: str = "",
    device: str | None = None,
    seconds: float = 10.0,
    store: PathLike = ".edgetl",
) -> Baseline:
    """Write the figures that later checks compare with: accuracy, predictions, latency and size.

    Args:
        bundle: The folder of a bundle, or a recipe, whose last run made one.
        out: The file to write, as `check` reads it.
        target: Target of the bundle; needed only if a recipe has several.
        device: Address of the device to measure on; None for the figures of the run.
        seconds: Minimum duration of each run of a timing, at most 600.
        store: Folder of finished artifacts.

    Returns:
        What was written. Its `latency` is None if no times are measured and undisturbed, and its
        `accuracy` has no predictions if the store does not have those of the run.

    Raises:
        UsageError: If an argument is of the wrong type, or `bundle` is neither.
        StoreError: If the bundle is damaged.
        ConfigError: If the device is another board than the bundle's target.
        DeviceError: If the device cannot be reached.
        EdgetlRuntimeError: If the bundle cannot be read.
    """
    from edgetl.boards import require_machine
    from edgetl.config.load import load_target
    from edgetl.devices import open_device
    from edgetl.gate.baseline import make_baseline, write_baseline
    from edgetl.gate.bundle import find_images
    from edgetl.gate.case import Status
    from edgetl.gate.limits import files_case
    from edgetl.gate.measure import measure

    given, place, name = as_recipe(bundle), as_path("out", out), as_text("target", target)
    address, duration = as_optional_text("device", device), as_seconds("seconds", seconds)
    kept = Store(as_path("store", store))
    opened, is_recipe = find_bundle(given, name, kept)
    files = files_case(opened)
    if files.status is Status.FAILED:
        raise StoreError(files.reason, remedy=COPY_AGAIN)
    images = find_images(opened, kept)
    measurements = None
    if address is not None:
        machine = open_device(address)
        profile = load_target(opened.manifest.target.name, beside=recipe_folder(given))
        require_machine(profile, machine)
        measurements = measure(
            opened,
            machine,
            threads=opened.manifest.target.threads,
            seconds=duration,
            dataset=images.dataset if is_recipe and images else None,
        )
    baseline = make_baseline(opened, images, measurements)
    write_baseline(baseline, place)
    return baseline
