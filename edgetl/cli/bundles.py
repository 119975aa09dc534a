"""Options that check and baseline share."""

from __future__ import annotations

import click

from edgetl.api.arguments import LONGEST_SECONDS

device = click.option(
    "--device",
    metavar="ADDRESS",
    help="Device to run it on, such as ssh://pi@rpi4 or emulated:cortex-a72.",
)

seconds = click.option(
    "--seconds",
    type=click.FloatRange(min=0.0, max=LONGEST_SECONDS, min_open=True),
    default=10.0,
    show_default=True,
    help="Minimum duration of each of the five runs of a timing.",
)
