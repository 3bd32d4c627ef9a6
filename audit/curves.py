"""Score curves of a log that has scores, overall and for each attribute's values.

ROC and reliability, and the policy's metrics and gaps at other thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.config import Config, Rule
from audit.robustness import metrics_shown
from reports.evidence import CurvePoint, ScoreCurve, ThresholdSweep
from slices.counts import CountedLog, ScoreRows, ScoresOf, SliceCounts
from slices.estimates.selection import Bounds
from slices.metrics import METRICS
from slices.scores.calibration import reliability
from slices.scores.curves import roc_curve
from slices.scores.ranking import histogram
from slices.scores.sweeps import Sweep, spread_thresholds, swept
from slices.slicing import OVERALL, Slice

POINTS = 60
# Fewer rows of either class give a staircase that shows nothing.
FEWEST = 20
BINS = 10
# A curve of the evidence takes about 3 kB: all sweeps together stay below 1 MB.
THRESHOLDS = 20
MOST_SWEPT = 60
MOST_METRICS = 4


def score_curves(counted: CountedLog, *, confidence: float) -> tuple[list[ScoreCurve], int]:
    """ROC and reliability curves of each class; none where the log has no score.

    Returns
    -------
    curves : list of ScoreCurve
        Of the overall slice and the one-way ones, at most ``MOST_SWEPT`` (times classes), the largest first.
    left_out : int
        Slices (times classes) beyond that.
    """
    scores_of = class_scores(counted)
    if scores_of is None:
        return [], 0
    places, left_out = _places(counted)
    found = []
    for item, k in places:
        rows = _with_weight(scores_of(item.slice, k, False))
        if min(int(rows.positive.sum()), int((~rows.positive).sum())) >= FEWEST:
            found += _curves(item.slice, counted.space.classes[k], rows, confidence)
    return found, left_out


def class_scores(counted: CountedLog) -> ScoresOf | None:
    """The scores of a slice for one class against the rest; None where the log has none."""
    return counted.class_scores if counted.space.task == "multiclass" else counted.scores


def _places(counted: CountedLog) -> tuple[list[tuple[SliceCounts, int]], int]:
    """The largest one-way slices and classes in the log's order, and how many are left out."""
    places = [(item, k) for item in _one_way(counted) for k in range(len(counted.space.classes))]
    largest = sorted(range(len(places)), key=lambda place: -_rows(counted, *places[place]))[:MOST_SWEPT]
    return [places[place] for place in sorted(largest)], len(places) - len(largest)


def _with_weight(rows: ScoreRows) -> ScoreRows:
    """Rows of weight 0 show nothing."""
    if rows.weight is None:
        return rows
    used = rows.weight > 0
    cluster = None if rows.cluster is None else rows.cluster[used]
    return ScoreRows(rows.scores[used], rows.positive[used], cluster, rows.weight[used])


def _curves(where: Slice, klass: str | None, rows: ScoreRows, confidence: float) -> list[ScoreCurve]:
    false, true, _ = roc_curve(histogram(rows.scores, rows.positive, rows.weight), points=POINTS)
    curves = [
        ScoreCurve(
            kind="roc",
            slice=where.as_dict(),
            klass=klass,
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
    return [*curves, ScoreCurve(kind="reliability", slice=where.as_dict(), klass=klass, points=points)]


def threshold_sweeps(
    config: Config, counted: CountedLog, *, confidence: float
) -> tuple[list[ThresholdSweep], int]:
    """The policy's metrics (else the usual ones) at about twenty thresholds, and the gaps that rules limit.

    Returns
    -------
    sweeps : list of ThresholdSweep
        Of the overall slice and the one-way ones, at most ``MOST_SWEPT`` of them (times classes), the
        largest first, and at most ``MOST_METRICS`` metrics.
    left_out : int
        Slices (times classes) beyond that.
    """
    log = config.log
    if counted.scores is None or log.threshold is None or log.tie is None:
        return [], 0
    names = [name for name in metrics_shown(config) if name != "prevalence"][:MOST_METRICS]
    metrics = [METRICS[name] for name in names]
    places, left_out = _places(counted)
    found: list[ThresholdSweep] = []
    shared: dict[int, NDArray[np.float64]] = {}
    for item, k in places:
        if k not in shared:
            everything = _with_weight(counted.scores(OVERALL, k, False))
            shared[k] = spread_thresholds(everything.scores, log.threshold, THRESHOLDS)
        rows = _with_weight(counted.scores(item.slice, k, False))
        if rows.scores.size == 0:
            continue
        klass = counted.space.classes[k]
        gaps = [rule for rule in config.policy.rules if _limits_gap(rule, item.slice, klass, names)]
        against = dict.fromkeys(rule.against or "complement" for rule in gaps)
        alone = swept(metrics, rows, None, shared[k], tie=log.tie, confidence=confidence)
        found += [_sweep(item.slice, klass, name, alone[name], alone[name].value) for name in names]
        for other in against:
            beside = _comparator(counted, item.slice, k, other)
            both = swept(metrics, rows, beside, shared[k], tie=log.tie, confidence=confidence)
            for rule in gaps:
                if (rule.against or "complement") == other and rule.metric is not None:
                    gap = both[rule.metric].gap
                    assert gap is not None
                    found.append(_sweep(item.slice, klass, rule.metric, both[rule.metric], gap, rule))
    return [item for item in found if item.points], left_out


def _one_way(counted: CountedLog) -> Iterator[SliceCounts]:
    for item in counted.slices:
        if item.slice.order < 2 and all(value is not None for _, value in item.slice.values):
            yield item


def _rows(counted: CountedLog, item: SliceCounts, k: int) -> int:
    """Rows of a class; the overall slice before all others."""
    return int(counted.space.confusion(item.inside)[k].sum()) + (1 << 62) * (item.slice.order == 0)


def _limits_gap(rule: Rule, where: Slice, klass: str | None, metrics: Sequence[str]) -> bool:
    """Whether a rule limits this slice's gap in a metric that is shown."""
    return (
        rule.gap_at_most is not None
        and rule.metric in metrics
        and where.order == 1
        and where.attributes[0] in rule.attributes
        and where.values[0][1] != rule.against
        and (rule.classes is None or klass in rule.classes)
    )


def _comparator(counted: CountedLog, where: Slice, k: int, against: str) -> ScoreRows:
    assert counted.scores is not None
    if against == "complement":
        return _with_weight(counted.scores(where, k, True))
    reference = Slice(((where.attributes[0], against),))
    known = any(item.slice == reference for item in counted.slices)
    if not known:
        return _with_weight(_nobody(counted.scores(where, k, False)))
    return _with_weight(counted.scores(reference, k, False))


def _nobody(rows: ScoreRows) -> ScoreRows:
    return ScoreRows(
        rows.scores[:0],
        rows.positive[:0],
        None if rows.cluster is None else rows.cluster[:0],
        None if rows.weight is None else rows.weight[:0],
    )


def _sweep(
    where: Slice, klass: str | None, metric: str, found: Sweep, shown: Bounds, rule: Rule | None = None
) -> ThresholdSweep:
    """A curve's points where it is defined."""
    return ThresholdSweep(
        slice=where.as_dict(),
        klass=klass,
        metric=metric,
        against=None if rule is None else (rule.against or "complement"),
        rule=None if rule is None else rule.id,
        limit=None if rule is None else rule.gap_at_most,
        points=[
            CurvePoint(x=x, y=y, low=_known(low), high=_known(high), n=int(n))
            for x, y, low, high, n in zip(
                found.thresholds.tolist(),
                shown.value.tolist(),
                shown.low.tolist(),
                shown.high.tolist(),
                found.support.tolist(),
                strict=True,
            )
            if np.isfinite(y)
        ],
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
