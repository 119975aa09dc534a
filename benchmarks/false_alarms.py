"""Claim: checking an unchanged bundle against its own baseline is red in at most 1 % of checks.

A baseline of BUNDLE is taken on this machine; then `edgetl check` compares the same bundle with it,
again and again, as CI would on every push. Counted is what the case of latency says: it is the only
one whose figures differ from check to check.

    python benchmarks/false_alarms.py BUNDLE [--repeats 200] [--seconds 0.1]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

_CASE = "latency against baseline"
_CLAIM = 0.01


def main() -> None:
    """Check as often as asked, and print how often each verdict came."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="such as dist/host after `make demo`")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seconds", default="0.1", help="of each of the five runs, at least")
    given = parser.parse_args()
    seconds = ["--seconds", given.seconds]
    with tempfile.TemporaryDirectory(prefix="edgetl-false-alarms-") as name:
        baseline = ["--baseline", str(Path(name) / "baseline.json")]
        place = [str(given.bundle), "--device", "local"]
        _edgetl("baseline", "update", *place, *seconds, "--out", baseline[1])
        found: Counter[str] = Counter()
        ratios: list[float] = []
        for _ in range(given.repeats):
            checked = json.loads(
                _edgetl("check", *place, "--target", "host", *baseline, *seconds, "--json")
            )
            case = next(each for each in checked["cases"] if each["name"] == _CASE)
            if "ratio" not in case["figures"]:
                raise SystemExit(f"nothing is compared: {case['reason']}")
            found[case["status"]] += 1
            ratios.append(case["figures"]["ratio"])
    told = ", ".join(f"{count} {status}" for status, count in found.most_common())
    print(f"{given.repeats} checks of an unchanged bundle: {told}")
    print(f"medians were {min(ratios):.3f} to {max(ratios):.3f} times the baseline's")
    share = found["failed"] / given.repeats
    missed = "" if share <= _CLAIM else "  MISSED"
    print(f"claim: red in at most {_CLAIM:.0%}; red in {share:.1%}{missed}")


def _edgetl(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgetl", *words], capture_output=True, text=True, check=False
    )
    # 5: red, or not shown; both are counted.
    if done.returncode not in {0, 5}:
        raise SystemExit(f"edgetl {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
