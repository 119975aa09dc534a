"""The candidates of a job: which model files its targets ask for, and the nodes that make them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from edgetl.config.target import Candidate, Target
from edgetl.hashing import digest_value
from edgetl.runtime.engines import CPU
from edgetl.stages import Job, Node, Planned
from edgetl.store.store import Artifact
from edgetl.types import Precision

ModelFile = tuple[str, Precision]
"""Format and precision; any number of candidates, each with its provider, are of one file."""


def wanted(job: Job) -> tuple[ModelFile, ...]:
    """Return every file that a target of `job` asks for, once, in the order of the targets."""
    return tuple(dict.fromkeys(pair for target in job.targets for pair in target.pairs()))


def candidate_name(file: ModelFile) -> str:
    """Return what people call a file, and the candidate of it on the CPU: ``onnx int8``."""
    name, precision = file
    return f"{name} {precision.value}"


def float_node(made: Planned, name: str) -> Node:
    """Return the node that exports format `name`."""
    return node_called(made["float"], f"export {name}")


def file_node(made: Planned, file: ModelFile) -> Node:
    """Return the node that makes the model file."""
    name, precision = file
    if precision is Precision.FP32:
        return float_node(made, name)
    return node_called(made["quantized"], f"quantize {candidate_name(file)}")


def model_node(made: Planned) -> Node:
    """Return the node of the torch model that is deployed: the student if there is one."""
    students = [node for node in made["student"] if node.label == "distill"]
    return (students or made["teacher"])[0]


def benchmark_label(candidate: Candidate, target: Target) -> str:
    """Return the label of the node that times `candidate` the way `target` says."""
    return f"benchmark {candidate.name} {target.device} x{target.threads}"


def ask_for(provider: str, folder: Path, out: Path) -> tuple[str, ...]:
    """Write the contract of the model folder `folder`, with another provider, into `out`.

    Returns:
        The names of the files written; none for the CPU, which every model folder asks for.
    """
    from edgetl.runtime.contract import CONTRACT_FILE, Contract

    if provider == CPU:
        return ()
    dataclasses.replace(Contract.load(folder), provider=provider).save(out)
    return (CONTRACT_FILE,)


def node_called(nodes: Sequence[Node], label: str) -> Node:
    """Return the node called `label`.

    Raises:
        ValueError: If it was not planned.
    """
    for node in nodes:
        if node.label == label:
            return node
    raise ValueError(f"no node is called '{label}'")


def runtime_digest(job: Job, formats: Iterable[str]) -> str:
    """Return the digest of the runtime's files, which predict, are timed, and travel to a device.

    Args:
        job: Remembers the digests of files.
        formats: Of the models that the runtime will run.
    """
    from edgetl.runtime.bundle import runtime_files

    files = runtime_files(formats)
    return digest_value({name: job.digest(path) for name, path in files.items()})


def size_bytes(artifact: Artifact) -> int:
    """Return how large the model is: its file, and the file of its weights if that is apart."""
    files = [name for name in artifact.manifest.files if PurePosixPath(name).stem == "model"]
    return sum(artifact.file(name).stat().st_size for name in files)
