"""A bundle: a model folder with the runtime, and a manifest with the digest of every file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from edgetl.runtime.errors import CHECK_ACCESS, COPY_AGAIN, BundleError, EdgetlUsageError

MANIFEST_FILE = "manifest.json"
SCHEMA = 1

_CHUNK_BYTES = 1 << 20
_NAME_IT = "name the folder of a bundle"


def check_place(given: Path) -> None:
    """Check that the path given to a command can be a bundle or model folder.

    Raises:
        EdgetlUsageError: If there is no such folder, it is a file, or it has no file of a bundle.
    """
    from edgetl.runtime.contract import CONTRACT_FILE

    if given.is_file():
        raise EdgetlUsageError(
            f"'{given}' is a file; BUNDLE is a folder and comes before any image",
            remedy=f"{_NAME_IT} first",
        )
    if not given.is_dir():
        raise EdgetlUsageError(
            f"there is no folder '{given}'", remedy=f"check the path, or {_NAME_IT}"
        )
    if not any((given / name).exists() for name in (CONTRACT_FILE, MANIFEST_FILE)):
        raise EdgetlUsageError(
            f"'{given}' is not a bundle: it has neither {CONTRACT_FILE} nor {MANIFEST_FILE}",
            remedy=_NAME_IT,
        )


def check_files(folder: Path) -> int:
    """Compare the files of the bundle in `folder` with its manifest.

    A file that the manifest does not list counts as damage, because Python may import it; Python's
    caches are ignored.

    Returns:
        How many files were compared.

    Raises:
        BundleError: If the manifest cannot be read, or files are missing, changed or not listed;
            names all.
    """
    expected = _listed(folder)
    problems: list[str] = []
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"'{name}' is missing")
        elif digest_file(path) != digest:
            problems.append(f"'{name}' was changed")
    unlisted = [name for name in _present(folder) if name not in expected]
    remedy = COPY_AGAIN if problems else f"remove the files that are not listed, or {COPY_AGAIN}"
    problems += [f"'{name}' is not listed" for name in unlisted]
    if problems:
        raise BundleError(f"bundle {folder} is damaged: {', '.join(problems)}", remedy=remedy)
    return len(expected)


def made_with(folder: Path) -> str:
    """Return the packages, with versions, with which the outputs of a bundle were recorded.

    Raises:
        BundleError: If the manifest cannot be read.
    """
    versions = _manifest(folder)["made_with"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return listed or "packages that the manifest does not name"


def runtime_files(formats: Iterable[str] = (), tasks: Iterable[str] = ()) -> dict[str, Path]:
    """Return the files of this runtime by the POSIX path that they have in a bundle.

    Args:
        formats: Model formats whose engines are included even if an installed package provides
            them.
        tasks: Tasks whose device halves are included, likewise.

    Raises:
        EngineError: If the engine of an installed package cannot be imported or packaged.
        TaskError: If the device half of a task is not installed, or cannot be imported or packaged.
        ContractError: If there is no engine for a format.
    """
    from edgetl.runtime import engines
    from edgetl.runtime import tasks as device_halves

    package = Path(__file__).resolve().parents[1]
    paths = [package / "__init__.py", *(package / "runtime").rglob("*.py")]
    files = {path.relative_to(package.parent).as_posix(): path for path in sorted(paths)}
    for folder, names, installed_files in (
        ("engines", formats, engines.installed_files),
        ("tasks", tasks, device_halves.installed_files),
    ):
        for name in names:
            for file, path in installed_files(name).items():
                files[f"edgetl/runtime/{folder}/{file}"] = path
    return files


def digest_file(path: Path) -> str:
    """Return the SHA-256 of the bytes of `path`, 64 hex digits."""
    # Here, because a prediction does not need it, and OpenSSL takes long to load.
    import hashlib

    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(_CHUNK_BYTES), b""):
            sha256.update(piece)
    return sha256.hexdigest()


def _present(folder: Path) -> list[str]:
    """Return the files of a bundle by POSIX path, without its manifest and Python's caches."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = (path.as_posix() for path in paths if "__pycache__" not in path.parts)
    return sorted(name for name in names if name != MANIFEST_FILE)


def _listed(folder: Path) -> dict[str, str]:
    path, files = folder / MANIFEST_FILE, _manifest(folder)["files"]
    outside = [name for name in files if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if outside:
        raise BundleError(f"{path} lists '{outside[0]}', outside the bundle", remedy=COPY_AGAIN)
    return dict(files)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema, manifest["files"] = manifest["schema"], dict(manifest["files"])
        manifest["made_with"] = dict(manifest.get("made_with", {}))
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST_FILE}",
            remedy=_NAME_IT,
        ) from error
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read: {error.strerror}", remedy=CHECK_ACCESS
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read: {error!r}", remedy=COPY_AGAIN) from error
    if schema != SCHEMA:
        raise BundleError(
            f"{path} has schema {schema!r}; this runtime reads {SCHEMA}",
            remedy="use the edgetl.runtime in the bundle",
        )
    return manifest
