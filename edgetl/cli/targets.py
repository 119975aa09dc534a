"""``edgetl targets``: list and show the targets of recipes, and compare devices with them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import click

from edgetl.boards import Line, compare, probe, require
from edgetl.boards.identify import identify
from edgetl.cli import options
from edgetl.config.board import Board
from edgetl.config.limits import Judge
from edgetl.config.load import known_files, load_target
from edgetl.config.target import Target
from edgetl.devices import Device, check_address, open_device
from edgetl.errors import ConfigError, UsageError
from edgetl.types import Provenance

_GAP = 2
_MIB_PER_GIB = 1024
_LISTING = {"all", "list", "ls"}
_JUDGED_BY = {Judge.POINT: "figures by their value", Judge.SHOWN: "figures by their worse end"}
_VERDICTS = {True: "ok", False: "no", None: "not compared"}


class _Targets(click.Group):
    """Explains the usage if a target is given in place of a subcommand."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in known_files("targets"):
            raise UsageError(
                f"'{cmd_name}' is a target, not a subcommand",
                remedy=f"edgetl targets show {cmd_name}",
            )
        if cmd_name in _LISTING:
            raise UsageError(
                f"there is no subcommand '{cmd_name}'", remedy="'edgetl targets' lists the targets"
            )
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Targets, invoke_without_command=True)
@options.as_json
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the targets, show one, or compare a device with one.

    \b
    edgetl targets
    edgetl targets show rpi4
    edgetl targets check rpi4 --device ssh://pi@raspberrypi
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            word = ctx.invoked_subcommand
            raise UsageError(
                f"--json must follow '{word}'", remedy=f"edgetl targets {word} ... --json"
            )
        return
    known, broken = _all()
    if as_json:
        click.echo(json.dumps([target.model_dump(mode="json") for target in known], indent=2))
    else:
        header = ("target", "processor", "memory", "systems", "formats", "reached by")
        _table([header, *(_row(target) for target in known)])
    _refuse(broken)


@command.command()
@click.argument("name")
@options.as_json
def show(name: str, *, as_json: bool) -> None:
    """Show everything about the target NAME.

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
            ("  reached by", target.device or "nothing: its models stay unverified"),
            ("  threads", str(target.threads)),
            ("  candidates", names),
            *(("  limit", f"{key} {json.dumps(value)}") for key, value in limits.items()),
            ("  judge", f"{target.judge}: {_JUDGED_BY[target.judge]}"),
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

    Without NAME, the target is identified from the device. Exits with 0 if both hold, with 3 if
    not, and with 7 if the device cannot be reached.

    \b
    edgetl targets check --device ssh://pi@raspberrypi
    edgetl targets check rpi4 --device ssh://pi@raspberrypi
    edgetl targets check rpi5 --device emulated:cortex-a76
    """
    named = open_device(address) if address else None
    if name is not None:
        target = load_target(name, check_address=check_address)
        device = named or _own_device(target)
        facts = probe(device, target)
    elif named is None:
        raise UsageError(
            "neither a target nor a device was given",
            remedy="edgetl targets check --device ssh://user@host",
        )
    else:
        device = named
        known, broken = _all()
        _refuse(broken)
        facts = probe(device, *known)
        target = identify(known, device, facts)
    emulated = device.provenance == Provenance.EMULATED
    lines = compare(target, facts, emulated=emulated)
    if as_json:
        result = {
            "target": target.name,
            "device": device.address,
            "provenance": device.provenance,
            "lines": [dataclasses.asdict(line) for line in lines],
            "facts": facts,
        }
        click.echo(json.dumps(result, indent=2))
    else:
        # An emulation has no /etc/os-release and would show this machine's.
        system = "emulated" if emulated else facts["os"] or "unknown system"
        click.echo(f"{device.address} ({system}) as {target.name}:")
        header = ("  property", "expected", "actual", "")
        _table([header, *(_compared(line) for line in lines)])
    require(target, device, facts, lines)


def _all() -> tuple[list[Target], list[ConfigError]]:
    """Return all valid targets, and the errors of the others."""
    valid, broken = [], []
    for name in sorted(known_files("targets")):
        try:
            valid.append(load_target(name, check_address=check_address))
        except ConfigError as error:
            broken.append(error)
    return valid, broken


def _refuse(broken: Sequence[ConfigError]) -> None:
    """Print all errors but the last, which is raised and printed by the caller."""
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
    hardware = ("-", "-", "-")
    if board is not None:
        hardware = (
            f"{board.cores} x {board.processor}",
            _memory(board.memory_mib),
            ", ".join(system.os for system in board.systems),
        )
    return target.name, *hardware, ", ".join(target.candidates), target.device or "-"


def _board_rows(target: Target) -> list[tuple[str, ...]]:
    board = target.board
    if board is None:
        return []
    identity = board.identity.model_dump(exclude_defaults=True)
    return [
        ("  board", f"{board.soc}, {board.cores} x {board.processor}, {board.architecture}"),
        ("  features", ", ".join(board.features) or "none that speeds up int8"),
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
            ("  identity", f"{key} {value if isinstance(value, str) else ' or '.join(value)}")
            for key, value in {**_always(board), **identity}.items()
        ),
    ]


def _always(board: Board) -> dict[str, str]:
    """Return the properties that are compared in addition to those under `identity`."""
    features = {"features": " and ".join(board.features)} if board.features else {}
    return {"architecture": board.architecture, **features}


def _compared(line: Line) -> tuple[str, ...]:
    return f"  {line.name}", line.expected, line.actual, _VERDICTS[line.ok]


def _memory(mib: int) -> str:
    return f"{mib // _MIB_PER_GIB} GiB" if mib >= _MIB_PER_GIB else f"{mib} MiB"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width + _GAP) for cell, width in zip(row, widths, strict=True))
        click.echo("".join(cells).rstrip())
