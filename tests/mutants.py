"""Change the code that decides in small ways, one at a time, and count which changes tests notice.

The mutants are mutmut's; `[tool.mutmut]` in `pyproject.toml` lists what is mutated and which tests
run. The sample takes from each group in turn, so a smaller one is spread as evenly.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path

from mutmut.__main__ import create_mutants
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, walk_mutatable_files

_ROOT = Path(__file__).parents[1]
_GROUPS = {
    "edgetl/config/limits.py": "limits",
    "edgetl/gate/limits.py": "limits",
    "edgetl/stages/_selection.py": "choice",
}
"""Of files that are not grouped by the folder below `edgetl`."""
_NOTICED = {"killed", "timeout"}
_LEAST_NOTICED = 0.9


def main(words: Sequence[str]) -> int:
    """Run a sample and print what was noticed; 1 if that is too little."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args(words)
    os.chdir(_ROOT)
    # Anew each time: what an interrupted run or a removed test left would count.
    shutil.rmtree("mutants", ignore_errors=True)
    Path("mutants").mkdir()
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(os.cpu_count() or 1)
    group_of = {name: _group(path) for path in _files() for name in _exit_codes(path)}
    names = _sample(group_of, options.count, options.seed)
    # Tests start programs, and those must import the mutated package, too.
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / "mutants")}
    command = [str(Path(sys.executable).with_name("mutmut")), "run", *names]
    failed = subprocess.run(command, env=environment, check=False).returncode
    if failed:
        return failed
    codes = {name: code for path in _files() for name, code in _exit_codes(path).items()}
    return _report({name: status_by_exit_code[codes[name]] for name in names}, group_of)


def _files() -> list[Path]:
    return sorted(walk_mutatable_files())


def _exit_codes(path: Path) -> dict[str, int | None]:
    """Return what the tests of each mutant of a file ended with; None if they did not run."""
    meta = json.loads(Path("mutants", f"{path}.meta").read_text("utf-8"))
    codes: dict[str, int | None] = meta["exit_code_by_key"]
    return codes


def _group(path: Path) -> str:
    return _GROUPS.get(path.as_posix(), path.parts[1])


def _sample(group_of: Mapping[str, str], count: int, seed: int) -> list[str]:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    shuffled: list[list[str]] = []
    for group in sorted(set(group_of.values())):
        names = [name for name in group_of if group_of[name] == group]
        shuffled.append(rng.sample(names, len(names)))
    in_turn = chain.from_iterable(zip_longest(*shuffled))
    return [name for name in in_turn if name is not None][:count]


def _report(status: Mapping[str, str], group_of: Mapping[str, str]) -> int:
    for group in sorted({group_of[name] for name in status}):
        counts = Counter(status[name] for name in status if group_of[name] == group)
        print(f"{group}: " + ", ".join(f"{count} {what}" for what, count in counts.most_common()))
    unnoticed = [name for name in status if status[name] not in _NOTICED]
    for name in unnoticed:
        print(f"{status[name]}: {name}; see it by: mutmut show {name}")
    share = 1 - len(unnoticed) / len(status)
    print(f"{share:.1%} of {len(status)} mutants noticed, at least {_LEAST_NOTICED:.0%} are needed")
    return 0 if share >= _LEAST_NOTICED else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
