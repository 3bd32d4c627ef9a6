"""Label accuracy in the evidence: how figures and checks move if labels are wrong as often as stated.

The correction is `slices.supplements.label_accuracy`; here are the slices and checks that it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from audit.by_class import accuracy_by_class
from audit.config import Config
from audit.metric_names import COUNT_METRICS, USUAL
from audit.policy import Judged, Results, side_of
from audit.targets import quantity
from reports.evidence import CorrectedCheck, CorrectedFigure, LabelNoise, StatedAccuracy
from slices.counts import CountedLog
from slices.estimates.comparison import of_side, reference_slice
from slices.intervals import mover_difference, mover_ratio
from slices.metrics import METRICS
from slices.said import say
from slices.slicing import Slice
from slices.supplements.label_accuracy import (
    ALWAYS_RIGHT,
    Corrected,
    LabelAccuracy,
    Sample,
    breaking_accuracy,
    corrected_metric,
    expected_wrong,
    samples,
)
from slices.supplements.label_noise import worst_case_labels

# The labels do not enter it.
UNTOUCHED = "selection_rate"


def label_noise(
    config: Config, counted: CountedLog, results: Results, findings: Sequence[Judged]
) -> LabelNoise | None:
    """Figures and checks under the stated accuracy of the labels; None where none is stated.

    Raises
    ------
    InputError
        One accuracy for a log with several classes, or a class that the log does not have.
    """
    accuracies = {
        klass: LabelAccuracy(each.sensitivity, each.specificity)
        for klass, each in accuracy_by_class(config, counted).items()
    }
    if not accuracies:
        return None
    corrections = _Corrections(counted, results.confidence)
    computed = {item.slice for item in counted.slices}
    reached = [f for f in findings if _reached(f) and f.klass in accuracies and f.slice in computed]
    named = [f.metric for f in reached if f.metric is not None]
    metrics = tuple(dict.fromkeys(named)) or USUAL
    judged = {finding.slice for finding in reached}
    figures = [
        corrections.figure(item.slice, klass, metric, accuracy)
        for item in counted.slices
        if item.slice.order <= 1 or item.slice in judged
        for klass, accuracy in accuracies.items()
        for metric in metrics
    ]
    return LabelNoise(
        stated=[
            StatedAccuracy(klass=klass, sensitivity=each.sensitivity, specificity=each.specificity)
            for klass, each in accuracies.items()
        ],
        figures=figures,
        checks=[corrections.check(finding, results, accuracies[finding.klass]) for finding in reached],
        unread=sum(finding.outcome != "not_tested" for finding in findings) - len(reached),
    )


def _reached(finding: Judged) -> bool:
    """Whether the correction reaches a check: of a figure from counts that the labels enter."""
    return (
        finding.kind in ("floor", "ceiling", "gap", "ratio")
        and finding.metric in COUNT_METRICS
        and finding.metric != UNTOUCHED
        and finding.limit is not None
        and finding.outcome != "not_tested"
    )


class _Corrections:
    """Corrected figures of a log's slices, the rows of each side gathered once."""

    def __init__(self, counted: CountedLog, confidence: float) -> None:
        self.counted, self.confidence = counted, confidence
        self._slices = {item.slice: item for item in counted.slices}
        self._samples: dict[tuple[Slice, bool], list[Sample]] = {}

    def figure(
        self, where: Slice, klass: str | None, metric: str, accuracy: LabelAccuracy
    ) -> CorrectedFigure:
        sample = self._sample(where, False, klass)
        observed = float(METRICS[metric].of(sample.counts))
        found = corrected_metric(METRICS[metric], sample, accuracy, confidence=self.confidence)
        bounds = None
        wrong = ceil(expected_wrong(sample.counts, accuracy) - 1e-9)
        if sample.squares is None and METRICS[metric].kind in ("proportion", "f1"):
            counts = np.asarray(sample.counts, dtype=np.int64)
            bounds = worst_case_labels(METRICS[metric], counts, min(wrong, int(counts.sum())))
        return CorrectedFigure(
            slice=where.as_dict(),
            klass=klass,
            metric=metric,
            observed=observed if np.isfinite(observed) else None,
            value=found.value,
            low=found.low,
            high=found.high,
            wrong_labels=wrong,
            lowest=None if bounds is None else bounds[0],
            highest=None if bounds is None else bounds[1],
            method=found.method,
            undefined=found.undefined,
        )

    def check(self, finding: Judged, results: Results, accuracy: LabelAccuracy) -> CorrectedCheck:
        level = _joint_level(finding, results)
        found = self._read(finding, accuracy, self.confidence)
        outcome = self._outcome(finding, accuracy, level)
        if outcome == self._outcome(finding, ALWAYS_RIGHT, level):
            # The correction's limits are not the check's own kind: without noise they change nothing.
            outcome = finding.outcome
        breaking = None
        if finding.outcome == "meets":

            def holds(accuracy: LabelAccuracy) -> bool | None:
                read = self._read(finding, accuracy, self.confidence)
                return None if read.value is None else _side(finding, read) == "right"

            breaking = breaking_accuracy(holds)
        assert finding.metric is not None
        return CorrectedCheck(
            rule=finding.rule,
            slice=finding.slice.as_dict(),
            klass=finding.klass,
            metric=finding.metric,
            against=finding.against,
            outcome=finding.outcome,
            value=found.value,
            low=found.low,
            high=found.high,
            corrected=outcome,
            breaking_accuracy=breaking,
            undefined=found.undefined,
        )

    def _outcome(self, finding: Judged, accuracy: LabelAccuracy, level: float | None) -> str:
        """The check's outcome as the policy would read it from corrected limits."""
        if level is not None and _side(finding, self._read(finding, accuracy, level)) == "wrong":
            return "fails"
        if finding.outcome == "not_enough_data":
            return "not_enough_data"
        pointwise = self._read(finding, accuracy, self.confidence)
        return "meets" if _side(finding, pointwise) == "right" else "cannot_tell"

    def _read(self, finding: Judged, accuracy: LabelAccuracy, confidence: float) -> Corrected:
        """The figure that a check limits: a value, or a slice against its comparator."""
        assert finding.metric is not None
        metric = METRICS[finding.metric]
        mine = corrected_metric(
            metric, self._sample(finding.slice, False, finding.klass), accuracy, confidence=confidence
        )
        if finding.against is None:
            return mine
        named = None if finding.against == "complement" else reference_slice(finding.slice, finding.against)
        sample = self._sample(named or finding.slice, named is None, finding.klass)
        other = corrected_metric(metric, sample, accuracy, confidence=confidence)
        return _against(mine, other, ratio=finding.kind == "ratio")

    def _sample(self, where: Slice, outside: bool, klass: str | None) -> Sample:
        key = (where, outside)
        if key not in self._samples:
            self._samples[key] = samples(self.counted, self._slices[where], outside=outside)
        return self._samples[key][self.counted.space.classes.index(klass)]


def _against(mine: Corrected, other: Corrected, *, ratio: bool) -> Corrected:
    """Difference or ratio of two corrected figures from their own limits."""
    if mine.value is None or other.value is None:
        side, found = (0, mine) if mine.value is None else (1, other)
        return Corrected(None, None, None, undefined=of_side(side, found.undefined or ""))
    if ratio and other.value <= 0:
        reason = say("undefined.corrected_zero", "the comparator's corrected figure is 0: no ratio to it")
        return Corrected(None, None, None, undefined=reason)
    value = mine.value / other.value if ratio else mine.value - other.value
    if mine.low is None or mine.high is None or other.low is None or other.high is None:
        return Corrected(value, None, None, undefined=mine.undefined or other.undefined)
    sides = (mine.value, mine.low, mine.high, other.value, other.low, other.high)
    low, high = (float(v) for v in (mover_ratio if ratio else mover_difference)(*sides))
    return Corrected(value, low, high if np.isfinite(high) else None)


def _side(finding: Judged, read: Corrected) -> str:
    assert finding.limit is not None
    return side_of(finding.kind, finding.limit, read.low, read.high)


def _joint_level(finding: Judged, results: Results) -> float | None:
    """The confidence of the check's simultaneous interval."""
    record = results.record(finding.slice, finding.klass)
    wanted = (finding.metric, quantity(finding.kind), finding.against)
    return next(
        (s.level for s in record.simultaneous if (s.metric, s.quantity, s.against) == wanted)
        if record is not None
        else iter(()),
        None,
    )
