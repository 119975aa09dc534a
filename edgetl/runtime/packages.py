"""Which versions of its packages the runtime works with, looked at before they end in a traceback.

`edgetl.runtime.preprocess` checks numpy and Pillow when it is imported, and whatever touches pixels
imports it first. An engine checks its package before it uses it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from edgetl.runtime.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST_VERSIONS = {"numpy": "1.21", "pillow": "9.1"}
"""By distribution; with the release before, importing the runtime fails."""

LEAST_PILLOW_TO_DRAW = "10.1"
"""The first whose own font comes in any size."""

FirstForNumpy2 = Optional[str]
"""First version of a distribution that runs with numpy 2, and also with numpy 1; None if there is
none."""

NUMPY_1 = f"numpy>={LEAST_VERSIONS['numpy']},<2"


def parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of `text` for comparison: ``2.36-9+rpt`` gives (2, 36)."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def is_older(version: str, least: str) -> bool:
    """Return whether `version` is below `least`; one without numbers is not."""
    return bool(parse_version(version)) and parse_version(version) < parse_version(least)


def is_built_for_numpy_1(version: str | None, first: FirstForNumpy2) -> bool:
    """Return whether numpy 2 breaks `version`, None if unknown, of a distribution."""
    return first is None or (version is not None and is_older(version, first))


def check_numpy_and_pillow() -> None:
    """See that the installed versions are new enough.

    Raises:
        PackageError: If they are not; names both if both are too old.
    """
    import numpy as np
    import PIL

    installed = {"numpy": np.__version__, "pillow": PIL.__version__}
    old = [name for name, least in LEAST_VERSIONS.items() if is_older(installed[name], least)]
    if not old:
        return
    # Where numpy is so old, the engine was built for numpy 1.
    requirements = {"numpy": NUMPY_1, "pillow": f"pillow>={LEAST_VERSIONS['pillow']}"}
    raise PackageError(
        f"this Python has {' and '.join(f'{name} {installed[name]}' for name in old)}, but "
        f"edgetl.runtime needs {' and '.join(f'{name} {LEAST_VERSIONS[name]}' for name in old)} "
        "or newer",
        remedy=f"pip install {' '.join(repr(requirements[name]) for name in old)}",
    )


def check_engine(distribution: str, least: str) -> None:
    """See that an engine's distribution is new enough; one of unknown version is.

    Raises:
        PackageError: If it is not.
    """
    # Here, because it takes long to import on a slow board.
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version(distribution)
    except PackageNotFoundError:
        return
    if is_older(installed, least):
        raise PackageError(
            f"this Python has {distribution} {installed}, but edgetl.runtime needs {least} or "
            "newer",
            remedy=f"pip install '{distribution}>={least}'",
        )


def check_built_for_numpy(module: str, first: Mapping[str, FirstForNumpy2]) -> None:
    """See that `module`, unless it is missing, does not need numpy 1 where numpy 2 is installed.

    Importing such a package ends in a traceback or crashes Python. Its version is that of
    the folder ``NAME-VERSION.dist-info`` beside it: `importlib.metadata` is slow on a board.

    Args:
        module: Top-level module of an engine's package.
        first: First version for numpy 2, by the distributions that may have brought `module`.

    Raises:
        PackageError: If it does.
    """
    import numpy as np

    if is_older(np.__version__, "2") or module in sys.modules:
        return
    from importlib.util import find_spec

    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return
    installed = _versions_in(Path(spec.origin).parents[1])
    for name, least in first.items():
        version = installed.get(name)
        if (version or len(first) == 1) and is_built_for_numpy_1(version, least):
            called = f"{name} {version}" if version else name
            newer = f", or pip install '{name}>={least}'" if least else ""
            raise PackageError(
                f"{called} was built for numpy 1, but this Python has numpy {np.__version__}",
                remedy=f"pip install '{NUMPY_1}'{newer}",
            )


def _versions_in(site: Path) -> dict[str, str]:
    """Return the versions of the distributions in a folder of packages."""
    with os.scandir(site) as entries:
        matches = [re.match(r"(.+)-([^-]+)\.dist-info$", entry.name) for entry in entries]
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in matches if match}
