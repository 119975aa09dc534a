"""Read tensors by name from the checkpoints that trainers write, without running their code."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgetl.errors import EdgetlError, ExitCode
from edgetl.placeholder import placeholder
from edgetl.train.options import WEIGHTS_SUFFIXES

# What torch 2.14 raises on empty, truncated and foreign files, and for the old format without zip.
UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    struct.error,
    pickle.UnpicklingError,
    SafetensorError,
)

_WRAPPERS = ("model", "state_dict", "model_state_dict", "net", "ema")
"""Where trainers keep the tensors in a checkpoint; of several, the first one is read."""
_DEEPEST = 3
"""Largest depth of nested wrappers; pickled tables may also contain themselves."""
_PARALLEL = "module."
"""Prefix that `nn.DataParallel` adds to every name."""
_TORCH_WRAPPERS = re.compile(
    r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
"""Parts that `torch.compile`, FSDP and activation checkpointing add to names, at any depth."""
_ZIP, _GZIP = b"PK\3\4", b"\x1f\x8b"
_SAVE_TENSORS = "save the tensors alone: torch.save(model.state_dict(), FILE)"
_FOREIGN = re.compile(r"unsupported global:? (?:GLOBAL )?(\S+)", re.IGNORECASE)
_PROTOCOL = re.compile(r"Detected pickle protocol (\d+)")
_SHOWN_CHARACTERS = 40


class WeightsError(EdgetlError):
    """The requested weights are not available or do not fit the network."""

    exit_code = ExitCode.CONFIG


class _Ignored:
    """Replaces an object of a checkpoint that is not a tensor; the object is never made."""

    def __init__(self, *_parts: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


# Figures and options of a training, which trainers store with the tensors; NumPy 2 and Python 3.13
# use other names for them than older versions.
_HARMLESS = (
    "argparse.Namespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "datetime.timezone",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "types.SimpleNamespace",
)
_TABLES = (
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
"""Kinds of `dict`, in which trainers keep their options."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a .safetensors file, or in a checkpoint of `torch.save`, by name.

    The tensors may be in a wrapper such as `{"state_dict": ...}`; parts that wrappers of modules
    add to names are removed. Code in pickled files is never run.

    Raises:
        WeightsError: If the file is truncated, or contains anything but tensors.
    """
    try:
        _refuse_other_kinds(path)
        content = load_file(path) if path.suffix.lower() == ".safetensors" else _load(path)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    return named_tensors(content)


def named_tensors(content: object) -> dict[str, Tensor]:
    """Return the tensors in the content of a checkpoint; see `read_weights`.

    Raises:
        WeightsError: If there are none, or several sets of them.
    """
    states = list(_states(content, _DEEPEST))
    if not states:
        raise _without_tensors(content)
    if len(states) > 1:
        places = " and ".join(f"'{place}'" for place, _ in states)
        raise WeightsError(
            f"holds tensors by name under {places}",
            remedy="save those of the network alone: "
            f"torch.save(torch.load(FILE)['{states[0][0]}'], NEW_FILE)",
        )
    _, state = states[0]
    _refuse_other_tensors(state)
    return {
        _TORCH_WRAPPERS.sub("", str(name)).removeprefix(_PARALLEL): value
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def _refuse_other_tensors(state: Mapping[str, object]) -> None:
    """Refuse tensors that have other values than those of a trained network."""
    for name, value in state.items():
        if isinstance(value, Tensor) and (value.is_quantized or value.layout != torch.strided):
            kind = "quantized" if value.is_quantized else "sparse"
            raise WeightsError(
                f"holds {kind} tensors, such as '{name}'",
                remedy="use the checkpoint of the float network with dense tensors",
            )


def _load(path: Path) -> object:
    stand_ins: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
        *((_Ignored, name) for name in _HARMLESS),
        *((dict, name) for name in _TABLES),
    ]
    with warnings.catch_warnings(record=True) as notes, torch.serialization.safe_globals(stand_ins):
        warnings.simplefilter("always")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            other = next(filter(None, (_PROTOCOL.search(str(n.message)) for n in notes)), None)
            if other is None or "Unsupported operand" not in str(error):
                raise
            raise WeightsError(
                f"is pickled with protocol {other[1]}, of which only torch.save's own, 2, is read "
                "without running code",
                remedy="save it again without `pickle_protocol`",
            ) from error


def _refuse_other_kinds(path: Path) -> None:
    """Refuse a file of another kind that is named like a checkpoint.

    Raises:
        WeightsError: With the command that extracts the tensors.
        EOFError: If it is empty or cut short.
        OSError: If the file cannot be read.
    """
    instead = placeholder(path)
    if instead is not None:
        raise WeightsError(instead.what, remedy=instead.remedy)
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    if not head:
        raise EOFError("it is empty")
    if head.startswith(_GZIP):
        raise WeightsError("is compressed with gzip", remedy="unpack it")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        folders = {Path(name).parts[1] for name in names if name.count("/") > 1}
        inside = [name for name in names if name.lower().endswith(WEIGHTS_SUFFIXES)]
        if inside and "data" not in folders:
            raise WeightsError(
                f"is a zip around other files, such as '{inside[0]}'", remedy="unpack it"
            )
        if "code" in folders:
            raise WeightsError(
                "is a TorchScript program, not a checkpoint",
                remedy="take its tensors out: "
                f"torch.save(torch.jit.load('{path.name}').state_dict(), 'weights.pth')",
            )
    elif head == _ZIP:
        raise EOFError("it is cut short, as its end is missing")


def _unreadable(path: Path, error: Exception) -> WeightsError:
    foreign = _FOREIGN.search(str(error))
    if foreign is not None:
        return WeightsError(
            f"contains Python objects, such as {foreign[1]}, which could run any code when they "
            "are read",
            remedy=_SAVE_TENSORS,
        )
    # torch explains its safe mode at length; the reason itself is in the chained error.
    reason = str(error.__context__ or error).partition("\n")[0] or type(error).__name__
    text = _beginning_of_text(path)
    if text:
        reason = f"it is text, which begins with '{text}'"
    return WeightsError(
        f"cannot be read as weights: {reason}",
        remedy=f"get the file again; {', '.join(WEIGHTS_SUFFIXES)} are read",
    )


def _beginning_of_text(path: Path) -> str:
    """Return the beginning of a text file, on one line; empty for other files."""
    try:
        with path.open("rb") as file:
            text = file.read(_SHOWN_CHARACTERS).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    line = text.partition("\n")[0].strip()
    return line if line.isprintable() else ""


def _states(
    content: object, depth: int, place: str = ""
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield tables of tensors by name in a checkpoint, each with its wrapper.

    The search stops at a known wrapper, or at tensors at the top.
    """
    if depth < 0 or not isinstance(content, Mapping):
        return
    if not all(isinstance(name, str) for name in content):
        return  # of an optimizer, which numbers its tensors
    for key in _WRAPPERS:
        known = list(_states(content.get(key), depth - 1, key))
        if known:
            yield from known
            return
    # A scalar is a figure of the training, such as its best score.
    if any(isinstance(value, Tensor) and value.dim() for value in content.values()):
        yield place, content
        return
    for key, value in content.items():
        yield from _states(value, depth - 1, key)


def _without_tensors(content: object) -> WeightsError:
    kind = "Python object" if isinstance(content, _Ignored) else type(content).__name__
    keys = ""
    if isinstance(content, Mapping) and content:
        keys = f"; its keys are {', '.join(map(str, list(content)[:5]))}"
    return WeightsError(
        f"holds a {kind}, not tensors by name, also not under {', '.join(_WRAPPERS)}{keys}",
        remedy=_SAVE_TENSORS,
    )
