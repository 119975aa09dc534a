"""The candidates of a job: the model files that its targets list, and the nodes that make them."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl.config.candidate import Candidate, ModelFile
from edgetl.config.target import Target
from edgetl.exporters import EXPORTERS
from edgetl.hashing import digest_value
from edgetl.runtime.engines import CPU
from edgetl.stages import Job, Node, Planned
from edgetl.stages._model_chain import deployed_name
from edgetl.types import Precision


@dataclass(frozen=True, slots=True)
class Timing:
    """Where and how candidates are timed together."""

    device: str
    """Address."""
    threads: int


def candidates_of(job: Job, target: Target) -> Iterator[Candidate]:
    """Yield the candidates of a target, in the order of its file."""
    for variant in target.variants():
        yield variant.of(deployed_name(job))


def wanted(job: Job) -> tuple[ModelFile, ...]:
    """Return every file that a target of `job` lists, once, in the order of the targets."""
    return tuple(
        dict.fromkeys(
            candidate.file for target in job.targets for candidate in candidates_of(job, target)
        )
    )


def float_node(made: Planned, file: ModelFile) -> Node:
    """Return the node of the exported file that `file` is, or is quantized from."""
    return node_of(made["float"], file.float_file)


def file_node(made: Planned, file: ModelFile) -> Node:
    """Return the node that makes the model file."""
    if file.precision is Precision.FP32:
        return float_node(made, file)
    return node_of(made["quantized"], file)


def node_of(nodes: Sequence[Node], key: Hashable) -> Node:
    """Return the node with this key.

    Raises:
        ValueError: If it was not planned.
    """
    for node in nodes:
        if node.key == key:
            return node
    raise ValueError(f"no node was planned for {key}")


def set_provider(provider: str, folder: Path, out: Path) -> tuple[str, ...]:
    """Write the contract of the model folder `folder`, with another provider, into `out`.

    Returns:
        The names of the files written; none for the CPU, which every model folder names already.
    """
    from edgetl.runtime.contract import CONTRACT_FILE, Contract

    if provider == CPU:
        return ()
    dataclasses.replace(Contract.load(folder), provider=provider).save(out)
    return (CONTRACT_FILE,)


def runtime_digest(job: Job, formats: Iterable[str]) -> str:
    """Return the digest of the runtime's files, which predict, are timed, and are put on devices.

    Args:
        job: Has the task, and caches the digests of files.
        formats: Of the models that the runtime will run.
    """
    from edgetl.runtime.bundle import runtime_files

    files = runtime_files(formats, [job.recipe.task])
    return digest_value({name: job.digest(path) for name, path in files.items()})


def size_bytes(folder: Path, name: str) -> int:
    """Return the size of a model of format `name`: its file, and its weights if kept separately."""
    return sum((folder / each).stat().st_size for each in EXPORTERS.load(name).files)
