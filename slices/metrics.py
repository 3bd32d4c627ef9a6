"""Metrics: what each one is, as a declaration over confusion counts. No intervals, no resampling.

Every function works on arrays of any shape whose parts are ``tp, fp, fn, tn``; an undefined value
(0 / 0) is NaN inside this room only, and becomes a reason at its border.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from slices.errors import LogError
from slices.said import say

Floats = NDArray[np.float64]
Kind = Literal["proportion", "f1", "balanced", "mcc", "score"]
Form = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a two-by-two table.

    Attributes
    ----------
    name, title : str
        Key in the evidence; the field's term, spelt out.
    kind : proportion | f1 | balanced | mcc | score
        How its interval is made. ``proportion``: numerator out of denominator. ``f1``: a rising
        function of the proportion tp / (tp + fp + fn). ``balanced``: the mean of two proportions.
    numerator, denominator : tuple of four int
        Coefficients of tp, fp, fn, tn of the proportion behind the metric; all 0 where there is none.
    better : high | low | neither
        Which direction is better; ``neither`` describes the data or the use.
    lowest, highest : float
        The metric's range.
    undefined : str
        Why it has no value where its denominator is 0.
    """

    name: str
    title: str
    kind: Kind
    numerator: Form
    denominator: Form
    better: Literal["high", "low", "neither"]
    lowest: float
    highest: float
    undefined: str

    @property
    def needs_negatives(self) -> bool:
        """Whether true negatives enter it: unknown where objects are detected."""
        return self.kind in ("balanced", "mcc", "score") or bool(self.numerator[3] or self.denominator[3])

    def count(self, counts: NDArray[np.generic]) -> Floats:
        """Numerator of the proportion behind it: (..., 4) to (...)."""
        return _combined(counts, self.numerator)

    def trials(self, counts: NDArray[np.generic]) -> Floats:
        """Denominator of the proportion behind it: (..., 4) to (...)."""
        return _combined(counts, self.denominator)

    def support(self, counts: NDArray[np.generic]) -> Floats:
        """Rows it rests on: its denominator; for composites the smallest of its denominators."""
        if self.kind in ("proportion", "f1"):
            return self.trials(counts)
        tp, fp, fn, tn = (np.asarray(counts[..., k], dtype=np.float64) for k in range(4))
        margins = [tp + fn, fp + tn]
        if self.kind == "mcc":
            margins += [tp + fp, fn + tn]
        return np.asarray(np.minimum.reduce(margins))

    def value(self, tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        """The metric of four arrays of one shape and floating type; NaN where it is undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return _VALUES[self.name](tp, fp, fn, tn)

    def of(self, counts: NDArray[np.generic]) -> Floats:
        """The metric of counts (..., 4), as float64."""
        tp, fp, fn, tn = (np.asarray(counts[..., k], dtype=np.float64) for k in range(4))
        return self.value(tp, fp, fn, tn)

    def from_proportion(self, proportion: Floats) -> Floats:
        """The metric from the proportion behind it (a rising function)."""
        return 2 * proportion / (1 + proportion) if self.kind == "f1" else proportion


def _combined(counts: NDArray[np.generic], form: Form) -> Floats:
    """Counts (..., 4) times a form's coefficients: one product, not one for each small table."""
    table = np.asarray(counts, dtype=np.float64)
    return np.asarray((table.reshape(-1, 4) @ np.array(form, dtype=np.float64)).reshape(table.shape[:-1]))


def _mcc(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    # Square roots taken one by one: the product of four counts of 10^8 rows overflows nothing this way.
    scale = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return np.asarray((tp * tn - fp * fn) / scale)


_VALUES: dict[str, Callable[[Floats, Floats, Floats, Floats], Floats]] = {
    "precision": lambda tp, fp, fn, tn: tp / (tp + fp),
    "recall": lambda tp, fp, fn, tn: tp / (tp + fn),
    "fpr": lambda tp, fp, fn, tn: fp / (fp + tn),
    "fnr": lambda tp, fp, fn, tn: fn / (tp + fn),
    "specificity": lambda tp, fp, fn, tn: tn / (fp + tn),
    "npv": lambda tp, fp, fn, tn: tn / (tn + fn),
    "f1": lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn),
    "accuracy": lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (tp / (tp + fn) + tn / (fp + tn)) / 2,
    "selection_rate": lambda tp, fp, fn, tn: (tp + fp) / (tp + fp + fn + tn),
    "prevalence": lambda tp, fp, fn, tn: (tp + fn) / (tp + fp + fn + tn),
    "mcc": _mcc,
}

_NO_ROW = say("undefined.no_row", "no counted row")
_NO_POSITIVE = say("undefined.no_positive", "no row with a positive label")
_NO_NEGATIVE = say("undefined.no_negative", "no row with a negative label")
_ONE_SIDED = say("undefined.one_sided", "no row with a positive label, or none with a negative one")
_NO_FORM: Form = (0, 0, 0, 0)


def _proportion(
    name: str,
    title: str,
    forms: tuple[Form, Form],
    better: Literal["high", "low", "neither"],
    undefined: str,
) -> Metric:
    return Metric(name, title, "proportion", forms[0], forms[1], better, 0, 1, undefined)


def _composite(
    name: str, title: str, kind: Kind, better: Literal["high", "low"], undefined: str, lowest: float = 0
) -> Metric:
    return Metric(name, title, kind, _NO_FORM, _NO_FORM, better, lowest, 1, undefined)


# Forms: the coefficients of (tp, fp, fn, tn) in the numerator, and in the denominator.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _proportion(
            "precision",
            "precision",
            ((1, 0, 0, 0), (1, 1, 0, 0)),
            "high",
            say("undefined.no_positive_prediction", "no positive prediction"),
        ),
        _proportion("recall", "recall", ((1, 0, 0, 0), (1, 0, 1, 0)), "high", _NO_POSITIVE),
        _proportion("fpr", "false positive rate", ((0, 1, 0, 0), (0, 1, 0, 1)), "low", _NO_NEGATIVE),
        _proportion("fnr", "false negative rate", ((0, 0, 1, 0), (1, 0, 1, 0)), "low", _NO_POSITIVE),
        _proportion("specificity", "specificity", ((0, 0, 0, 1), (0, 1, 0, 1)), "high", _NO_NEGATIVE),
        _proportion(
            "npv",
            "negative predictive value",
            ((0, 0, 0, 1), (0, 0, 1, 1)),
            "high",
            say("undefined.no_negative_prediction", "no negative prediction"),
        ),
        Metric(
            "f1",
            "F1 score",
            "f1",
            (1, 0, 0, 0),
            (1, 1, 1, 0),
            "high",
            0,
            1,
            say("undefined.neither", "no positive label and no positive prediction"),
        ),
        _proportion("accuracy", "accuracy", ((1, 0, 0, 1), (1, 1, 1, 1)), "high", _NO_ROW),
        _composite("balanced_accuracy", "balanced accuracy", "balanced", "high", _ONE_SIDED),
        _proportion("selection_rate", "selection rate", ((1, 1, 0, 0), (1, 1, 1, 1)), "neither", _NO_ROW),
        _proportion("prevalence", "prevalence", ((1, 0, 1, 0), (1, 1, 1, 1)), "neither", _NO_ROW),
        _composite(
            "mcc",
            "Matthews correlation coefficient",
            "mcc",
            "high",
            say("undefined.one_class", "labels or predictions are all of one class"),
            lowest=-1,
        ),
        _composite("auroc", "area under the ROC curve", "score", "high", _ONE_SIDED),
        _composite("auprc", "average precision", "score", "high", _NO_POSITIVE),
        _composite("brier", "Brier score", "score", "low", _NO_ROW),
        _composite("ece", "expected calibration error", "score", "low", _NO_ROW),
    )
}

ALIASES = {
    "tpr": "recall",
    "sensitivity": "recall",
    "true_positive_rate": "recall",
    "ppv": "precision",
    "positive_predictive_value": "precision",
    "negative_predictive_value": "npv",
    "false_positive_rate": "fpr",
    "false_negative_rate": "fnr",
    "tnr": "specificity",
    "true_negative_rate": "specificity",
}

AVERAGED = ("precision", "recall", "fpr", "f1")
POOLED_MULTILABEL = tuple(f"{how}_{name}" for how in ("macro", "micro") for name in AVERAGED)
POOLED_MULTICLASS = ("accuracy", "balanced_accuracy", "mcc", *POOLED_MULTILABEL)
SCORE_METRICS = tuple(name for name, metric in METRICS.items() if metric.kind == "score")


def canonical(name: str) -> str:
    """The metric's key in the evidence, from what a user wrote.

    Raises
    ------
    LogError
        The name is neither a metric nor an alias.

    Examples
    --------
    >>> canonical("sensitivity")
    'recall'
    """
    key = name.strip().lower()
    key = ALIASES.get(key, key)
    known = [*METRICS, *POOLED_MULTILABEL]
    if key in known:
        return key
    close = get_close_matches(key, [*known, *ALIASES], n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise LogError(f"Metric '{name}' is not known; known are: {', '.join(known)}.{hint}")


def gradient(metric: Metric, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of the metric in each of the four counts, (..., 4); NaN where it is undefined.

    Every metric is homogeneous of degree 0 in the counts, so that ``gradient @ row`` is the
    influence of a row (or of a patient's count vector) on it, with sum 0 over the log.
    """
    tp, fp, fn, tn = (counts[..., k] for k in range(4))
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric.kind in ("proportion", "f1"):
            x, n = metric.count(counts), metric.trials(counts)
            form = np.array(metric.numerator, dtype=np.float64)
            base = np.array(metric.denominator, dtype=np.float64)
            slope = (form - (x / n)[..., None] * base) / n[..., None]
            if metric.kind == "f1":
                slope = slope * (2 / (1 + x / n) ** 2)[..., None]
            return np.asarray(slope)
        if metric.kind == "balanced":
            halves = [gradient(METRICS[name], counts) for name in ("recall", "specificity")]
            return np.asarray((halves[0] + halves[1]) / 2)
        if metric.kind == "mcc":
            value = metric.of(counts)
            scale = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
            slopes = [
                tn / scale - value / 2 * (1 / (tp + fp) + 1 / (tp + fn)),
                -fn / scale - value / 2 * (1 / (tp + fp) + 1 / (tn + fp)),
                -fp / scale - value / 2 * (1 / (tp + fn) + 1 / (tn + fn)),
                tp / scale - value / 2 * (1 / (tn + fp) + 1 / (tn + fn)),
            ]
            return np.stack(slopes, axis=-1)
    raise LogError(f"Metric '{metric.name}' is made from scores, not from counts.")


@dataclass(frozen=True, slots=True)
class PooledMetric:
    """One metric over all classes of a multi-class or multi-label log.

    ``accuracy``, ``balanced_accuracy`` (mean recall), ``mcc`` (Gorodkin's), ``macro_*`` over the
    classes where the metric is defined, ``micro_*`` from the summed counts.

    References
    ----------
    Gorodkin (2004), Comput. Biol. Chem. 28, 367-374, for the MCC of several classes.
    """

    name: str
    title: str
    better: Literal["high", "low", "neither"]
    lowest: float
    highest: float
    undefined: str

    @property
    def how(self) -> Literal["accuracy", "mcc", "macro", "micro"]:
        """How the classes are put together."""
        if self.name in ("accuracy", "mcc"):
            return "accuracy" if self.name == "accuracy" else "mcc"
        return "micro" if self.name.startswith("micro_") else "macro"

    @property
    def is_proportion(self) -> bool:
        """Whether it is a share of rows, with the closed-form limits of one."""
        return self.how == "accuracy" or (self.how == "micro" and self.base.kind == "proportion")

    @property
    def base(self) -> Metric:
        """The metric of one class that is averaged; recall for accuracy and MCC (every row has a label)."""
        if self.name in ("accuracy", "mcc", "balanced_accuracy"):
            return METRICS["recall"]
        return METRICS[self.name.split("_", 1)[1]]

    def value(self, tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        """The metric from class tables of shape (classes, ...); NaN where it is undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.how == "accuracy":
                return np.asarray(tp.sum(0) / (tp[0] + fp[0] + fn[0] + tn[0]))
            if self.how == "mcc":
                return _several_class_mcc(tp, fp, fn, tn)
            if self.how == "micro":
                return _VALUES[self.base.name](tp.sum(0), fp.sum(0), fn.sum(0), tn.sum(0))
            each = _VALUES[self.base.name](tp, fp, fn, tn)
            defined = np.isfinite(each)
            return np.asarray(np.where(defined, each, 0).sum(0) / defined.sum(0))

    def of(self, counts: NDArray[np.generic]) -> Floats:
        """The metric of class tables (..., classes, 4), as float64 (...)."""
        table = np.asarray(counts, dtype=np.float64)
        tp, fp, fn, tn = (np.moveaxis(table[..., k], -1, 0) for k in range(4))
        return self.value(tp, fp, fn, tn)

    def trials(self, counts: NDArray[np.generic]) -> Floats:
        """Rows in the denominators of all classes together: (..., classes, 4) to (...)."""
        return np.asarray(self.base.trials(counts).sum(-1))

    def support(self, counts: NDArray[np.generic]) -> Floats:
        """Its denominator; for macro averages the number of classes where the metric is defined."""
        if self.how == "macro":
            return np.asarray((self.base.trials(counts) > 0).sum(-1), dtype=np.float64)
        return self.trials(counts)

    def gradient(self, counts: NDArray[np.generic]) -> Floats:
        """Derivative in every count of class tables, (..., classes, 4); by complex step, exact."""
        table = np.asarray(counts, dtype=np.float64)
        slopes, step = np.empty_like(table), 1e-30
        for place in np.ndindex(table.shape[-2:]):
            moved: NDArray[Any] = table.astype(np.complex128)
            moved[(..., *place)] += 1j * step
            parts = [np.moveaxis(moved[..., k], -1, 0) for k in range(4)]
            slopes[(..., *place)] = self.value(*parts).imag / step
        return slopes


def _several_class_mcc(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    rows = tp[0] + fp[0] + fn[0] + tn[0]
    labelled, predicted = tp + fn, tp + fp
    # Predictions that are no label (abstentions) are a class of their own, never right.
    abstained = rows - predicted.sum(0)
    covariance = tp.sum(0) * rows - (labelled * predicted).sum(0)
    spread = rows**2 - (predicted**2).sum(0) - abstained**2
    return np.asarray(covariance / (np.sqrt(spread) * np.sqrt(rows**2 - (labelled**2).sum(0))))


def _pooled() -> dict[str, PooledMetric]:
    nothing = say("undefined.no_row", "no counted row")
    found = [
        PooledMetric("accuracy", "accuracy", "high", 0, 1, nothing),
        PooledMetric("balanced_accuracy", "balanced accuracy (mean recall)", "high", 0, 1, nothing),
        PooledMetric(
            "mcc",
            "Matthews correlation coefficient",
            "high",
            -1,
            1,
            say("undefined.one_class", "labels or predictions are all of one class"),
        ),
    ]
    for how, words in (("macro", "mean over classes of"), ("micro", "pooled over classes:")):
        for name in AVERAGED:
            base = METRICS[name]
            reason = say("undefined.any_class", "{reason}, in any class", reason=base.undefined)
            found.append(PooledMetric(f"{how}_{name}", f"{words} {base.title}", base.better, 0, 1, reason))
    return {metric.name: metric for metric in found}


POOLED: dict[str, PooledMetric] = _pooled()
