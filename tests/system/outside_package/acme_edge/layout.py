"""Images in one folder, and a table with the class of each."""

from __future__ import annotations

from edgetl.data.container import Container
from edgetl.data.sources import Listing, Sample
from edgetl.types import LabelKind

_TABLE = "labels.csv"


class LabelTable:
    version = 1
    label_kind = LabelKind.CLASSES
    expects = f"images beside {_TABLE}, with a line `file,class` for each"

    def recognises(self, container: Container) -> bool:
        return _TABLE in container.files

    def list(self, container: Container) -> Listing:
        rows = [line.split(",") for line in container.read(_TABLE).decode().splitlines()]
        samples = [Sample(file, label, None) for file, label in rows]
        named = {_TABLE, *(sample.name for sample in samples)}
        return Listing(
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            classes=tuple(sorted({sample.label for sample in samples})),
            given=frozenset(),
            unlabelled=(),
            others=tuple(name for name in container.files if name not in named),
            labels=(_TABLE,),
        )


SOURCE = LabelTable()
