"""Check: what a run would do, without doing it: rows, slices, the smallest gap that the log can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.config import Loaded, Rule
from audit.language import read_catalogue
from audit.layers import check_model
from audit.lock import read_lock
from audit.metric_names import USUAL
from audit.progress import Progress, silent
from audit.run import check_classes, check_formats, check_labels, count
from audit.since import read_previous, refuse_unrelated
from audit.targets import Target, family, targets
from audit.translate import require_files
from audit.wording import percent
from slices.counts import FN, FP, TN, TP, CountedLog, SliceCounts
from slices.estimates.power import Arm, detectable_gap
from slices.metrics import METRICS
from slices.slicing import Slice

# The outcomes that a metric's denominator is made of.
DENOMINATORS = {
    "precision": (TP, FP),
    "recall": (TP, FN),
    "fnr": (TP, FN),
    "fpr": (FP, TN),
    "specificity": (FP, TN),
    "npv": (FN, TN),
    "accuracy": (TP, FP, FN, TN),
    "selection_rate": (TP, FP, FN, TN),
    "prevalence": (TP, FP, FN, TN),
}
SUPPOSED = 0.9


def check(loaded: Loaded, *, progress: Progress = silent) -> str:
    """What a run would do, in lines of plain text. Counts the log and computes nothing else.

    Raises
    ------
    InputError, LogError, ConceptError, ModelError
        What the run itself would refuse.
    """
    check_formats(loaded)
    require_files(loaded)
    check_model(loaded, hash_only=True)
    counted, _ = count(loaded, progress=progress)
    found = targets(loaded.config.policy, counted)
    read_lock(loaded)
    read_catalogue(loaded.config.report.language, loaded.root)
    previous = read_previous(loaded)
    if previous is not None:
        refuse_unrelated(previous, counted)
    check_classes(loaded, counted)
    check_labels(loaded, counted)
    check_model(loaded)
    return "\n".join([*_log_lines(counted), *_policy_lines(loaded, counted, found), *_concept_lines(loaded)])


def _log_lines(counted: CountedLog) -> Iterator[str]:
    yield f"Log: {counted.rows:,} rows, {counted.rows_used:,} used; {counted.space.task}."
    known = [name for name in counted.space.classes if name is not None]
    if known:
        yield f"Classes: {len(known)}: {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}."
    if counted.clusters is not None:
        alone = f" {counted.unclustered:,} rows name none: each is its own." if counted.unclustered else ""
        yield f"Clusters: {counted.clusters:,}.{alone}"
    if counted.tied:
        yield f"Ties: {counted.tied:,} rows whose largest score classes share; the first name is taken."
    if counted.ignored:
        named = ", ".join(counted.ignored[:5]) + (", ..." if len(counted.ignored) > 5 else "")
        yield f"Not read: {len(counted.ignored):,} files of other kinds in the log's folder ({named})."
    for exclusion in counted.exclusions:
        if exclusion.slice.order == 0:
            yield f"Excluded: {exclusion.rows:,} rows, {exclusion.reason}."
    for summary in counted.attributes:
        missing = f", {summary.missing:,} rows missing" if summary.missing else ""
        named = f"{summary.attribute.name} ({summary.attribute.kind})"
        yield f"Attribute {named}: {len(summary.values)} values{missing}."
    for order in sorted({item.slice.order for item in counted.slices} - {0}):
        number = sum(item.slice.order == order for item in counted.slices)
        yield f"Slices of {order} attribute{'s' if order > 1 else ''}: {number:,}."
    if counted.small:
        yield f"Below the minimum size, listed and not computed: {len(counted.small):,} slices."


def _policy_lines(loaded: Loaded, counted: CountedLog, found: tuple[Target, ...]) -> Iterator[str]:
    rules = loaded.config.policy.rules
    confidence = loaded.config.statistics.confidence
    counts = {item.slice: item for item in counted.slices}
    if not rules:
        yield "Policy: no rule; the report would measure and decide nothing."
        for metric in USUAL:
            yield from _smallest_gaps(metric, _usual_targets(metric, counted), counts, counted, confidence)
        return
    yield f"Policy: {len(rules)} rules, {len(found):,} checks, {len(family(found)):,} figures tested jointly."
    for target in found:
        if target.unavailable is not None and target.unavailable[0] == "not_tested":
            yield f"Not tested: rule '{target.rule.id}': {target.unavailable[1]}"
    for rule in rules:
        of_rule = [target for target in found if target.rule is rule]
        yield from _smallest_gaps(f"Rule '{rule.id}'", of_rule, counts, counted, confidence)


def _smallest_gaps(
    what: str,
    found: Sequence[Target],
    counts: Mapping[Slice, SliceCounts],
    counted: CountedLog,
    confidence: float,
) -> Iterator[str]:
    """The smallest gaps that the slices of some targets could show, the best and the worst in one line."""
    gaps = [
        (gap, target)
        for target in found
        if target.slice.order > 0
        and target.slice in counts
        and (gap := smallest_gap(target, counts[target.slice], counted, confidence)) is not None
    ]
    if not gaps:
        return
    gap, widest = max(gaps, key=lambda item: item[0])
    where = ", ".join(f"{name} = {value}" for name, value in widest.slice.values)
    if widest.klass is not None:
        where += f", class {widest.klass}"
    unit = "each cluster counted once" if counted.clusters is not None else "if rows are independent"
    best = min(number for number, _ in gaps)
    yield (
        f"{what}: the smallest gap that a slice could show (80% power, the rest at "
        f"{percent(SUPPOSED)}, {unit}) is {percent(round(best, 3))} at best and "
        f"{percent(round(gap, 3))} at worst ({where})."
    )


def _usual_targets(metric: str, counted: CountedLog) -> list[Target]:
    """What a rule on a gap of the metric would look at: every value of every attribute, every class."""
    if METRICS[metric].needs_negatives and not counted.space.negatives:
        return []
    names = [summary.attribute.name for summary in counted.attributes]
    if not names:
        return []
    rule = Rule(id=metric, metric=metric, gap_at_most=0.0, attributes=names)
    return [
        Target(rule, "gap", 0.0, item.slice, klass, "complement")
        for item in counted.slices
        if item.slice.order == 1 and item.slice.values[0][1] is not None
        for klass in counted.space.classes
    ]


def smallest_gap(target: Target, counts: SliceCounts, counted: CountedLog, confidence: float) -> float | None:
    """The smallest gap to the comparator that this slice could have shown, from its denominators alone.

    The rates themselves are not looked at: a plan must not depend on the answer. How alike the rows
    of a cluster are shows only in the rates, so that a cluster is counted as one row here.

    Parameters
    ----------
    target : Target
        Compared with the reference that its rule names, else with the complement.
    counts : SliceCounts
        Of the target's slice.
    counted : CountedLog
    confidence : float
    """
    cells = DENOMINATORS.get(target.rule.metric or "")
    if cells is None or target.klass not in counted.space.classes:
        return None
    reference = None
    if target.against not in (None, "complement"):
        reference = Slice(((target.slice.attributes[0], target.against),))
    other = next((item for item in counted.slices if item.slice == reference), None)
    if reference is not None and other is None:
        return None
    row = counted.space.classes.index(target.klass)

    def of(table: NDArray[np.generic]) -> NDArray[np.float64]:
        """The denominator of a table, or of many (multi-class: one-vs-rest)."""
        return np.asarray(
            counted.space.confusion(table)[..., row, :][..., list(cells)].sum(-1), dtype=np.float64
        )

    rows = [int(of(counts.inside)), int(of(counts.outside if other is None else other.inside))]
    effective = [float(n) for n in rows]
    if counts.weighted is not None:
        outside = (
            (counts.weighted.outside, counts.weighted.outside_squares)
            if other is None or other.weighted is None
            else (other.weighted.inside, other.weighted.inside_squares)
        )
        pairs = ((counts.weighted.inside, counts.weighted.inside_squares), outside)
        effective = [_kish(float(of(total)), float(of(squares))) for total, squares in pairs]
    if counted.clusters is not None and counted.patterns is not None:
        patterns = counted.patterns(target.slice, reference)
        contributes = of(patterns.totals) > 0
        clusters = (contributes * patterns.multiplicity[:, None]).sum(axis=0)
        effective = [min(n, float(m)) for n, m in zip(effective, clusters, strict=True)]
    if min(effective) <= 0:
        return None
    inside, outside_arm = (Arm(SUPPOSED, n, effective=size) for n, size in zip(rows, effective, strict=True))
    return detectable_gap(inside, outside_arm, confidence=confidence)


def _kish(total: float, squares: float) -> float:
    """Rows that so many weighted rows are worth (Kish 1965)."""
    return total**2 / squares if squares > 0 else 0.0


def _concept_lines(loaded: Loaded) -> Iterator[str]:
    model, concepts = loaded.config.model, loaded.config.concepts
    if model is None or concepts is None:
        return
    classes = concepts.classes or model.outputs
    tests = len(concepts.concept) * len(classes) * len(model.layers)
    yield (
        f"Concepts: {len(concepts.concept)} x {len(classes)} classes x {len(model.layers)} layers = {tests} "
        f"tests against {concepts.pseudo_concepts} pseudo-concepts."
    )
    for item in concepts.concept:
        if item.folder is not None:
            yield f"Concept {item.name}: {_files(loaded.root / item.folder):,} files."
    if concepts.random is not None:
        yield f"Random pool: {_files(loaded.root / concepts.random):,} files."


def _files(folder: Path) -> int:
    return sum(path.is_file() and not path.name.startswith(".") for path in folder.rglob("*"))
