"""The candidates of a job: which model files its targets ask for, and the nodes that make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from edgetl.config.target import Target
from edgetl.hashing import digest_value
from edgetl.stages import Job, Node, Planned
from edgetl.store.store import Artifact
from edgetl.types import Precision

Candidate = tuple[str, Precision]
"""Format and precision."""


def wanted(job: Job) -> tuple[Candidate, ...]:
    """Return every candidate that a target of `job` asks for, once, in the order of the targets."""
    return tuple(dict.fromkeys(pair for target in job.targets for pair in target.pairs()))


def candidate_name(candidate: Candidate) -> str:
    """Return what people call it: ``onnx int8``."""
    name, precision = candidate
    return f"{name} {precision.value}"


def float_node(made: Planned, name: str) -> Node:
    """Return the node that exports format `name`."""
    return node_called(made["float"], f"export {name}")


def file_node(made: Planned, candidate: Candidate) -> Node:
    """Return the node that makes the candidate's model file."""
    name, precision = candidate
    if precision is Precision.FP32:
        return float_node(made, name)
    return node_called(made["quantized"], f"quantize {candidate_name(candidate)}")


def model_node(made: Planned) -> Node:
    """Return the node of the torch model that is deployed: the student if there is one."""
    students = [node for node in made["student"] if node.label == "distill"]
    return (students or made["teacher"])[0]


def benchmark_label(candidate: Candidate, target: Target) -> str:
    """Return the label of the node that times `candidate` the way `target` says."""
    return f"benchmark {candidate_name(candidate)} {target.device} x{target.threads}"


def node_called(nodes: Sequence[Node], label: str) -> Node:
    """Return the node called `label`.

    Raises:
        ValueError: If it was not planned.
    """
    for node in nodes:
        if node.label == label:
            return node
    raise ValueError(f"no node is called '{label}'")


def runtime_digest(job: Job) -> str:
    """Return the digest of the runtime's files, which answer, take their time, and travel along."""
    from edgetl.runtime.bundle import runtime_files

    return digest_value({name: job.digest(path) for name, path in runtime_files().items()})


def size_bytes(artifact: Artifact) -> int:
    """Return how large the model is: its file, and the file of its weights if that is apart."""
    files = [name for name in artifact.manifest.files if PurePosixPath(name).stem == "model"]
    return sum(artifact.file(name).stat().st_size for name in files)
