"""An emulated Raspberry Pi: qemu emulates the processor, the system is unpacked into a folder.

Its predictions are those of the board, because it runs the board's own programs, Debian's Python
and the wheels for aarch64, instruction by instruction. Its times mean nothing: they have the
provenance ``emulated`` and meet no limit. Setting it up needs the network once.

Compared with x86-64 on all three cores, with ONNX Runtime 1.31 and LiteRT 2.3: int8 files of
MobileNetV2 and V3 have bit-identical outputs, float32 files outputs within 2e-6 of their range.
Int8 files that contain float operations, such as SiLU or ONNX Runtime's additions, may differ: a
rounding tie resolved differently, in one of some hundred thousand values, propagates through the
following layers.

It is not a sandbox: a program in it can read and write this machine's files.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from edgetl.devices._apt import find_archive
from edgetl.devices._bytecode import compile_modules
from edgetl.devices._cache import Cache, Kept
from edgetl.devices._cpu_files import CORES as CORES  # noqa: PLC0414 - exported
from edgetl.devices._cpu_files import write_cpu_files
from edgetl.devices._folder import FolderConnection
from edgetl.devices._instructions import Instructions as Instructions  # noqa: PLC0414 - exported
from edgetl.devices._instructions import count_instructions
from edgetl.devices._process import ENVIRONMENT
from edgetl.devices._rootfs import (
    EMULATOR,
    EMULATOR_SUITE,
    PACKAGES,
    SYSTEMS,
    System,
    host_architecture,
    make_emulator,
    make_rootfs,
)
from edgetl.devices._wheels import ENGINES, IMAGES, install
from edgetl.errors import UsageError, known_names
from edgetl.runtime.bundle import runtime_files
from edgetl.types import Facts

SCHEME = "emulated"
PROVENANCE = "emulated"

_DEFAULT_SYSTEM = "bookworm"
_DEFAULT_ENGINES = ("onnxruntime", "ai-edge-litert")

_logger = logging.getLogger(__name__)

_MIRRORS = ("http://", "https://", "file:/")
_NOT_IN_MIRRORS = frozenset(" \t\r\n[]")
_SETTINGS = ("system", "engine", "mirror")
"""Settings after the ``?`` of an address."""
_DESCRIBE_TIMEOUT_S = 120.0
_FINGERPRINT = "import json, edgetl.runtime.host as h; print(json.dumps(h.fingerprint()))"
_RECIPE = 1
"""Raise it when the way trees are made changes; cached trees are then no longer used."""


@dataclass(frozen=True, slots=True)
class EmulatedDevice:
    """A processor core, a system and engines, downloaded when first used."""

    cpu: str = "cortex-a72"
    """A key of `CORES`."""
    system: str = _DEFAULT_SYSTEM
    """A key of `edgetl.devices._rootfs.SYSTEMS`."""
    engines: tuple[str, ...] = _DEFAULT_ENGINES
    """Keys of `edgetl.devices._wheels.ENGINES`.

    OpenVINO is not a default: it is the largest, and few targets use it.
    """
    mirror: str | None = None
    """URL of a Debian mirror; None for the one of this machine's apt."""
    cache: Path | None = None
    """Folder for downloads; None for ``~/.cache/edgetl/emulated``."""
    note: Callable[[str], None] = _logger.warning
    """Receives one line before each download."""

    @property
    def provenance(self) -> str:
        """Times taken here are emulated; they only prove that a model runs."""
        return PROVENANCE

    @property
    def address(self) -> str:
        """The shortest address of the device, without its cache."""
        settings = {} if self.system == _DEFAULT_SYSTEM else {"system": self.system}
        if self.engines != _DEFAULT_ENGINES:
            settings["engine"] = ",".join(self.engines)
        if self.mirror is not None:
            settings["mirror"] = self.mirror
        query = f"?{urlencode(settings, safe=':/,')}" if settings else ""
        return f"{SCHEME}:{self.cpu}{query}"

    def describe(self) -> Facts:
        """Return the fingerprint taken on the device, and the parts of the emulation.

        Raises:
            DeviceError: If the device cannot be set up, or does not run.
        """
        parts = self.parts()
        with self.connect() as connection:
            connection.put(runtime_files())
            output = connection.run(["-c", _FINGERPRINT], timeout_s=_DESCRIBE_TIMEOUT_S)
        emulation = {name: kept.digest for name, kept in parts.items()}
        return {
            **json.loads(output),
            "provenance": self.provenance,
            "emulation": {"cpu": self.cpu, "system": self.system, **emulation},
        }

    @contextmanager
    def connect(self) -> Iterator[FolderConnection]:
        """Open a temporary folder; the device is set up first if necessary.

        Raises:
            DeviceError: If it cannot be set up: no apt or pip, no network, no disk space.
        """
        qemu = self.parts()["qemu"].tree / EMULATOR
        with self.connect_through((str(qemu),)) as connection:
            yield connection

    @contextmanager
    def connect_through(self, emulator: Sequence[str]) -> Iterator[FolderConnection]:
        """Open a temporary folder, with Python run by another qemu.

        Args:
            emulator: The program and its first arguments, without processor and root.

        Raises:
            DeviceError: As `connect` does.
        """
        parts = self.parts()
        sites = [kept.tree for name, kept in parts.items() if name not in {"qemu", "rootfs"}]
        with tempfile.TemporaryDirectory(prefix="edgetl-emulated-") as name:
            root, work = Path(name) / "root", Path(name) / "work"
            work.mkdir()
            self._make_root(root, parts["rootfs"].tree)
            # -S: qemu resolves paths that its root lacks on this machine, so Python would otherwise
            # find this machine's packages in the usual places.
            python = (str(root / "usr/bin/python3"), "-S")
            yield FolderConnection(
                self.address,
                work,
                # Explicit, because qemu 7.2's default processor silently miscomputes SVE.
                (*emulator, "-cpu", self.cpu, "-L", str(root), *python),
                {
                    **ENVIRONMENT,
                    "PYTHONPATH": os.pathsep.join(str(site) for site in sites),
                    "QEMU_CPU": self.cpu,
                },
                f"use --device '{SCHEME}:{self.cpu}?engine=...' with the engine",
            )

    def count_instructions(self, engine_format: str, files: Mapping[str, Path]) -> Instructions:
        """Count the instructions of one inference, single thread, model only; counts are cached.

        Args:
            engine_format: Format of the model, whose engine is among `engines`.
            files: The model's files by name, the one to open first.

        Raises:
            DeviceError: If the device cannot be set up, or the model does not run there.
            MissingPackageError: If there is no C compiler for the plug-in that counts.
        """
        return count_instructions(self, engine_format, files)

    def _make_root(self, root: Path, rootfs: Path) -> None:
        """Make a root of links to the shared rootfs, with the core's own files beside them."""
        root.mkdir()
        for path in rootfs.iterdir():
            (root / path.name).symlink_to(path)
        write_cpu_files(CORES[self.cpu], root)

    def kept(self) -> Cache:
        """Return the cache for the parts of emulated devices."""
        return Cache(self.cache or Path.home() / ".cache" / "edgetl" / SCHEME, self.note)

    def parts(self) -> dict[str, Kept]:
        """Return qemu, the rootfs and the engines' packages; missing ones are made.

        Raises:
            DeviceError: If they cannot be made: no apt or pip, no network, no disk space.
        """
        system, host, cache = SYSTEMS[self.system], host_architecture(), self.kept()
        parts = {
            "qemu": cache.keep(
                "qemu",
                {"recipe": _RECIPE, "suite": EMULATOR_SUITE, "host": host},
                what="an emulator of 64-bit ARM processors, Debian packages of 63 MB",
                make=lambda tree: make_emulator(host, find_archive(self.mirror), tree),
            ),
            "rootfs": cache.keep(
                f"debian-{system.suite}",
                {"recipe": _RECIPE, "suite": system.suite, "packages": list(PACKAGES)},
                what=f"Debian {system.suite} for 64-bit ARM, packages of 17 MB",
                make=lambda tree: self._rootfs(system, tree),
            ),
        }
        wheels = {"images": IMAGES, **{name: (ENGINES[name],) for name in self.engines}}
        for name, requirements in wheels.items():
            parts[name] = self._site(cache, name, requirements)
        return parts

    def _site(self, cache: Cache, name: str, requirements: Sequence[str]) -> Kept:
        system = SYSTEMS[self.system]
        request = {"requirements": list(requirements), "python": system.python}

        def make(tree: Path) -> Facts:
            wheels = install(
                requirements, tree, python=system.python, glibc_minor=system.glibc_minor
            )
            compile_modules(tree, system.python)
            return wheels

        return cache.keep(
            name,
            {"recipe": _RECIPE, **request, "glibc_minor": system.glibc_minor},
            what=f"{', '.join(requirements)} for 64-bit ARM",
            make=make,
        )

    def _rootfs(self, system: System, tree: Path) -> Facts:
        packages = make_rootfs(system, find_archive(self.mirror), tree)
        compile_modules(tree, system.python)
        return packages


def parse(address: str) -> EmulatedDevice:
    """Return the device that ``emulated:<cpu>[?system=...&engine=...&mirror=...]`` names.

    Nothing is downloaded before the device is used.

    Raises:
        UsageError: If the processor, a setting or its value is unknown; names the known ones.
    """
    cpu, _, query = address.removeprefix(SCHEME).removeprefix(":").partition("?")
    if not cpu:
        raise UsageError(
            f"'{address}' names no processor",
            remedy=f"name the processor: {SCHEME}:{DEVICE.cpu}; known: {', '.join(CORES)}",
        )
    _check("processor", cpu, CORES, address)
    device = EmulatedDevice(cpu=cpu)
    settings = parse_qsl(query, keep_blank_values=True)
    for key, value in settings:
        _check("setting", key, _SETTINGS, address)
        if [name for name, _ in settings].count(key) > 1:
            raise UsageError(
                f"setting '{key}' in '{address}' has several values", remedy="write one value"
            )
        if key == "system":
            _check(key, value, SYSTEMS, address)
            device = replace(device, system=value)
        elif key == "engine":
            engines = tuple(value.split(","))
            for engine in engines:
                _check(key, engine, ENGINES, address)
            device = replace(device, engines=engines)
        else:
            device = replace(device, mirror=_mirror(value, address))
    return device


def _check(what: str, name: str, known: Iterable[str], address: str) -> None:
    names = tuple(known)
    if name not in names:
        raise UsageError(f"unknown {what} '{name}' in '{address}'", remedy=known_names(name, names))


def _mirror(text: str, address: str) -> str:
    # The excluded characters would end the word in apt's list of sources.
    if text.startswith(_MIRRORS) and not set(text) & _NOT_IN_MIRRORS:
        return text.rstrip("/")
    raise UsageError(
        f"'{text}' in '{address}' is not the address of a Debian mirror",
        remedy="write mirror=http://..., the folder that contains 'dists'",
    )


DEVICE = EmulatedDevice()
