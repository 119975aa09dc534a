"""``edgetl.check``: check a bundle on its device, for CI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgetl.api.arguments import (
    PathLike,
    as_choice,
    as_number,
    as_optional_path,
    as_optional_text,
    as_path,
    as_recipe,
    as_seconds,
    as_text,
)
from edgetl.api.bundles import find_bundle, recipe_folder
from edgetl.store.store import Store
from edgetl.types import Facts

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.gate.case import Case
    from edgetl.gate.check import Checked

_REQUIRED = ("measured", "emulated")


@dataclass(frozen=True, slots=True, repr=False)
class CheckResult:
    """The result of a check; its text is what ``edgetl check`` prints."""

    checked: Checked
    """Bundle, options, device, measurements and cases."""

    @property
    def verdict(self) -> str:
        """``passed``; ``failed`` if a case is red; ``unverified`` if a figure could not be shown.

        Only required figures count.
        """
        return self.checked.verdict

    @property
    def passed(self) -> bool:
        """Whether no case is red and every required figure was shown."""
        return self.verdict == "passed"

    @property
    def cases(self) -> tuple[Case, ...]:
        """What was checked, each with its status and reason."""
        return self.checked.cases

    def lines(self) -> Iterator[str]:
        """Yield one line per case, then the verdict."""
        from edgetl.report.checks import check_lines

        yield from check_lines(self.as_json())

    def as_json(self) -> Facts:
        """Return everything as plain JSON, as ``edgetl check --json`` prints it."""
        return self.checked.as_json()

    def junit(self) -> str:
        """Return the cases as JUnit XML, for a CI server."""
        from edgetl.report.junit import junit_xml

        return junit_xml(self.as_json())

    def markdown(self) -> str:
        """Return the cases as a table in Markdown, for the summary of a CI job."""
        from edgetl.report.checks import check_markdown

        return check_markdown(self.as_json())

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows."""
        return self.markdown()

    def __repr__(self) -> str:
        """Return what ``edgetl check`` prints."""
        return "\n".join(self.lines())


def check(  # noqa: PLR0913 - one for each option of the command
    bundle: PathLike,
    *,
    target: str,
    device: str | None = None,
    baseline: PathLike | None = None,
    require: Literal["measured", "emulated"] = "measured",
    max_drop_pp: float = 0.5,
    max_ratio: float = 1.1,
    seconds: float = 10.0,
    store: PathLike = ".edgetl",
) -> CheckResult:
    """Check a bundle on a device against its target's limits, and against a baseline.

    A red case is no error: see `CheckResult.passed`.

    Args:
        bundle: The folder of a bundle, or a recipe, whose last run made one; for a recipe the
            device predicts on all test images.
        target: Name of the target whose limits must hold.
        device: Address of the device: ``local``, ``ssh://pi@rpi4``, ``emulated:cortex-a72``; None
            for the target's own.
        baseline: File of `record_baseline` to compare with.
        require: ``emulated`` if predictions on an emulated board suffice.
        max_drop_pp: Largest allowed loss of accuracy against the baseline, in 0..100.
        max_ratio: Largest allowed latency and size, as a multiple of the baseline's, at least 1.
        seconds: Minimum duration of each run of a timing, at most 600.
        store: Folder of finished artifacts.

    Raises:
        UsageError: If an argument is of the wrong type, `bundle` is neither, or the device is
            emulated and `require` is ``measured``.
        ConfigError: If the target or the baseline is wrong, or the device is another board.
        DeviceError: If the device cannot be reached.
        EdgetlRuntimeError: If the bundle cannot be read.
    """
    from edgetl.boards import require_machine
    from edgetl.config.load import load_target
    from edgetl.devices import check_address
    from edgetl.gate.bundle import find_images
    from edgetl.gate.case import Required
    from edgetl.gate.check import CheckOptions, check_bundle, reach
    from edgetl.gate.compare import Allowed

    given, name = as_recipe(bundle), as_text("target", target)
    address, reference = as_optional_text("device", device), as_optional_path("baseline", baseline)
    required = Required(as_choice("require", require, _REQUIRED))
    allowed = Allowed(
        as_number("max_drop_pp", max_drop_pp, 0.0, 100.0),
        as_number("max_ratio", max_ratio, 1.0),
    )
    duration = as_seconds("seconds", seconds)
    kept = Store(as_path("store", store))
    profile = load_target(name, beside=recipe_folder(given), check_address=check_address)
    opened, is_recipe = find_bundle(given, name, kept)
    options = CheckOptions(
        target=profile,
        required=required,
        baseline=reference,
        allowed=allowed,
        seconds=duration,
        images=find_images(opened, kept) if is_recipe or reference else None,
        predict=is_recipe,
    )
    machine = reach(profile, address, required)
    require_machine(profile, machine)
    return CheckResult(check_bundle(opened, machine, options))
