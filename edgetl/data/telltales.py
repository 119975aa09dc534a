"""Find classes that something besides their content tells apart: size, file format or colour.

Images of one class often come from another source than those of the rest. A classifier then learns
the source, and is right in the test split and wrong on the device.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from edgetl.errors import first_of

_MIN_IMAGES = 5
"""Of a class; fewer may be alike by chance."""
_MIN_OWN = 0.95
"""Share of a class that has a property."""
_MAX_OTHERS = 0.05
"""Share of the other images that has it, too."""
_MAX_SHOWN = 4


def telltales(
    labels: Mapping[str, str], properties: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Yield what almost all images of a class have and hardly any other, for each property.

    Args:
        labels: The class of each image, by name.
        properties: What each image is, by name, for each kind of property.
    """
    sizes = Counter(labels.values())
    for kind, values in properties.items():
        by_class: dict[str, Counter[str]] = defaultdict(Counter)
        for name, label in labels.items():
            by_class[label][values[name]] += 1
        counts = Counter(values[name] for name in labels)
        telling = []
        for label, own in sorted(by_class.items()):
            value, count = own.most_common(1)[0]
            num_others = len(labels) - sizes[label]
            if (
                sizes[label] >= _MIN_IMAGES
                and count >= _MIN_OWN * sizes[label]
                and num_others >= _MIN_IMAGES
                and counts[value] - count <= _MAX_OTHERS * num_others
            ):
                telling.append(f"'{label}' by {value}")
        if telling:
            named = first_of(telling, _MAX_SHOWN)
            yield (
                f"the {kind} alone tells classes from the others: {named}; a "
                "classifier may learn it instead of what the images show, so take or save the "
                "images of all classes in the same way"
            )
