"""The command line of the device: ``python -m edgetl.runtime COMMAND``."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.runtime.errors import CHECK_ACCESS, EdgetlRuntimeError
from edgetl.runtime.streams import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXIT_USAGE = 2
_EXIT_MISSING_PACKAGE = 4
_EXIT_DAMAGED = 6
_EXIT_STOPPED = 130

_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENAMETOOLONG}
"""Errors of the system that are no bugs."""

_DESCRIPTION = "Use, check and time a model folder or bundle that edgetl made."
_EPILOG = """\
examples:
  python -m edgetl.runtime predict . image.jpg
  python -m edgetl.runtime predict . *.jpg --top 3 --json
  python -m edgetl.runtime predict . *.jpg --threshold 0.5 --draw out
  python -m edgetl.runtime check .
  python -m edgetl.runtime bench . --threads 4
  python -m edgetl.runtime compare dist/a dist/b

exit codes: 0 done, 1 bug, 2 usage, 3 an image cannot be read (the others are predicted),
4 missing package, 6 bundle damaged
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; expected errors become one paragraph."""
    escape_unprintable()
    given = _parser().parse_args(arguments)
    try:
        code: int = given.command(given)
        sys.stdout.flush()
    except EdgetlRuntimeError as error:
        code = _fail(error.message, error.remedy, error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in {"numpy", "PIL"}:
            raise
        package = {"numpy": "numpy", "PIL": "pillow"}[error.name]
        code = _fail(
            f"the package '{package}' is not installed",
            f"pip install {package}",
            _EXIT_MISSING_PACKAGE,
        )
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in _REFUSED or not error.filename:
            raise
        code = _fail(f"cannot use '{error.filename}': {error.strerror}", CHECK_ACCESS, _EXIT_USAGE)
    except MemoryError:
        code = _fail(
            "there is not enough memory", "stop other programs, or use a smaller model", _EXIT_USAGE
        )
    except KeyboardInterrupt:
        code = _fail("stopped", "run the same command again", _EXIT_STOPPED)
    return code


def _predict(given: argparse.Namespace) -> int:
    from edgetl.runtime.bundle import check_place
    from edgetl.runtime.prediction_output import predictions, texts
    from edgetl.runtime.predictor import Predictor

    check_place(given.bundle)
    exit_code = 0

    def report(error: EdgetlRuntimeError) -> None:
        nonlocal exit_code
        sys.stdout.flush()
        exit_code = _fail(error.message, error.remedy, error.exit_code)

    predicted = predictions(
        Predictor.open(given.bundle, given.threads),
        given.images,
        top=given.top,
        threshold=given.threshold,
        folder=given.draw,
        report=report,
    )
    for text in texts(predicted, as_json=given.json, encoding=sys.stdout.encoding):
        print(text)
    return exit_code


def _check(given: argparse.Namespace) -> int:
    from edgetl.runtime.bundle import check_files, check_place, made_with
    from edgetl.runtime.golden import replay

    check_place(given.bundle)
    count = check_files(given.bundle)
    print(f"files      {count} match the manifest")
    replayed = replay(given.bundle, given.threads)
    for row in replayed.rows:
        allowed = "not judged" if row.tolerance is None else f"{row.tolerance:.3g} allowed"
        verdict = "ok" if row.passed else "FAILED"
        print(f"{row.name:<14} {row.what}: worst {row.worst:.3g}, {allowed}: {verdict}")
    if not replayed.passed:
        return _fail(
            f"bundle {given.bundle} does not reproduce its golden samples here, with "
            f"{replayed.packages}",
            f"they were recorded with {made_with(given.bundle)}: install those, or use a bundle of "
            "another format or precision",
            _EXIT_DAMAGED,
        )
    print("the bundle reproduces its golden samples")
    return 0


def _bench(given: argparse.Namespace) -> int:
    from edgetl.runtime.bench_text import latency_lines
    from edgetl.runtime.bundle import check_place
    from edgetl.runtime.measurement import measure
    from edgetl.runtime.timing_plan import TimingPlan

    check_place(given.bundle)
    latency = measure(
        given.bundle,
        threads=given.threads,
        plan=TimingPlan(given.seconds, given.count, given.runs),
        sustained_minutes=given.sustained,
    )
    if given.json:
        print(json.dumps({**latency.as_json(), "summary": latency.summary()}))
    else:
        print("\n".join(latency_lines(latency)))
    return 0


def _compare(given: argparse.Namespace) -> int:
    from edgetl.runtime.bench_text import comparison_lines
    from edgetl.runtime.bundle import check_place
    from edgetl.runtime.timing_plan import TimingPlan, TurnsPlan
    from edgetl.runtime.turns import TurnError, time_in_turns

    for bundle in given.bundle:
        check_place(bundle)
    turn = TimingPlan(given.seconds, given.count, given.rounds)
    try:
        latencies = time_in_turns(
            given.bundle,
            threads=given.threads,
            plan=TurnsPlan(turn, max(given.rounds, given.most_rounds)),
            sustained_minutes=given.sustained,
        )
    except TurnError as error:
        return error.exit_code
    if given.json:
        print(json.dumps({"latencies": [latency.as_json() for latency in latencies]}))
    else:
        names = [str(bundle) for bundle in given.bundle]
        print("\n".join(comparison_lines(dict(zip(names, latencies)))))
    return 0


def _take_turns(given: argparse.Namespace) -> int:
    from edgetl.runtime.timing_plan import TimingPlan
    from edgetl.runtime.turn_process import serve_requests

    turn = TimingPlan(given.seconds, given.count, given.rounds)
    serve_requests(given.bundle, threads=given.threads, turn=turn)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgetl.runtime",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    predict = _command(
        commands, "predict", "Print predictions for images.", "predict . image.jpg --top 3"
    )
    predict.set_defaults(command=_predict)
    predict.add_argument("images", type=_path, nargs="+", metavar="IMAGE", help="image files")
    predict.add_argument("--top", type=_count, help="most classes (1) or objects (all) to print")
    predict.add_argument(
        "--threshold", type=_score, help="score threshold of a detector, 0 to 1 (the contract's)"
    )
    predict.add_argument(
        "--draw", type=_path, metavar="FOLDER", help="save each image with its predictions there"
    )
    check = _command(
        commands, "check", "Check digests and replay the golden samples.", "check dist/host"
    )
    check.set_defaults(command=_check)
    bench = _command(commands, "bench", "Time single inferences.", "bench . --threads 4 --json")
    bench.set_defaults(command=_bench)
    bench.add_argument(
        "--seconds", type=_seconds, default=10.0, help="least duration of a run (10)"
    )
    bench.add_argument("--count", type=_count, default=50, help="least inferences of a run (50)")
    bench.add_argument("--runs", type=_count, default=5, help="undisturbed runs (5)")
    compare = _command(
        commands,
        "compare",
        "Time several bundles in turns, until it is clear which is faster.",
        "compare dist/a dist/b --threads 4",
        several=True,
    )
    compare.set_defaults(command=_compare)
    # Without a help text it is not listed: `compare` starts it.
    turns = commands.add_parser("turns")
    turns.set_defaults(command=_take_turns)
    turns.add_argument("bundle", type=_path)
    turns.add_argument("--threads", type=_count)
    for command in (compare, turns):
        command.add_argument(
            "--seconds", type=_seconds, default=0.1, help="least duration of a turn (0.1)"
        )
        command.add_argument(
            "--count", type=_count, default=10, help="least inferences of a turn (10)"
        )
        command.add_argument("--rounds", type=_count, default=8, help="least rounds (8)")
    compare.add_argument(
        "--most-rounds", type=_count, default=24, help="rounds while the order is not clear (24)"
    )
    for command in (bench, compare):
        command.add_argument(
            "--sustained",
            type=_seconds,
            default=0.0,
            metavar="MINUTES",
            help="then run without a pause, and watch temperature and frequency (0)",
        )
    for command in (predict, bench, compare):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    example: str,
    *,
    several: bool = False,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example: python -m edgetl.runtime {example}",
    )
    folders, what = ("+", "the folders to use") if several else (None, "the folder to use")
    command.add_argument("bundle", type=_path, nargs=folders, metavar="BUNDLE", help=what)
    command.add_argument("--threads", type=_count, default=1, help="threads of one inference (1)")
    return command


def _path(text: str) -> Path:
    # pathlib reads an empty text as the working directory.
    if not text:
        raise argparse.ArgumentTypeError("an empty path names nothing; '.' is the folder here")
    return Path(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _score(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a score in 0...1, such as 0.5")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time of at least 0")
    return value


def _number(text: str) -> float:
    """Return the number in `text`; NaN, which is outside every range, if there is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _fail(message: str, remedy: str, exit_code: int) -> int:
    print(f"edgetl.runtime: {message}\n  {remedy}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
