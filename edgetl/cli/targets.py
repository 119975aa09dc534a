"""``edgetl targets``: the device profiles that recipes can name, and whether a device fits one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import click

from edgetl.boards import Line, compare, probe, require
from edgetl.boards.identify import identify
from edgetl.cli import options
from edgetl.config.board import Board
from edgetl.config.load import known_files, load_target
from edgetl.config.target import Target
from edgetl.devices import Device, check_address, open_device
from edgetl.errors import ConfigError, UsageError
from edgetl.types import Provenance

_GAP = 2
_MIB_PER_GIB = 1024
_LISTING = {"all", "list", "ls"}
_VERDICTS = {True: "ok", False: "no", None: "not compared"}


class _Targets(click.Group):
    """Says what is meant where a target stands in the place of a subcommand."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in known_files("targets"):
            raise UsageError(
                f"'{cmd_name}' is a target, not a subcommand",
                remedy=f"edgetl targets show {cmd_name}",
            )
        if cmd_name in _LISTING:
            raise UsageError(
                f"there is no subcommand '{cmd_name}'", remedy="'edgetl targets' alone lists them"
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
    found, broken = _all()
    if as_json:
        click.echo(json.dumps([target.model_dump(mode="json") for target in found], indent=2))
    else:
        header = ("target", "processor", "memory", "systems", "formats", "reached by")
        _table([header, *(_row(target) for target in found)])
    _refuse(broken)


@command.command()
@click.argument("name")
@options.as_json
def show(name: str, *, as_json: bool) -> None:
    """Show the target NAME whole.

    \b
    edgetl targets show rpi4
    """
    target = load_target(name, check_address=check_address)
    if as_json:
        click.echo(json.dumps(target.model_dump(mode="json"), indent=2))
        return
    click.echo(f"{target.name}  {target.description}")
    limits = target.limits.model_dump(exclude_none=True)
    names = ", ".join(each.name for each in target.variants())
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
@click.argument("name", required=False)
@click.option(
    "--device",
    "address",
    metavar="ADDRESS",
    help="local, ssh://user@host or emulated:cortex-a72; default: the target's own.",
)
@options.as_json
def check(name: str | None, address: str | None, *, as_json: bool) -> None:
    """Compare a device with the target NAME: is it that board, and can it run the models?

    Without NAME the device is asked which target's board it is. Ends with 0 if it is and can, with
    3 if not, with 7 if it cannot be reached.

    \b
    edgetl targets check --device ssh://pi@raspberrypi
    edgetl targets check rpi4 --device ssh://pi@raspberrypi
    edgetl targets check rpi5 --device emulated:cortex-a76
    """
    given = open_device(address) if address else None
    if name is not None:
        target = load_target(name, check_address=check_address)
        device = given or _own_device(target)
        found = probe(device, target)
    elif given is None:
        raise UsageError(
            "check what? Neither a target nor a device was given",
            remedy="edgetl targets check --device ssh://user@host",
        )
    else:
        device = given
        known, broken = _all()
        _refuse(broken)
        found = probe(device, *known)
        target = identify(known, device, found)
    emulated = device.provenance == Provenance.EMULATED
    lines = compare(target, found, emulated=emulated)
    if as_json:
        told = {
            "target": target.name,
            "device": device.address,
            "provenance": device.provenance,
            "lines": [dataclasses.asdict(line) for line in lines],
            "found": found,
        }
        click.echo(json.dumps(told, indent=2))
    else:
        # An emulation has no /etc/os-release and would show this machine's.
        system = "emulated" if emulated else found["os"] or "a system without a name"
        click.echo(f"{device.address} ({system}) as {target.name}:")
        header = ("  line", "expected", "found", "")
        _table([header, *(_compared(line) for line in lines)])
    require(target, device, found, lines)


def _all() -> tuple[list[Target], list[ConfigError]]:
    """Return all targets that are right, and what is wrong with the others."""
    found, broken = [], []
    for name in sorted(known_files("targets")):
        try:
            found.append(load_target(name, check_address=check_address))
        except ConfigError as error:
            broken.append(error)
    return found, broken


def _refuse(broken: Sequence[ConfigError]) -> None:
    """Raise the last error, after the others were printed as it will be."""
    for error in broken[:-1]:
        click.echo(f"edgetl: {error}", err=True)
    if broken:
        raise broken[-1]


def _own_device(target: Target) -> Device:
    if target.device is None:
        raise UsageError(
            f"targets/{target.name}.yaml names no device",
            remedy=f"edgetl targets check {target.name} --device ssh://user@host",
        )
    return open_device(target.device)


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
            for key, proof in {**_always(board), **proofs}.items()
        ),
    ]


def _always(board: Board) -> dict[str, str]:
    """Return what is compared whatever the profile states under `identity`."""
    features = {"features": " and ".join(board.features)} if board.features else {}
    return {"architecture": board.architecture, **features}


def _compared(line: Line) -> tuple[str, ...]:
    return f"  {line.what}", line.expected, line.found, _VERDICTS[line.ok]


def _memory(mib: int) -> str:
    return f"{mib // _MIB_PER_GIB} GiB" if mib >= _MIB_PER_GIB else f"{mib} MiB"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width + _GAP) for cell, width in zip(row, widths, strict=True))
        click.echo("".join(cells).rstrip())
