"""Edge deployment pipeline: fine-tune, distil, quantize, export, verify, benchmark, package.

Importing this package imports nothing else: a name is looked up when it is used. It belongs to the
distribution `edgetl-runtime`, which devices install alone; there, only `Predictor`, `load` and
`EdgetlRuntimeError` exist.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgetl.api.baseline import record_baseline
    from edgetl.api.check import CheckResult, check
    from edgetl.api.estimate import ModelEstimate, estimate
    from edgetl.api.init import InitResult, init
    from edgetl.api.lint import lint
    from edgetl.api.plan import PlannedStep, PlanResult, plan
    from edgetl.api.plugins import (
        list_devices,
        list_distillation_methods,
        list_engines,
        list_exporters,
        list_families,
        list_layouts,
        list_quantizers,
        list_stages,
        list_strategies,
        list_tasks,
    )
    from edgetl.api.profile import profile
    from edgetl.api.report import Report, make_report
    from edgetl.api.run import RunResult, TargetResult, run
    from edgetl.api.targets import (
        TargetCheck,
        check_target,
        list_calibrations,
        list_recipes,
        list_targets,
    )
    from edgetl.api.why import why
    from edgetl.errors import EdgetlError
    from edgetl.plugins import PluginInfo
    from edgetl.runtime.errors import EdgetlRuntimeError
    from edgetl.runtime.predictor import Predictor, load

__all__ = [
    "CheckResult",
    "EdgetlError",
    "EdgetlRuntimeError",
    "InitResult",
    "ModelEstimate",
    "PlanResult",
    "PlannedStep",
    "PluginInfo",
    "Predictor",
    "Report",
    "RunResult",
    "TargetCheck",
    "TargetResult",
    "check",
    "check_target",
    "estimate",
    "init",
    "lint",
    "list_calibrations",
    "list_devices",
    "list_distillation_methods",
    "list_engines",
    "list_exporters",
    "list_families",
    "list_layouts",
    "list_quantizers",
    "list_recipes",
    "list_stages",
    "list_strategies",
    "list_targets",
    "list_tasks",
    "load",
    "make_report",
    "plan",
    "profile",
    "record_baseline",
    "run",
    "why",
]

if not TYPE_CHECKING:  # else any name would pass for one of this package
    _PLACES = {
        "edgetl.api.baseline": ("record_baseline",),
        "edgetl.api.check": ("CheckResult", "check"),
        "edgetl.api.estimate": ("ModelEstimate", "estimate"),
        "edgetl.api.init": ("InitResult", "init"),
        "edgetl.api.lint": ("lint",),
        "edgetl.api.plan": ("PlanResult", "PlannedStep", "plan"),
        "edgetl.api.profile": ("profile",),
        "edgetl.api.report": ("Report", "make_report"),
        "edgetl.api.run": ("RunResult", "TargetResult", "run"),
        "edgetl.api.targets": (
            *("TargetCheck", "check_target"),
            *("list_calibrations", "list_recipes", "list_targets"),
        ),
        "edgetl.api.why": ("why",),
        "edgetl.errors": ("EdgetlError",),
        "edgetl.plugins": ("PluginInfo",),
        "edgetl.runtime.errors": ("EdgetlRuntimeError",),
        "edgetl.runtime.predictor": ("Predictor", "load"),
    }
    _PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

    def __getattr__(name):  # noqa: ANN001, ANN202 - Python 3.6 cannot postpone annotations
        """Import the module that has `name`, and keep the name for the next time."""
        if name not in __all__:
            raise AttributeError(f"module 'edgetl' has no attribute '{name}'")
        from importlib import import_module

        place = _PLACE_OF.get(name, "edgetl.api.plugins")  # the place of the others, `list_...`
        try:
            module = import_module(place)
        except ModuleNotFoundError as error:
            if error.name not in {"edgetl.api", "edgetl.errors", "edgetl.plugins"}:
                raise
            from edgetl.runtime.errors import PackageError

            raise PackageError(
                f"edgetl.{name} needs the package 'edgetl', and only 'edgetl-runtime' is installed",
                remedy="pip install edgetl",
            ) from error
        globals()[name] = getattr(module, name)
        return globals()[name]

    def __dir__():  # noqa: ANN202
        """Return the public names, also those that are not imported yet."""
        return sorted([*globals(), *__all__])
