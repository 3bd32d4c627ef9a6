"""Associations: attributes of the log that cannot be told apart, or hardly.

Where every image of a site comes from one scanner, no log can say which of the two a gap is
due to: the report must say so beside the gap.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from reports.evidence import Association
from slices.counts import CountedLog
from slices.said import say
from slices.slicing import Slice
from slices.supplements.association import cramers_v

# From here on a report says that two attributes can hardly be told apart.
STRONG = 0.7


def associations(counted: CountedLog) -> tuple[Association, ...]:
    """Pairs of attributes with a bias-corrected Cramer's V of `STRONG` or more, strongest first.

    Only pairs that were counted (``[slices] intersections``) can be looked at.
    """
    rows = {item.slice: int(item.inside.sum()) for item in counted.slices if item.slice.order == 2}
    counted_pairs = {where.attributes for where in rows}
    found = []
    for first, second in combinations(counted.attributes, 2):
        one, other = sorted((first.attribute.name, second.attribute.name))
        if (one, other) not in counted_pairs:
            continue
        values = {
            summary.attribute.name: [value for value, _ in summary.values] for summary in (first, second)
        }
        table = np.array(
            [[rows.get(Slice(((one, a), (other, b))), 0) for b in values[other]] for a in values[one]],
            dtype=np.int64,
        )
        strength = cramers_v(table)
        if strength is not None and strength >= STRONG:
            found.append(
                Association(
                    attributes=(one, other),
                    cramers_v=strength,
                    sentence=(
                        say(
                            "limitation.association.what",
                            "'{one}' and '{other}' go together in this log (Cramer's V {strength:.2f}): a "
                            "gap by one may be a gap by the other.",
                            one=one,
                            other=other,
                            strength=strength,
                        )
                    ),
                )
            )
    return tuple(sorted(found, key=lambda item: (-item.cramers_v, item.attributes)))
