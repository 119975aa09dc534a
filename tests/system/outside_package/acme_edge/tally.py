"""The facts of the stage ``tally``."""

from __future__ import annotations

from edgetl.facts import FactsModel


class TallyFacts(FactsModel):
    classes: int
