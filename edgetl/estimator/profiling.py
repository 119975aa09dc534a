"""Make a cost profile of a device: build the suite, time it there, fit prices to the times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgetl import __version__
from edgetl.devices import Device
from edgetl.errors import MissingPackage, MissingPackageError, UsageError
from edgetl.estimator.cost_profile import CostProfile, Fit, NetworkRow
from edgetl.estimator.timing import Timed, refuse_emulated, time_folders
from edgetl.exporters import EXPORTERS
from edgetl.quantizers import QUANTIZERS, for_format
from edgetl.train.packages import missing_packages
from edgetl.types import Facts, Precision
from edgetl.worker import run_worker

if TYPE_CHECKING:  # the command line must not wait for numpy
    from edgetl.estimator.graph import Graph

PRECISIONS = (Precision.FP32, Precision.INT8)
"""Precisions that are timed; fp16 files are computed in fp32."""

_NUM_WORKERS = 2
"""Parallel processes that make files; each needs one or two gigabytes of memory."""

Pair = tuple[str, Precision]
Log = Callable[[str], None]


class SuiteModel(NamedTuple):
    """A model folder of the suite."""

    network: str
    format: str
    precision: Precision
    folder: Path


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Check that the suite can be made on this machine.

    Raises:
        UsageError: If there are no pairs, or a format has no quantizer.
        MissingPackageError: If packages that make the suite are not installed; names all.
    """
    if not pairs:
        raise UsageError(
            "nothing to time: the suite is made in fp32 and int8",
            remedy="name a target with such candidates",
        )
    for name in sorted({name for name, precision in pairs if precision is not Precision.FP32}):
        if for_format(name) is None:
            raise UsageError(
                f"there is no quantizer for '{name}'", remedy="remove its int8 candidates"
            )
    missing = tuple(_missing(pairs))
    if missing:
        raise MissingPackageError.of(missing)


def make_suite(pairs: Sequence[Pair], out: Path, log: Log) -> list[SuiteModel]:
    """Write the model folders of the suite into `out`, two formats at a time.

    Raises:
        EdgetlError: If a network cannot be exported or quantized.
    """
    by_format: dict[str, list[Precision]] = defaultdict(list)
    for name, precision in pairs:
        by_format[name].append(precision)

    def make(name: str) -> None:
        run_worker(
            "edgetl.estimator._suite_files",
            (name, str(out), *(precision.value for precision in by_format[name])),
            failure=f"the suite could not be made for '{name}'",
            remedy=f"report this, and profile without '{name}'",
        )
        log(f"made     {name} {', '.join(by_format[name])}")

    with ThreadPoolExecutor(_NUM_WORKERS) as pool:
        list(pool.map(make, by_format))
    return list(folders(out, pairs))


def folders(out: Path, pairs: Sequence[Pair]) -> Iterator[SuiteModel]:
    """Yield the model folders of `pairs` in `out`."""
    for name, precision in pairs:
        ending = f"-{name}-{precision}"
        for folder in sorted(out.glob(f"*{ending}")):
            yield SuiteModel(folder.name.removesuffix(ending), name, precision, folder)


def time_suite(
    device: Device, models: Sequence[SuiteModel], *, threads: int, host: Facts, log: Log
) -> dict[str, Timed]:
    """Return the times of `models` on `device`, by the folder's name.

    Formats and precisions are timed in sequence; see `edgetl.estimator.timing.time_folders`.
    """
    pairs: dict[Pair, dict[str, Path]] = defaultdict(dict)
    for each in models:
        pairs[each.format, each.precision][each.folder.name] = each.folder
    times: dict[str, Timed] = {}
    for (name, precision), paths in pairs.items():
        times |= time_folders(device, paths, threads=threads, host=host)
        log(f"timed    {name} {precision}, {len(paths)} networks")
    return times


def profile_device(
    device: Device, pairs: Sequence[Pair], *, threads: int, work: Path, log: Log
) -> CostProfile:
    """Return the cost profile of `device`.

    Args:
        device: A device that is not emulated.
        pairs: Formats and precisions to time.
        threads: Number of threads of one inference.
        work: An empty folder for the suite's files.
        log: Receives a line for each step.

    Raises:
        UsageError: If the device is emulated or has fewer usable cores than `threads`, or there is
            nothing to time.
        MissingPackageError: If packages that make the files are not installed.
        DeviceError: If the device cannot be reached, or its fingerprint changes in the meantime.
        EdgetlError: If a network cannot be exported or quantized.
    """
    from edgetl.estimator.graph import read_graph

    refuse_emulated(device)
    check_pairs(pairs)
    host = device.describe()
    if threads > host["cores"]:
        raise UsageError(
            f"device '{device.address}' has {host['cores']} usable core(s), too few for {threads} "
            "threads",
            remedy=f"time with fewer: --threads {host['cores']}",
        )
    models = make_suite(pairs, work, log)
    times = time_suite(device, models, threads=threads, host=host, log=log)
    files = {name: EXPORTERS.load(name).file for name, _ in pairs}
    graphs = {each: read_graph(each.folder / files[each.format]) for each in models}
    return CostProfile(
        edgetl=__version__,
        device=device.address,
        host=host,
        threads=threads,
        fits=tuple(fit_pair(pair, graphs, times) for pair in pairs),
    )


def fit_pair(pair: Pair, graphs: Mapping[SuiteModel, Graph], times: Mapping[str, Timed]) -> Fit:
    """Return the prices of one format and precision.

    Args:
        pair: The format and precision.
        graphs: Graphs of all model folders.
        times: Times by the folder's name.
    """
    from edgetl.estimator.cost import size
    from edgetl.estimator.fit import COVERAGE, fit

    models = [each for each in graphs if (each.format, each.precision) == pair]
    timings = [times[each.folder.name] for each in models]
    prices = fit([graphs[each].operations for each in models], [each.ms for each in timings])
    largest: dict[str, int] = defaultdict(int)
    for each in models:
        for operation in graphs[each].operations:
            largest[operation.kind.value] = max(largest[operation.kind.value], size(operation))
    rows = [
        NetworkRow(
            name=each.network,
            ms=timed.ms,
            fitted_ms=fitted,
            held_out_ms=held_out,
            disturbed=timed.disturbed,
        )
        for each, timed, fitted, held_out in zip(
            models, timings, prices.fitted_ms, prices.held_out_ms, strict=True
        )
    ]
    return Fit(
        format=pair[0],
        precision=pair[1],
        engine=timings[0].engine,
        lane=prices.lane,
        ns=prices.ns,
        band=prices.band,
        coverage=COVERAGE,
        largest=dict(largest),
        networks=tuple(rows),
    )


def _missing(pairs: Sequence[Pair]) -> Iterator[MissingPackage]:
    """Yield the packages for making the suite that are not installed."""
    yield from missing_packages()
    for name in sorted({name for name, _ in pairs}):
        for module in EXPORTERS.load(name).requires:
            if find_spec(module) is None:
                yield EXPORTERS.missing(name, module)
    quantized = sorted({name for name, precision in pairs if precision is not Precision.FP32})
    for quantizer in filter(None, map(for_format, quantized)):
        for module in QUANTIZERS.load(quantizer).requires:
            if find_spec(module) is None:
                yield QUANTIZERS.missing(quantizer, module)
