"""Look at the files of a data path once, for all layouts."""

from __future__ import annotations

from edgetl.data.container import Container
from edgetl.data.sources._json import json_forms
from edgetl.data.sources._screened import ScreenedContainer


def screen(container: Container) -> ScreenedContainer:
    """Return the files of a container with what a look at them tells."""
    return ScreenedContainer(
        container=container,
        files=container.files,
        folders=container.folders,
        json_forms=json_forms(container),
    )
