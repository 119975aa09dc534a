"""``edgetl targets``: the device profiles that recipes can name, and whether a device fits one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import click

from edgetl.boards import Line, compare, probe, require
from edgetl.cli import options
from edgetl.config.load import known_files, load_target
from edgetl.config.target import Target
from edgetl.devices import open_device
from edgetl.errors import UsageError
from edgetl.types import Provenance

_GAP = 2
_MIB_PER_GIB = 1024
_VERDICTS = {True: "ok", False: "no", None: "not compared"}


class _Targets(click.Group):
    """Says what is meant where a target stands in the place of a subcommand."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in known_files("targets"):
            raise UsageError(
                f"'{cmd_name}' is a target, not a subcommand",
                remedy=f"edgetl targets show {cmd_name}",
            )
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Targets, invoke_without_command=True)
@options.as_json
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the targets; show one; compare a device with one.

    \b
    edgetl targets
    edgetl targets show rpi4
    edgetl targets check rpi4 --device ssh://pi@raspberrypi
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            word = ctx.invoked_subcommand
            raise UsageError(
                f"--json stands before '{word}'", remedy=f"edgetl targets {word} ... --json"
            )
        return
    found = [load_target(name) for name in sorted(known_files("targets"))]
    if as_json:
        click.echo(json.dumps([target.model_dump(mode="json") for target in found], indent=2))
        return
    header = ("target", "processor", "memory", "systems", "formats", "reached by")
    _table([header, *(_row(target) for target in found)])


@command.command()
@click.argument("name")
@options.as_json
def show(name: str, *, as_json: bool) -> None:
    """Show the target NAME whole.

    \b
    edgetl targets show rpi4
    """
    target = load_target(name)
    if as_json:
        click.echo(json.dumps(target.model_dump(mode="json"), indent=2))
        return
    click.echo(f"{target.name}  {target.description}")
    limits = target.limits.model_dump(exclude_none=True)
    names = ", ".join(candidate.name for candidate in target.each_candidate())
    _table(
        [
            ("  reached by", target.device or "nothing: it will be unverified"),
            ("  threads", str(target.threads)),
            ("  candidates", names),
            *(("  limit", f"{key} {json.dumps(value)}") for key, value in limits.items()),
            *_board_rows(target),
        ]
    )


@command.command()
@click.argument("name")
@click.option(
    "--device",
    "address",
    metavar="ADDRESS",
    help="local, ssh://user@host or emulated:cortex-a72; default: the target's own.",
)
@options.as_json
def check(name: str, address: str | None, *, as_json: bool) -> None:
    """Compare a device with the target NAME: is it that board, and can it run the models?

    Ends with 0 if it is and can, with 3 if not, with 7 if it cannot be reached.

    \b
    edgetl targets check rpi4 --device ssh://pi@raspberrypi
    edgetl targets check rpi5 --device emulated:cortex-a76
    """
    target = load_target(name)
    place = address or target.device
    if place is None:
        raise UsageError(
            f"targets/{name}.yaml names no device",
            remedy=f"edgetl targets check {name} --device ssh://user@host",
        )
    device = open_device(place)
    found = probe(target, device)
    emulated = device.provenance == Provenance.EMULATED
    lines = compare(target, found, emulated=emulated)
    if as_json:
        told = {
            "target": name,
            "device": device.address,
            "provenance": device.provenance,
            "lines": [dataclasses.asdict(line) for line in lines],
            "found": found,
        }
        click.echo(json.dumps(told, indent=2))
    else:
        # An emulation has no /etc/os-release and would show this machine's.
        system = "emulated" if emulated else found["os"] or "a system without a name"
        click.echo(f"{device.address} ({system}) as {name}:")
        header = ("  line", "expected", "found", "")
        _table([header, *(_compared(line) for line in lines)])
    require(target, device, found, lines)


def _row(target: Target) -> tuple[str, ...]:
    board = target.board
    known = ("-", "-", "-")
    if board is not None:
        known = (
            f"{board.cores} x {board.processor}",
            _memory(board.memory_mib),
            ", ".join(system.os for system in board.systems),
        )
    return target.name, *known, ", ".join(target.candidates), target.device or "-"


def _board_rows(target: Target) -> list[tuple[str, ...]]:
    board = target.board
    if board is None:
        return []
    proofs = board.identity.model_dump(exclude_defaults=True)
    return [
        ("  board", f"{board.soc}, {board.cores} x {board.processor}, {board.architecture}"),
        ("  features", ", ".join(board.features) or "none of those that speed int8 up"),
        ("  memory", f"{_memory(board.memory_mib)} or more"),
        *(
            (
                "  system",
                f"{system.os}: Python {system.python}, glibc {system.glibc}, "
                + ", ".join(f"{name} {version}" for name, version in system.engines.items()),
            )
            for system in board.systems
        ),
        *(
            ("  proof", f"{key} {proof if isinstance(proof, str) else ' or '.join(proof)}")
            for key, proof in proofs.items()
        ),
    ]


def _compared(line: Line) -> tuple[str, ...]:
    return f"  {line.what}", line.expected, line.found, _VERDICTS[line.ok]


def _memory(mib: int) -> str:
    return f"{mib // _MIB_PER_GIB} GiB" if mib >= _MIB_PER_GIB else f"{mib} MiB"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width + _GAP) for cell, width in zip(row, widths, strict=True))
        click.echo("".join(cells).rstrip())
