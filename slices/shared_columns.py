"""Shared columns: which two roles of a log may name one column. Declarations only; nothing is read here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from slices.errors import LogError
from slices.roles import Decision, LogSpec

Named = tuple[str, str]


def refuse_shared_columns(spec: LogSpec, roles: Sequence[Named]) -> None:
    """Refuse one column in two roles of which at most one can be meant.

    A label that is its own prediction is right everywhere, and a rule on it would be met. What may
    share a column: an attribute with any role (slices by site where the site is the cluster), cluster
    and id (every image a cluster of its own), and a score with its baseline at another threshold.

    Parameters
    ----------
    spec : LogSpec
    roles : sequence of (column, role)
        Of every role but the attributes, as an error says it.

    Raises
    ------
    LogError
    """
    for (column, one), (other_column, other) in combinations(roles, 2):
        if column != other_column or {one, other} == {"cluster", "id"}:
            continue
        if {one, other} == {"prediction", "baseline"} and _another_threshold(spec.decision, spec.baseline):
            continue
        if one == other:
            raise LogError(
                f"Column '{column}' is the score of two classes; give each class a column of its own."
            )
        raise LogError(
            f"Column '{column}' is both {one} and {other}; name a column of its own for one of them."
        )


def _another_threshold(decision: Decision, baseline: Decision | None) -> bool:
    """Whether model and baseline are one score cut at two points: two ways to run one model."""
    if baseline is None or decision.score is None or baseline.score is None:
        return False
    return (decision.threshold, decision.tie) != (baseline.threshold, baseline.tie)
