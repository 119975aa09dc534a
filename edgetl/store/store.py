"""The content-addressed store: artifacts are looked up by the digest of their request.

Layout below the root (``.edgetl/``)::

    artifacts/<stage>/<key>/   files and manifest.json; complete or absent, never changed
    work/<key>/                output of a running stage; abandoned after a crash
    scratch/<key>/             checkpoints; survive a crash, removed with the commit
    logs/<stage>/<key>/        TensorBoard events and timings; not part of the artifact
    locks/<key>                held while a stage runs, released by the system at exit
    runs/<recipe>.json         artifacts used by the last run of a recipe
    digests.json               cached digests of files
    checked/<key>              empty; a check that passed and need not run again
    checked/<key>.txt          the result of such a check
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from edgetl.errors import StoreError
from edgetl.facts import FactsModel
from edgetl.hashing import digest_folder, digest_value
from edgetl.store.manifest import MANIFEST_FILE, Manifest
from edgetl.store.memory import DigestMemory
from edgetl.types import Fact, Facts

AnyFacts = TypeVar("AnyFacts", bound=FactsModel)

_REPAIR = "run 'edgetl verify-store --repair', then the recipe again"


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that determines an artifact; its digest is the key."""

    stage: str
    version: int
    settings: dict[str, Fact]
    inputs: dict[str, str]
    """Input name to the digest of the input artifact."""
    tools: dict[str, str]
    """Distribution to version."""
    plugins: dict[str, str] = field(default_factory=dict)
    """Kind and name of every plug-in that is loaded, to its version."""

    @property
    def key(self) -> str:
        """SHA-256 of all fields."""
        return digest_value(
            {
                "stage": self.stage,
                "version": self.version,
                "settings": self.settings,
                "inputs": self.inputs,
                "tools": self.tools,
                "plugins": self.plugins,
            }
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """An immutable folder in the store."""

    folder: Path
    manifest: Manifest

    def read(self, facts: type[AnyFacts]) -> AnyFacts:
        """Return what the stage found out, as its facts model.

        Raises:
            StoreError: If the facts in the manifest do not fit the model.
        """
        try:
            return facts.model_validate(self.manifest.facts)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "they"
            raise StoreError(
                f"the facts of artifact '{self.manifest.label}', made by {self.manifest.stage} "
                f"v{self.manifest.version}, do not fit this edgetl: {where}: "
                f"{first['msg'].lower()}",
                remedy=f"run the recipe again; if that reuses it, remove {self.folder} first",
            ) from error

    def file(self, name: str) -> Path:
        """Return the path of a file listed in the manifest.

        Raises:
            StoreError: If the file is not listed or is missing.
        """
        path = self.folder / name
        if name not in self.manifest.files or not path.is_file():
            raise StoreError(
                f"artifact '{self.manifest.label}' has no file '{name}'", remedy=_REPAIR
            )
        return path


class Store:
    """Artifacts below a root folder, safe against crashes and concurrent processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memory = DigestMemory(root / "digests.json")

    def find(self, request: Request) -> Artifact | None:
        """Return the artifact of `request`, or None if there is none.

        Verifies its files against the manifest; unchanged files are not read again.

        Raises:
            StoreError: If the artifact does not match its manifest.
        """
        folder = self._folder(request.stage, request.key)
        if not folder.is_dir():
            return None
        artifact = _open(folder)
        damage = self.damage(artifact, self.memory.digest)
        if damage:
            raise StoreError(
                f"artifact '{artifact.manifest.label}' in {folder} is damaged: {damage}",
                remedy=_REPAIR,
            )
        return artifact

    def damage(self, artifact: Artifact, digest: Callable[[Path], str]) -> str:
        """Return the first difference between an artifact and its manifest; empty if there is none.

        Args:
            artifact: The artifact to check.
            digest: Returns the SHA-256 of a file, cached or computed.
        """
        manifest = artifact.manifest
        if not manifest.key == artifact.folder.name == _key_of(manifest):
            return f"{MANIFEST_FILE} does not belong to this key"
        if _content_digest(manifest.kind, manifest.files, manifest.facts) != manifest.digest:
            return f"{MANIFEST_FILE} was changed"
        for name, expected in manifest.files.items():
            path = artifact.folder / name
            if not path.is_file():
                return f"'{name}' is missing"
            if digest(path) != expected:
                return f"'{name}' was changed"
        return ""

    def artifacts(self) -> Iterator[tuple[Path, Artifact | None]]:
        """Yield every artifact folder, with None if its manifest cannot be read."""
        for folder in sorted(self.root.glob("artifacts/*/*")):
            try:
                yield folder, _open(folder)
            except StoreError:
                yield folder, None

    @contextmanager
    def making(self, key: str, *, waits: Callable[[], None]) -> Iterator[None]:
        """Hold the lock of `key`; a second process calls `waits` once and waits."""
        lock = self.root / "locks" / key
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def folders(self, request: Request) -> tuple[Path, Path, Path]:
        """Return the folders (out, scratch, logs) for `request`; out is new and empty."""
        out = self.root / "work" / request.key
        if out.exists():
            # Left behind by a dead process: we hold the lock, so no other process uses it.
            shutil.rmtree(out)
        scratch = self.root / "scratch" / request.key
        logs = self.root / "logs" / request.stage / request.key
        for folder in (out, scratch, logs):
            folder.mkdir(parents=True, exist_ok=True)
        return out, scratch, logs

    def commit(
        self, request: Request, *, kind: str, label: str, facts: Facts, seconds: float
    ) -> Artifact:
        """Turn the work folder of `request` into an artifact: hash, manifest, fsync, rename.

        Raises:
            StoreError: If the stage wrote a file with the name of the manifest.
        """
        out = self.root / "work" / request.key
        if (out / MANIFEST_FILE).exists():
            raise StoreError(
                f"stage '{request.stage}' wrote a file named {MANIFEST_FILE}",
                remedy="this is a bug in the stage; please report it with this message",
            )
        # A JSON round trip, so that new facts equal facts read from the store. Their digest refuses
        # numbers that are not finite.
        plain: Facts = json.loads(json.dumps(facts))
        files = digest_folder(out)
        manifest = Manifest(
            stage=request.stage,
            version=request.version,
            kind=kind,
            label=label,
            settings=request.settings,
            inputs=request.inputs,
            tools=request.tools,
            plugins=request.plugins,
            files=files,
            facts=plain,
            key=request.key,
            digest=_content_digest(kind, files, plain),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
        )
        text = manifest.model_dump_json(indent=2) + "\n"
        (out / MANIFEST_FILE).write_bytes(text.encode())
        _sync_tree(out)
        folder = self._folder(request.stage, request.key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        out.rename(folder)
        _sync(folder.parent)
        shutil.rmtree(self.root / "scratch" / request.key, ignore_errors=True)
        return Artifact(folder, manifest)

    def once(self, key: str, check: Callable[[], None]) -> None:
        """Run `check`, which raises if it fails, unless it has passed under this key before.

        Args:
            key: Digest of everything that the check depends on.
            check: Is run again next time if the store cannot be written.
        """
        passed = self.root / "checked" / key
        if passed.exists():
            return
        check()
        with contextlib.suppress(OSError):
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()

    def recall(self, key: str, compute: Callable[[], str | None]) -> str | None:
        """Return what `compute` returned under this key before, or returns now.

        Args:
            key: Digest of everything that the result depends on.
            compute: Is run again next time if it returns None, or the store cannot be written.
        """
        file = self.root / "checked" / f"{key}.txt"
        with contextlib.suppress(OSError):
            return file.read_text(encoding="utf-8")
        text = compute()
        if text is not None:
            part = file.with_suffix(f".{os.getpid()}.part")
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                part.write_text(text, encoding="utf-8")
                part.replace(file)
        return text

    def record_run(self, recipe: str, used: Mapping[str, Artifact]) -> None:
        """Record the artifacts, by label, that the last complete run of `recipe` used."""
        file = self.root / "runs" / f"{recipe}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = {
            label: f"{artifact.manifest.stage}/{artifact.manifest.key}"
            for label, artifact in used.items()
        }
        text = json.dumps(rows, indent=2) + "\n"
        if file.is_file() and file.read_bytes() == text.encode("utf-8"):
            return
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(file)

    def runs(self) -> dict[str, dict[str, str]]:
        """Return, per recipe name, label to ``<stage>/<key>`` of its last complete run.

        Raises:
            StoreError: If a record is damaged.
        """
        return {file.stem: _read_run(file) for file in sorted(self.root.glob("runs/*.json"))}

    def unused(self) -> list[Path]:
        """Return unused folders: artifacts of no recipe's last run, leftovers of dead processes."""
        used = {place for run in self.runs().values() for place in run.values()}
        folders = [
            *sorted(self.root.glob("artifacts/*/*")),
            *sorted(self.root.glob("logs/*/*")),
            *sorted(self.root.glob("work/*")),
            *sorted(self.root.glob("scratch/*")),
        ]
        return [
            folder
            for folder in folders
            if f"{folder.parent.name}/{folder.name}" not in used
            and not self._is_being_made(folder.name)
        ]

    def _is_being_made(self, key: str) -> bool:
        lock = self.root / "locks" / key
        if not lock.exists():
            return False
        with lock.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _folder(self, stage: str, key: str) -> Path:
        return self.root / "artifacts" / stage / key


def _open(folder: Path) -> Artifact:
    file = folder / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{file} cannot be read", remedy=_REPAIR) from error
    return Artifact(folder, manifest)


def _read_run(file: Path) -> dict[str, str]:
    try:
        return TypeAdapter(dict[str, str]).validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(
            f"{file} cannot be read", remedy=f"run the recipe again, or remove {file}"
        ) from error


def _key_of(manifest: Manifest) -> str:
    """Return the key of the request that a manifest records."""
    fields: dict[str, object] = {
        name: getattr(manifest, name)
        for name in ("stage", "version", "settings", "inputs", "tools", "plugins")
    }
    if manifest.schema_version == 1:
        del fields["plugins"]
    return digest_value(fields)


def _content_digest(kind: str, files: Mapping[str, str], facts: Facts) -> str:
    return digest_value({"kind": kind, "files": dict(files), "facts": facts})


def _sync_tree(folder: Path) -> None:
    # In any order: nothing counts before the folder has its final name.
    for path in (folder, *folder.rglob("*")):
        if path.is_file() or path.is_dir():
            _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
