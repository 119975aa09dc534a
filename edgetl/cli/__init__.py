"""Thin click commands: options, one call of the Python API, printing.

A command's module is imported when the command is called, so that ``edgetl --help`` is fast.
"""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from typing import Final, cast

import click

from edgetl import __version__
from edgetl.errors import EdgetlError, ExitCode
from edgetl.runtime.errors import EdgetlRuntimeError
from edgetl.runtime.streams import escape_unprintable

COMMANDS: Final = {
    "init": "Write a commented recipe next to your images.",
    "plan": "Show what a run would make and what it would reuse; check everything.",
    "run": "Make, verify, time and choose the models of a recipe.",
    "why": "Explain what changed since a stage last ran.",
    "predict": "Predict on images with a bundle, and draw the predictions.",
    "check": "Check a bundle on a device: limits, parity, regressions; for CI.",
    "baseline": "Record the figures of a good bundle for later checks.",
    "show": "Show a recipe's artifacts.",
    "report": "Write the results of a run as one HTML file, Markdown or JSON.",
    "lint": "Find tensors in a model file that will not survive int8.",
    "targets": "List or show the targets, or compare a device with one.",
    "profile": "Time a suite on a device and derive the cost of operations.",
    "estimate": "Estimate the latency of models on a device that is not available.",
    "schema": "Print the JSON schema of a recipe, target or calibration recipe.",
    "generate": "Write synthetic images of small parts into a folder, to try edgetl.",
    "prune": "Remove artifacts that no recipe's last run used.",
    "verify-store": "Check every artifact and name the damaged ones.",
}

_STOPPED = 128
"""Added to a signal's number, this is the exit code of a process that it has ended."""
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


class _Commands(click.Group):
    """Imports a command's module by the command's name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgetl.cli.{cmd_name.replace('-', '_')}")
        return cast("click.Command", module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Click would import every command for its short help.
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgetl")
def edgetl() -> None:
    """Turn labelled images into small, verified models for edge devices.

    \b
    edgetl run parts                 the built-in example, without downloads
    edgetl init images               a recipe for your own images
    edgetl run images/recipe.yaml    make, verify, time, choose

    Exit codes: 0 success, 1 bug, 2 usage, 3 invalid recipe, target or data, 4 missing package,
    5 limit missed, 6 store or bundle damaged, 7 device unreachable.
    """


def main() -> None:
    """Run the command line; expected errors print one paragraph and set the exit code."""
    escape_unprintable()
    _end_by_signals()
    try:
        edgetl.main(standalone_mode=False)
    except (EdgetlError, EdgetlRuntimeError) as error:
        fail(error.message, error.remedy, error.exit_code)
    except OSError as error:
        _fail_for_files(error)
    except MemoryError:
        fail(
            "there is not enough memory",
            "stop other programs, or use a machine with more; finished work is kept",
            ExitCode.USAGE,
        )
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        fail("stopped", "run the same command again to continue", _STOPPED + signal.SIGINT)
    except _EndedError as error:
        name = error.number.name
        fail(f"ended by {name}", "run the same command again to continue", _STOPPED + error.number)


class _EndedError(BaseException):
    """A signal that ends the process has arrived."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.number = number


def _end_by_signals() -> None:
    """Let signals that end a process, as `docker stop` sends, end its child processes, too.

    By default, Python stops at once: benchmarks and workers would go on without it, and temporary
    folders would stay.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _end)


def _end(number: int, frame: object) -> None:
    del frame
    # Once is enough: the next one must not interrupt the cleaning up.
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise _EndedError(signal.Signals(number))


def _fail_for_files(error: OSError) -> None:
    """Report a refusal by the operating system; re-raise other errors, which are bugs."""
    place = error.filename2 or error.filename
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        fail(
            f"no space left on the disk{f', at {place}' if place else ''}; finished work is kept",
            "free some space and run again",
            ExitCode.DAMAGED,
        )
    if error.errno in _FORBIDDEN and place:
        fail(
            f"cannot use '{place}': {error.strerror}",
            "check its owner and mode, or name other folders with --store and --dist",
            ExitCode.USAGE,
        )
    raise error


def fail(message: str, remedy: str, exit_code: int) -> None:
    """Print one paragraph on standard error and end the process."""
    print_error(message, remedy)
    sys.exit(exit_code)


def print_error(message: str, remedy: str) -> None:
    """Print one paragraph on standard error."""
    click.echo(f"edgetl: {message}", err=True)
    if remedy:
        click.echo(f"  {remedy}", err=True)
