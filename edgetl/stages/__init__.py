"""The contract of a stage: artifacts in, one new artifact and facts out.

A stage file defines ``STAGE``. It imports no framework at the top: planning and a fully cached run
must stay fast, so frameworks are imported inside `Stage.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar  # PEP 696 defaults; typing has them from Python 3.13 on

from edgetl.config.calibration import Calibration
from edgetl.config.method_keys import MethodKeys
from edgetl.config.recipe import InputTable, Recipe
from edgetl.config.refinement import Refinement
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.errors import MissingPackage, Problem
from edgetl.facts import FactsModel
from edgetl.facts.dataset import DataOverview
from edgetl.plugins import Slot
from edgetl.store.store import Artifact
from edgetl.types import Fact

StageFacts = TypeVar("StageFacts", bound=FactsModel, default=Any)


class Progress(Protocol):
    """Receives the progress of a long stage; the command line decides how to show it."""

    def step(self, done: int, total: int, text: str) -> None:
        """Report that `done` of `total` steps are done; `text` holds the current figures."""

    def note(self, text: str) -> None:
        """Show one line that the user must know."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders a stage may write to."""

    out: Path
    """Becomes the artifact when the stage returns; empty at the start."""
    scratch: Path
    """Survives a crash of this stage with the same inputs; for checkpoints."""
    logs: Path
    """Kept beside the artifact but not part of it: TensorBoard events, timings."""
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One artifact to make: a stage with its settings and the nodes that it reads."""

    stage: str
    label: str
    """Unique in a plan, for display: ``quantize onnx int8``."""
    settings: Table
    """Exactly the fields that the result depends on."""
    inputs: Mapping[str, Node] = field(default_factory=dict)
    key: Hashable = None
    """Identifies the node among others of its kind, for stages that read it: a model's name, a
    `ModelFile`; None if the kind has one node."""


class UndecidedError(Exception):
    """A plan depends on a decision that has not been made yet; the planner waits for it.

    Attributes:
        node: The decision.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node.label)
        self.node = node


def _undecided(node: Node) -> Artifact:
    raise UndecidedError(node)


def _compute(key: str, compute: Callable[[], str | None]) -> str | None:
    del key
    return compute()


def _always(key: str, check: Callable[[], None]) -> None:
    del key
    check()


@dataclass(frozen=True, slots=True)
class Job:
    """A checked recipe with everything it names, before anything runs."""

    recipe: Recipe
    tables: Mapping[str, Table]
    """The recipe's stage tables by stage name; defaults for those that the recipe omits."""
    targets: tuple[Target, ...]
    calibration: Calibration
    folder: Path
    """Folder of the recipe; its relative paths start here."""
    digest: Callable[[Path], str]
    """SHA-256 of a file's content, cached by path, size and modification time."""
    refinements: Mapping[str, tuple[Refinement, ...]] = field(default_factory=dict)
    """The checked `refine` list of each model, by the model's name in the recipe."""
    once: Callable[[str, Callable[[], None]], None] = _always
    """Runs a slow check, which raises if it fails, unless it has passed under the same key."""
    recall: Callable[[str, Callable[[], str | None]], str | None] = _compute
    """Returns the text that a slow computation gave under the same key; None is not kept."""
    overviews: tuple[DataOverview, ...] = ()
    """What the data hold, of each role; empty if they were not read."""
    roots: Mapping[str, Root] = field(default_factory=dict)
    """How the chain of each model begins, by the model's name in the recipe; a model comes after
    its teacher, so the last one is deployed."""
    decision: Callable[[Node], Artifact] = _undecided
    """Returns the artifact of a node on which a plan depends, such as a search rung.

    Raises:
        UndecidedError: If it does not exist yet. `Stage.plan` does not catch it: its nodes, and
            those that depend on them, are planned in the next round.
    """


@dataclass(frozen=True, slots=True)
class Inspection:
    """What reading the data of a job shows."""

    problems: tuple[Problem, ...]
    """Each replaces one of `Stage.check` at the same place, which knows less."""
    overviews: tuple[DataOverview, ...] = ()
    """What the data hold, of each role; empty if there are problems."""


Planned = Mapping[str, Sequence[Node]]
"""Nodes planned so far, by the kind that their stage makes; models also as `MODEL_KIND`."""


@dataclass(frozen=True, slots=True)
class Root:
    """What a stage states that begins model chains.

    It plans a node whose key is the name of the model, and that reads the labelled images as the
    input ``dataset`` and the model that it learns from, if any, as ``teacher``. The artifact holds
    a model as `edgetl.models.save_model` writes it. Further nodes, such as a control, have other
    keys.
    """

    model: str
    """Name of the model: the key of the recipe's table that describes it."""
    input: Callable[[Job], InputTable | None]
    """Returns what the network sees; None if that cannot be known, which `Stage.check` reports."""


@dataclass(frozen=True, slots=True)
class Refining:
    """One step of a model chain, to be planned."""

    model: str
    """Name of the model in the recipe: ``teacher``, ``student``."""
    step: int
    """Position in the chain, counted from 1; the root is 0."""
    options: Table
    source: Node
    """The model that is refined."""


class Cores(StrEnum):
    """What a stage needs of the processor while it runs."""

    ONE = "one"
    """It may run beside others; torch computes with one thread."""
    ALL = "all"
    """It computes with as many threads as there are cores."""
    MACHINE = "machine"
    """It measures time: whatever else runs on the machine would show."""


def no_nodes(job: Job, made: Planned) -> Sequence[Node]:
    """Return nothing: the plan of a refining stage, whose nodes come from `refine` lists."""
    del job, made
    return ()


def no_problems(job: Job) -> Iterator[Problem]:
    """Yield nothing: the check of a stage that can always run."""
    del job
    yield from ()


def no_inspection(job: Job, progress: Progress) -> Inspection:
    """Return nothing: the inspection of a stage that reads no data."""
    del job, progress
    return Inspection(())


def no_missing_packages(job: Job) -> Iterator[MissingPackage]:
    """Yield nothing: a stage that needs no package beyond edgetl's own dependencies."""
    del job
    yield from ()


def nothing_to_prepare(settings: Any) -> None:  # noqa: ANN401 - as of `Stage.run`
    """Do nothing: the preparation of a stage whose inputs are all on this machine."""
    del settings


def nothing_to_foresee(settings: Any, inputs: Mapping[str, Artifact]) -> None:  # noqa: ANN401 - as of `Stage.run`
    """Do nothing: the foresight of a stage that can use whatever its inputs hold."""
    del settings, inputs


def no_plugins(settings: Any, inputs: Mapping[str, Artifact]) -> dict[str, str]:  # noqa: ANN401 - as of `Stage.run`
    """Return nothing: the plug-ins of a stage whose result depends on none."""
    del settings, inputs
    return {}


@dataclass(frozen=True, slots=True)
class Stage(Generic[StageFacts]):
    """How one kind of artifact is made.

    Attributes:
        name: The file's name, and the key of the recipe table if `options` has fields.
        version: Raised when the same settings and inputs give a different result than before.
        needs: Kinds that `plan` looks up; they fix the order of stages.
        makes: Kind of the artifact.
        options: The recipe table that carries this stage's name.
        plan: The nodes that a job needs from this stage; may be empty.
        plugins: Every plug-in that `run` loads and that can change its result, with its version,
            for given settings and inputs; see `edgetl.plugins.Slot.stamp`.
        methods: Where further keys of the table come from, if they depend on a method it names.
        check: Every reason why the plan could not be carried out, known before the first epoch.
        inspect: What is only known once the data were read, which may take minutes: whatever a run
            would refuse because of them. `Job.overviews` has what earlier stages found.
        refine: Of a refining stage, the node of one entry of a `refine` list; its `options` are
            then those of the entry, and it has no recipe table of its own. It makes `REFINED_KIND`,
            reads the model as the input ``model``, and writes it with
            `edgetl.models.save_model`.
        root: Of a stage that makes the first models of chains, which model and how it sees images.
        missing: The packages that a run of a job needs for this stage and that are not installed.
        prepare: Get what `run` needs from outside this machine, for given settings; before a run
            makes anything it is called for all that it is to make.
        foresee: Raise what `run` would refuse, for given settings and those inputs that exist; a
            run calls it as soon as another input exists, so that it fails before it trains.
        tools: Distributions whose version may change the result, for given settings.
        facts: The type that `run` returns and that readers of an artifact request.
        run: Write files into ``work.out`` and return facts.
        summary: The line that is printed when the stage is done, from its facts.
        measured: Whether the result is a measurement, which no two runs repeat.
        cores: What a run needs of the processor.
        memory_mib: Most memory that a run needs, with the processes that it starts.
        quick: Options of a quick run, which end the stage sooner.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    makes: str
    options: type[Table]
    plan: Callable[[Job, Planned], Sequence[Node]]
    tools: Callable[[Any], tuple[str, ...]]
    facts: type[StageFacts]
    run: Callable[[Any, Mapping[str, Artifact], Workspace], StageFacts]
    summary: Callable[[StageFacts], str]
    check: Callable[[Job], Iterator[Problem]] = no_problems
    inspect: Callable[[Job, Progress], Inspection] = no_inspection
    refine: Callable[[Job, Refining, Planned], Node] | None = None
    root: Root | None = None
    missing: Callable[[Job], Iterator[MissingPackage]] = no_missing_packages
    prepare: Callable[[Any], None] = nothing_to_prepare
    foresee: Callable[[Any, Mapping[str, Artifact]], None] = nothing_to_foresee
    plugins: Callable[[Any, Mapping[str, Artifact]], dict[str, str]] = no_plugins
    methods: MethodKeys | None = None
    measured: bool = False
    cores: Cores = Cores.ONE
    memory_mib: int = 1024
    quick: Mapping[str, Fact] = field(default_factory=dict)

    def summarise(self, artifact: Artifact) -> str:
        """Return the summary line of the stage's artifact."""
        return self.summary(artifact.read(self.facts))


class NoOptions(Table):
    """The recipe table of a stage without options."""


MODEL_KIND = "model"
"""Kind under which the planner lists the last model of every chain, whatever stage makes the root.
Stages that need it come after all stages that make roots."""
REFINED_KIND = "refined"
"""Kind of every model that a refining stage makes."""

STAGES: Slot[Stage] = Slot("edgetl.stages", "STAGE", "stage", "edgetl.stages")
