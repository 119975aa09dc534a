"""The contract of an engine: one file per model format, found by the format's name.

An engine file defines ``VERSION``, a number that is raised whenever a file gives different
predictions than before; ``PROVIDERS``, its execution providers, `CPU` first, each with the
distributions that can provide it, best first; and ``open_session(file, threads, provider) ->
Session``, which imports all packages itself, including numpy, because a plan looks up the packages
of a format and must not wait for them. It runs the whole model on that provider or raises
`EngineError`: times and outputs of another provider would be wrong.

If releases of a distribution were built for numpy 1, ``FIRST_FOR_NUMPY_2`` maps it to the first
that was not, or to None, and the engine calls `edgetl.runtime.packages.check_built_for_numpy`. If
older releases do not work, ``LEAST_VERSIONS`` maps a distribution to the first that does, and the
engine calls `edgetl.runtime.packages.check_engine`.

An engine of an installed package imports nothing of its package except the files that it lists in
``FILES``: modules beside it whose names start with an underscore. They are copied with it to a
device, into this folder; so it imports them relative to itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from edgetl.runtime.errors import (
    COPY_AGAIN,
    BundleError,
    ContractError,
    EngineError,
    PackageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.packages import FirstForNumpy2

CPU = "cpu"
"""The provider that every engine has."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as the model file states it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """Name in numpy: ``float32``, ``uint8``, ``int8`` ..."""
    scale: float | None
    """Real value of one step of an integer tensor; None if the file states none."""
    zero_point: int | None
    """The integer that represents zero; None if the file states none."""


class Session(Protocol):
    """A loaded model. Not safe to call from two threads at once."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs in the order of the file."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The outputs in the order of the file."""

    @property
    def engine(self) -> str:
        """Package and version, for example ``onnxruntime 1.31.1``."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by their names in the file, as real numbers.

        Args:
            inputs: One sample, by the inputs' names in the file. An image is uint8 RGB
                ``(1, H, W, 3)``, quantized as the file states; tokens have the file's dtype.

        Raises:
            ValueError: If `inputs` have other names, shapes or dtypes.
        """


class _Engine(Protocol):
    VERSION: int
    PROVIDERS: Mapping[str, tuple[str, ...]]

    def open_session(self, file: Path, threads: int, provider: str) -> Session: ...


def formats() -> tuple[str, ...]:
    """Return the formats that have an engine, built-in ones first, without importing any."""
    from edgetl.runtime.engines._installed import INSTALLED

    return tuple(dict.fromkeys((*_built_in(), *INSTALLED.names())))


def installed_files(format: str) -> dict[str, Path]:  # noqa: A002
    """Return the files, by name, that an engine of an installed package needs in this folder.

    Empty for formats whose engine is already here.

    Raises:
        EngineError: If the engine cannot be imported, or lists a file that cannot be packaged.
        ContractError: If there is no engine for `format`.
    """
    from edgetl.runtime.engines._installed import INSTALLED

    _engine(format)
    return {} if format in _built_in() else INSTALLED.files(format)


def providers(format: str) -> tuple[str, ...]:  # noqa: A002 - the contract's word
    """Return the providers of `format`, `CPU` first; raises ContractError if it has no engine."""
    return tuple(_engine(format).PROVIDERS)


def packages(format: str, provider: str = CPU) -> tuple[str, ...]:  # noqa: A002
    """Return the distributions that can run `format` on `provider`, best first; one is enough.

    Raises:
        ContractError: If there is no engine for `format`, or it has no such provider.
    """
    known = _engine(format).PROVIDERS
    if provider not in known:
        raise ContractError(
            f"the engine of format '{format}' has no provider '{provider}'; known: "
            f"{', '.join(known)}",
            remedy="use a newer edgetl.runtime, or choose a known provider",
        )
    return known[provider]


def first_for_numpy_2(format: str) -> Mapping[str, FirstForNumpy2]:  # noqa: A002
    """Return the first version of distributions that runs with numpy 2; others always did.

    Raises:
        ContractError: If there is no engine for `format`.
    """
    first: Mapping[str, FirstForNumpy2] = getattr(_engine(format), "FIRST_FOR_NUMPY_2", {})
    return first


def least_versions(format: str) -> Mapping[str, str]:  # noqa: A002
    """Return the first version of distributions that works; of others all known ones do.

    Raises:
        ContractError: If there is no engine for `format`.
    """
    least: Mapping[str, str] = getattr(_engine(format), "LEAST_VERSIONS", {})
    return least


def package(format: str, provider: str = CPU) -> str:  # noqa: A002
    """Return the installed distribution that runs `format` on `provider`, without importing it.

    Raises:
        EngineError: If none is installed.
        ContractError: If there is no engine for `format`, or it has no such provider.
    """
    # Here, because it costs a tenth of a cold prediction, which does not need it.
    from importlib import metadata

    for name in packages(format, provider):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    raise _missing(format, provider, "it is not installed")


def open_session(
    format: str,  # noqa: A002
    file: Path,
    threads: int,
    provider: str = CPU,
) -> Session:
    """Load `file` with the engine of `format`.

    Args:
        format: ``onnx``, ``openvino`` or ``tflite``.
        file: The model file.
        threads: How many threads of the CPU one inference may use.
        provider: One of `providers`; runs the whole model.

    Raises:
        EngineError: If the engine's package cannot be imported, has no such provider, or would run
            even a part of the model elsewhere.
        PackageError: If the engine's package is too old, or does not run with the installed numpy.
        ContractError: If there is no engine for `format`, it has no such provider, or an input of
            the file is neither an image nor tokens.
        BundleError: If the file is missing or damaged, or the engine cannot run it.
    """
    packages(format, provider)
    if not file.is_file():
        raise BundleError(f"{file} is missing", remedy=COPY_AGAIN)
    try:
        return _engine(format).open_session(file, threads, provider)
    except PackageError:
        raise
    except ImportError as error:
        raise _missing(format, provider, str(error)) from error


def unloadable(file: Path, engine: str, error: Exception) -> BundleError:
    """Return the error for a model file that `engine` refuses, with the engine's last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return BundleError(
        f"{engine} cannot load {file}: {reason}",
        remedy="the file is damaged or this engine is too old: copy the folder again, or update "
        f"{engine.split(maxsplit=1)[0]}",
    )


def _engine(format: str) -> _Engine:  # noqa: A002
    if format in _built_in():
        return cast("_Engine", importlib.import_module(f"{__name__}.{format}"))
    known = formats()
    if format not in known:
        raise ContractError(
            f"there is no engine for format '{format}'; known: {', '.join(known)}",
            remedy="use a newer edgetl.runtime, or export the model to a known format",
        )
    from edgetl.runtime.engines._installed import INSTALLED

    return cast("_Engine", INSTALLED.load(format))


@cache
def _built_in() -> tuple[str, ...]:
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in modules if name[0] != "_"))


def _missing(format: str, provider: str, reason: str) -> EngineError:  # noqa: A002
    name = packages(format, provider)[0]
    where = "" if provider == CPU else f" on {provider}"
    return EngineError(
        f"a model of format '{format}'{where} needs the package '{name}': {reason}",
        remedy=f"pip install {name}",
    )
