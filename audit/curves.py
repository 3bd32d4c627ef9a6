"""Score curves of a log that has scores: ROC and reliability, overall and for each attribute's values."""

from __future__ import annotations

import numpy as np

from reports.evidence import CurvePoint, ScoreCurve
from slices.counts import CountedLog, ScoreRows
from slices.scores.calibration import reliability
from slices.scores.curves import roc_curve
from slices.scores.ranking import histogram
from slices.slicing import Slice

POINTS = 60
# Fewer rows of either class give a staircase that shows nothing.
FEWEST = 20
BINS = 10


def score_curves(counted: CountedLog, *, confidence: float) -> list[ScoreCurve]:
    """ROC and reliability curves; none where the log has no score, or classes of its own."""
    if counted.scores is None or counted.space.classes != (None,):
        return []
    found = []
    for item in counted.slices:
        if item.slice.order > 1 or any(value is None for _, value in item.slice.values):
            continue
        rows = _with_weight(counted.scores(item.slice, 0, False))
        if min(int(rows.positive.sum()), int((~rows.positive).sum())) >= FEWEST:
            found += _curves(item.slice, rows, confidence)
    return found


def _with_weight(rows: ScoreRows) -> ScoreRows:
    """Rows of weight 0 show nothing."""
    if rows.weight is None:
        return rows
    used = rows.weight > 0
    cluster = None if rows.cluster is None else rows.cluster[used]
    return ScoreRows(rows.scores[used], rows.positive[used], cluster, rows.weight[used])


def _curves(where: Slice, rows: ScoreRows, confidence: float) -> list[ScoreCurve]:
    false, true, _ = roc_curve(histogram(rows.scores, rows.positive, rows.weight), points=POINTS)
    curves = [
        ScoreCurve(
            kind="roc",
            slice=where.as_dict(),
            points=[CurvePoint(x=float(x), y=float(y)) for x, y in zip(false, true, strict=True)],
        )
    ]
    if rows.scores.min() < 0 or rows.scores.max() > 1:
        return curves  # a score that is no probability has no calibration
    found = reliability(
        rows.scores, rows.positive, rows.cluster, rows.weight, bins=BINS, confidence=confidence
    )
    points = [
        CurvePoint(x=float(x), y=float(y), low=float(low), high=float(high), n=int(n))
        for x, y, low, high, n in zip(
            found.score, found.observed, found.low, found.high, found.rows, strict=True
        )
        if np.isfinite(y)
    ]
    return [*curves, ScoreCurve(kind="reliability", slice=where.as_dict(), points=points)]
