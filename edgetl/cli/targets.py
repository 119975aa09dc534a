"""``edgetl targets``: list and show the targets of recipes, and compare devices with them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from edgetl.api.targets import check_target, read_targets
from edgetl.cli import options
from edgetl.config.board import Board
from edgetl.config.limits import Judge
from edgetl.config.load import known_files, load_target
from edgetl.config.target import Target
from edgetl.devices import check_address
from edgetl.errors import ConfigError, UsageError

_GAP = 2
_MIB_PER_GIB = 1024
_LISTING = {"all", "list", "ls"}
_JUDGED_BY = {Judge.POINT: "figures by their value", Judge.SHOWN: "figures by their worse end"}


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
    known, broken = read_targets()
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
    checked = check_target(name, device=address)
    if as_json:
        click.echo(json.dumps(checked.as_json(), indent=2))
    else:
        # An emulation has no /etc/os-release and would show this machine's.
        system = "emulated" if checked.emulated else checked.facts["os"] or "unknown system"
        click.echo(f"{checked.device.address} ({system}) as {checked.target.name}:")
        header = ("  property", "expected", "actual", "")
        _table([header, *((f"  {first}", *rest) for first, *rest in checked.rows())])
    checked.require()


def _refuse(broken: Sequence[ConfigError]) -> None:
    """Print all errors but the last, which is raised and printed by the caller."""
    for error in broken[:-1]:
        click.echo(f"edgetl: {error}", err=True)
    if broken:
        raise broken[-1]


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


def _memory(mib: int) -> str:
    return f"{mib // _MIB_PER_GIB} GiB" if mib >= _MIB_PER_GIB else f"{mib} MiB"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width + _GAP) for cell, width in zip(row, widths, strict=True))
        click.echo("".join(cells).rstrip())
