"""Metric names as users write them, and the canonical ones. Names only; nothing is computed here."""

from __future__ import annotations

COUNT_METRICS = (
    "precision",
    "recall",
    "fpr",
    "fnr",
    "specificity",
    "npv",
    "f1",
    "accuracy",
    "balanced_accuracy",
    "selection_rate",
    "prevalence",
    "mcc",
)
SCORE_METRICS = ("auroc", "auprc", "brier", "ece")
POOLED_METRICS = tuple(
    f"{average}_{metric}" for average in ("macro", "micro") for metric in ("precision", "recall", "fpr", "f1")
)
METRICS = COUNT_METRICS + SCORE_METRICS + POOLED_METRICS

# What a record over all classes of a multi-class log carries; nothing else is defined there.
POOLED_RECORD_METRICS = ("accuracy", "balanced_accuracy", "mcc", *POOLED_METRICS)

PROPORTIONS = (
    "precision",
    "recall",
    "fpr",
    "fnr",
    "specificity",
    "npv",
    "accuracy",
    "selection_rate",
    "prevalence",
)

# Without a policy: what a reader asks first.
USUAL = ("precision", "recall", "fpr")

SYNONYMS = {
    "tpr": "recall",
    "sensitivity": "recall",
    "true_positive_rate": "recall",
    "ppv": "precision",
    "positive_predictive_value": "precision",
    "false_positive_rate": "fpr",
    "false_negative_rate": "fnr",
    "tnr": "specificity",
    "true_negative_rate": "specificity",
    "negative_predictive_value": "npv",
    "f1_score": "f1",
    "roc_auc": "auroc",
    "average_precision": "auprc",
}


def canonical(name: str) -> str | None:
    """The canonical name of a metric as a user wrote it, or None where there is none.

    >>> canonical("tpr"), canonical("recall"), canonical("recal")
    ('recall', 'recall', None)
    """
    if name in METRICS:
        return name
    return SYNONYMS.get(name)
