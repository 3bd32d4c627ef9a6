"""Page measures: the print layout of page one in points (1/72 inch); its style sheet is written to these.

How high a text stands, and the room that the page has. What is printed is decided elsewhere.
"""

from __future__ import annotations

from reports.canvas import wrap

PAGE_HEIGHT = {"A4": 842.0, "Letter": 792.0}
MARGINS = 31.2 + 39.7  # of the first page
COLUMN = {"A4": 499.0, "Letter": 516.0}
BODY = 8.5
LEADING = 1.36
GROUP = 0.298  # of the width: the group's name
MEANING = 0.39  # of the width: what a block's metric means
TITLES = ((21.0, 1), (14.0, 2))  # points and lines of the title, as it is longer
LEAST_GROUP = 80.0  # points of a group's name in such a line; with less, its counts are left out
HOUSE_KIND = 110.0  # points: the kind of document, right of the house's name
SIGN_ROW = 22.5  # points: a person signs there
FIT = 0.995  # of a width: rounding of the layout; kerning is off in print, so that advances add up


def height(text: str, width: float, size: float = BODY, leading: float = LEADING) -> float:
    """Points that a paragraph takes."""
    return len(wrap(text, width * FIT, size)) * size * leading if text else 0.0
