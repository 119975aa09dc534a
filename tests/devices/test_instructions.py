"""The plug-in, its compiler, and the start of qemu; real counts at the end."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgetl.config.calibration import Int8Table
from edgetl.devices import _instructions, emulated
from edgetl.devices._cache import Kept
from edgetl.devices._instructions import (
    SOURCE,
    Instructions,
    command,
    compile_plugin,
    count_instructions,
    parse_counts,
)
from edgetl.devices.emulated import EmulatedDevice
from edgetl.errors import DeviceError, ExitCode, MissingPackageError
from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels
from edgetl.quantizers import QUANTIZERS, for_format
from edgetl.types import Facts, Precision

# Replaces qemu: writes two marks to the file after `out=` in its third argument.
_MARKS = """#!/bin/sh
file="${2#*,out=}"
echo "10 20 30 40 50 60" >> "$file"
echo "11 22 33 44 55 66" >> "$file"
"""
# Loading a library resolves all its symbols, so stubs replace those of qemu.
_SHOWN = """
#include "SOURCE"
int shown(u32 word) { return class_of(word); }
void qemu_plugin_register_vcpu_tb_trans_cb(u64 a, void (*b)(u64, struct tb *)) { (void)a, (void)b; }
void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *a, int b, void *c, u64 d)
{
    (void)a, (void)b, (void)c, (void)d;
}
void qemu_plugin_register_vcpu_syscall_cb(u64 a,
    void (*b)(u64, u32, long long, u64, u64, u64, u64, u64, u64, u64, u64)) { (void)a, (void)b; }
size qemu_plugin_tb_n_insns(const struct tb *a) { (void)a; return 0; }
struct instruction *qemu_plugin_tb_get_insn(const struct tb *a, size b)
{
    return (void)a, (void)b, (struct instruction *)0;
}
const void *qemu_plugin_insn_data(const struct instruction *a) { (void)a; return 0; }
"""
COMPILER = shutil.which("cc") or ""
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C compiler is installed")


def test_counts_are_the_least_disturbed_difference_of_marks() -> None:
    text = "5 0 0 0 0 0\n105 10 1 2 3 4\n203 20 2 4 6 8\n400 30 3 6 9 12\n"

    instructions = parse_counts(text)

    assert instructions == Instructions(integer=98, vector=10, dot=1, load=2, store=3, branch=4)
    assert instructions.total == 118


@pytest.mark.parametrize("text", ["", "1 2 3 4 5 6\n", "1 2\n3 4\n"], ids=["none", "one", "short"])
def test_invalid_marks_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a list of marks"):
        parse_counts(text)


def test_qemu_is_started_with_its_own_libraries_and_the_plugin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_instructions, "host_architecture", lambda: "amd64")

    words = command(Kept(Path("/q"), {}), Kept(Path("/p"), {}))

    assert words == (
        "/q/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "--library-path",
        "/q/usr/lib/x86_64-linux-gnu",
        "/q/usr/bin/qemu-aarch64",
        "-plugin",
        "/p/count.so,out=counts",
    )


def test_missing_compiler_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        MissingPackageError, match=r"no C compiler \(cc, gcc, clang\) is installed"
    ) as e:
        compile_plugin(tmp_path)

    assert e.value.remedy == "apt-get install gcc"
    assert e.value.exit_code is ExitCode.MISSING_PACKAGE


def test_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(
        "#!/bin/sh\necho 'warning: x' >&2\necho 'error: no such flag' >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DeviceError, match=r"/cc cannot compile .*: error: no such flag"):
        compile_plugin(tmp_path)


@pytest.fixture(scope="module")
def class_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Return the plug-in's own function for the class of an instruction."""
    folder = tmp_path_factory.mktemp("class")
    shown = folder / "shown.c"
    shown.write_text(_SHOWN.replace("SOURCE", str(SOURCE)))
    library = folder / "shown.so"
    flags = ["-ffreestanding", "-nostdlib", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([COMPILER, *flags, "-o", str(library), str(shown)], check=True)
    exported = ctypes.CDLL(str(library)).shown
    names = ("integer", "vector", "dot", "load", "store", "branch")
    return lambda word: names[exported(ctypes.c_uint(word))]


@needs_compiler
@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("add x0, x1, x2", 0x8B020020, "integer"),
        ("mov x0, #1", 0xD2800020, "integer"),
        ("nop", 0xD503201F, "integer"),
        ("svc #0", 0xD4000001, "integer"),
        ("madd x0, x1, x2, x3", 0x9B020C20, "integer"),
        ("fmla v0.4s, v1.4s, v2.s[0]", 0x4F821020, "vector"),
        ("fadd s0, s1, s2", 0x1E222820, "vector"),
        ("smlal v0.8h, v1.8b, v2.8b", 0x0E228020, "vector"),
        ("sdot v0.4s, v1.16b, v2.16b", 0x4E829420, "dot"),
        ("udot v0.4s, v1.16b, v2.16b", 0x6E829420, "dot"),
        ("sdot v0.4s, v1.16b, v2.4b[1]", 0x4FA2E020, "dot"),
        ("udot v0.2s, v1.8b, v2.4b[0]", 0x2F82E020, "dot"),
        ("ldr x0, [x1]", 0xF9400020, "load"),
        ("ldr x0, label", 0x58000020, "load"),
        ("ldrsb w0, [x1]", 0x39C00020, "load"),
        ("ldp x0, x1, [x2]", 0xA9400440, "load"),
        ("ldr q0, [x1]", 0x3DC00020, "load"),
        ("ldr q0, [x1], #16", 0x3CC10420, "load"),
        ("ld1 {v0.16b}, [x1], #16", 0x4CDF7020, "load"),
        ("ld1r {v0.4s}, [x1]", 0x4D40C820, "load"),
        ("ldaxr x0, [x1]", 0xC85FFC20, "load"),
        ("ldadd x0, x1, [x2]", 0xF8200041, "load"),
        ("str x0, [x1]", 0xF9000020, "store"),
        ("strb w0, [x1, x2]", 0x38226820, "store"),
        ("stp q0, q1, [x2]", 0xAD000440, "store"),
        ("str q0, [x1]", 0x3D800020, "store"),
        ("str d0, [x1]", 0xFD000020, "store"),
        ("st1 {v0.16b}, [x1], #16", 0x4C9F7020, "store"),
        ("b label", 0x14000001, "branch"),
        ("bl label", 0x94000001, "branch"),
        ("b.ne label", 0x54000021, "branch"),
        ("cbz x0, label", 0xB4000020, "branch"),
        ("tbnz w0, #3, label", 0x37180020, "branch"),
        ("ret", 0xD65F03C0, "branch"),
        ("blr x1", 0xD63F0020, "branch"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_instruction_has_its_class(
    text: str, word: int, expected: str, class_of: Callable[[int], str]
) -> None:
    """Words as an assembler for Armv8.2 writes them."""
    assert class_of(word) == expected, text


@needs_compiler
def test_counts_are_cached_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = _stub_device(tmp_path, monkeypatch)
    model = tmp_path / "model.tflite"
    model.write_bytes(b"one")
    notes: list[str] = []
    device = replace(device, note=notes.append)
    expected = Instructions(integer=1, vector=2, dot=3, load=4, store=5, branch=6)

    for _ in range(2):
        assert count_instructions(device, "tflite", {model.name: model}) == expected
    model.write_bytes(b"another")
    count_instructions(device, "tflite", {model.name: model})

    counting = [note for note in notes if note.startswith("counting the instructions of model.")]
    assert len(counting) == 2
    assert sum(note.startswith("compiling the plug-in") for note in notes) == 1


def _stub_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    """Return a device without a network, with the script above as its qemu."""
    script = folder / "qemu"
    script.write_text(_MARKS)
    script.chmod(0o755)

    def nothing(*_: object, **__: object) -> Facts:
        return {"made": "of nothing"}

    def rootfs(_system: object, _archive: object, tree: Path) -> Facts:
        (tree / "usr").mkdir()
        return {"libc6": "1"}

    for name in ("make_emulator", "install", "find_archive"):
        monkeypatch.setattr(emulated, name, nothing)
    monkeypatch.setattr(emulated, "make_rootfs", rootfs)
    for name in ("make_plugin_emulator", "find_archive"):
        monkeypatch.setattr(_instructions, name, nothing)
    monkeypatch.setattr(_instructions, "plugin_emulator", lambda *_: (str(script),))
    return EmulatedDevice(cpu="cortex-a76", cache=folder / "cache", engines=("ai-edge-litert",))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return LiteRT files by precision, of a network whose work dominates that of Python."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1),
        nn.ReLU6(),
        nn.Conv2d(32, 64, 1),
        nn.ReLU6(),
        nn.Conv2d(64, 64, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    module = RawPixels(network, (0.5, 0.4, 0.3), (0.2, 0.2, 0.25)).eval()
    exporter, quantizer = EXPORTERS.load("tflite"), QUANTIZERS.load(for_format("tflite") or "")
    folders = {name: tmp_path_factory.mktemp(name) for name in ("fp32", "int8")}
    exporter.export(module, {"image": torch.zeros(1, 64, 64, 3)}, ("logits",), folders["fp32"])
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    model = folders["fp32"] / exporter.file
    quantizer.quantize(model, {"image": images}, Precision.INT8, Int8Table(), folders["int8"])
    return {name: folder / exporter.file for name, folder in folders.items()}


@pytest.mark.emulated
@pytest.mark.timeout(1200)
def test_counts_repeat_and_dot_products_save_instructions(
    models: Mapping[str, Path],
) -> None:
    """At each of 1,024 places 32 x 27, 64 x 32 and 64 x 64 products: 7.2 million."""
    products = 32 * 32 * (32 * 27 + 64 * 32 + 64 * 64)
    counts: dict[tuple[str, str], Instructions] = {}
    for cpu, precision in (("cortex-a72", "int8"), ("cortex-a76", "fp32"), ("cortex-a76", "int8")):
        device = EmulatedDevice(cpu=cpu, engines=("ai-edge-litert",))
        counts[cpu, precision] = count_instructions(
            device, "tflite", {models[precision].name: models[precision]}
        )
    # Not through the cache.
    emulator = command(*_instructions._tools(device, device.kept()))
    files = {models["int8"].name: models["int8"]}
    repeated = _instructions._count(device, emulator, "tflite", files)

    first = counts["cortex-a76", "int8"]
    assert abs(repeated.total - first.total) <= 1e-3 * first.total
    assert first.total < counts["cortex-a76", "fp32"].total
    assert counts["cortex-a76", "fp32"].dot == counts["cortex-a72", "int8"].dot == 0
    # A dot product of 16 bytes does 16 products.
    assert products / 16 <= first.dot <= 1.5 * products / 16
    assert products / 4 <= counts["cortex-a76", "fp32"].vector <= 1.5 * products / 4


@pytest.mark.emulated
@pytest.mark.timeout(1200)
def test_model_that_does_not_load_is_reported(tmp_path: Path) -> None:
    broken = tmp_path / "model.tflite"
    broken.write_bytes(b"no model")
    device = EmulatedDevice(cpu="cortex-a76", engines=("ai-edge-litert",))

    with pytest.raises(DeviceError, match=re.escape(device.address)):
        count_instructions(device, "tflite", {broken.name: broken})
