"""The log: from files and roles to a counted log. The only module that knows all the steps."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

from slices.counting.counted import Counting, with_row
from slices.counting.engine import Progress, Scan, no_progress, scan
from slices.counting.identity import IdCheck
from slices.counting.images import ImageRows, read_images
from slices.counting.outcomes import outcome_roles
from slices.counting.rows import RowCollector
from slices.counts import CountedLog, InputFile
from slices.errors import EmptyLogError, LogError
from slices.reading.coding import (
    EXACT,
    CoderMaker,
    amount_columns,
    band_column,
    decision_column,
    text_column,
    too_large,
    weight_column,
)
from slices.reading.hashing import Hashing
from slices.reading.preview import ColumnDescription, column_names, describe
from slices.reading.sources import open_source
from slices.reading.text import NotANumberError
from slices.roles import Attribute, Decision, LogSpec
from slices.shared_columns import refuse_shared_columns
from slices.slicing import attribute_sets

__all__ = [
    "ColumnDescription",
    "ImageRows",
    "check_roles",
    "column_names",
    "count_log",
    "describe",
    "read_images",
]


MOST_PAIRS = 66  # of attributes (12) that are counted for their associations alone


def count_log(
    spec: LogSpec,
    *,
    intersections: int | tuple[tuple[str, ...], ...],
    minimum: int,
    threads: int | None = None,
    keep_scores: bool = False,
    progress: Progress = no_progress,
) -> CountedLog:
    """Read a prediction log once and count its slices.

    Parameters
    ----------
    spec : LogSpec
    intersections : int or tuple of tuples of attribute names
        1: single attributes; 2: all pairs too; 3: all triples too; or the crossings themselves.
    minimum : int
        Slices with fewer rows are listed in ``small`` and not computed. Crossings of a value
        that is below the minimum itself are not formed.
    threads : int, optional
        Default: the processors at hand, at most 8. Changes nothing but the time.
    keep_scores : bool
        Keep every row's score, for statistics that rank (``CountedLog.scores``).

    Raises
    ------
    LogError
        Bad input, told in one line.
    EmptyLogError
        No row is left to count.
    """
    check_roles(spec)
    source = open_source(spec.path, spec.root)
    source.require(named_columns(spec))
    names = [attribute.name for attribute in spec.attributes]
    crossings = attribute_sets(names, intersections)
    required = [frozenset(names.index(name) for name in crossing) for crossing in crossings]
    # Attributes that go together cannot be told apart, whether their crossings are slices or not.
    pairs = [pair for pair in combinations(sorted(names), 2) if pair not in crossings]
    beside = pairs if len(pairs) <= MOST_PAIRS else []
    wished = [frozenset(names.index(name) for name in pair) for pair in beside]
    collector = _collector(spec, keep_scores)
    ids = None if spec.id is None else IdCheck(spec.id, spec.klass, spec.missing)
    with Hashing(file.path for file in source.files) as hashes:
        try:
            found = scan(
                source.parts(),
                [_attribute_column(attribute, spec) for attribute in spec.attributes],
                _outcome_columns(spec),
                required,
                wished=wished,
                sinks=[sink for sink in (collector, ids) if sink is not None],
                threads=threads,
                progress=progress,
            )
        except NotANumberError as problem:
            raise with_row(source, problem.column, problem.text, str(problem)) from None
        _refuse_large_counts(spec, found)
        if found.rows == 0:
            raise EmptyLogError(f"Log '{spec.path}' has no rows; give one with predictions.")
        if ids is not None:
            ids.check(source)
        counted = Counting(spec, source, found, crossings, minimum, collector, beside=beside).counted_log()
        if counted.slices[0].failed.any() and spec.detection is None:
            worst = Counting(spec, source, found, crossings, minimum, collector, failed_as_errors=True)
            counted = replace(counted, failed_as_errors=worst.counted_log())
        inputs = tuple(InputFile(f.name, hashes.of(f.path), found.file_rows[f.name]) for f in source.files)
    return replace(counted, inputs=inputs, ignored=source.ignored)


def _refuse_large_counts(spec: LogSpec, found: Scan) -> None:
    """Refuse counts of images whose total the sums of the statistics would round.

    Raises
    ------
    LogError
    """
    if spec.detection is None:
        return
    total = sum(float(plan[0].n.sum(dtype=float)) for plan in found.plans if plan)
    if total >= EXACT:
        raise too_large(total)


def _collector(spec: LogSpec, keep_scores: bool) -> RowCollector | None:
    """What rows have to be kept for, if for anything."""
    score = spec.decision.score if keep_scores else None
    # One image has several rows in a multi-label log: pooled figures count and resample images.
    unit = spec.id if spec.klass is not None else None
    of_class = spec.decision.scores if keep_scores else None
    if not (spec.cluster or spec.weight or spec.detection or score or unit or of_class):
        return None
    return RowCollector(
        cluster=spec.cluster or unit,
        each_row=spec.detection is not None,
        unit=unit,
        weight=spec.weight,
        score=score,
        missing=spec.missing,
        class_scores=of_class,
    )


def check_roles(spec: LogSpec) -> None:
    """Refuse roles that contradict each other, before any file is opened.

    Raises
    ------
    LogError
    """
    if spec.detection is not None:
        _check_detection(spec)
    else:
        if spec.label is None:
            raise LogError("The log has no label column; set label to the column with the truth.")
        _check_decision(spec.decision, "prediction")
        if spec.baseline is not None:
            _check_decision(spec.baseline, "baseline")
        if spec.decision.scores is not None and (spec.positive is not None or spec.klass is not None):
            raise LogError(
                "scores (one score column a class) is for multi-class logs; leave out positive and class."
            )
    refuse_shared_columns(spec, _role_columns(spec))
    names = [attribute.name for attribute in spec.attributes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LogError(f"Attribute '{twice[0]}' is named twice; give each a name of its own.")
    for attribute in spec.attributes:
        cuts = attribute.bands
        if cuts is not None and (not cuts or any(b <= a for a, b in pairwise(cuts))):
            raise LogError(
                f"The bands of attribute '{attribute.name}' are {list(cuts)}; give ascending cut points."
            )
        if cuts is not None and any(abs(cut) >= EXACT for cut in cuts):
            raise LogError(
                f"The bands of attribute '{attribute.name}' are {list(cuts)}; whole numbers from 2^53 on are "
                "not told apart: give smaller cut points."
            )


def _check_detection(spec: LogSpec) -> None:
    decision = spec.decision
    others = {
        "label": spec.label,
        "prediction": decision.prediction or decision.score or decision.scores,
        "class": spec.klass,
        "baseline": spec.baseline,
        "weight": spec.weight,
    }
    given = [name for name, value in others.items() if value]
    if given:
        raise LogError(
            f"A detection log counts tp, fp and fn in each image; leave out {' and '.join(given)}."
        )


def _check_decision(decision: Decision, role: str) -> None:
    given = [n for n in ("prediction", "score", "scores") if getattr(decision, n) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise LogError(f"The {role} needs exactly one of prediction, score and scores; found {found}.")
    if decision.score is not None and (decision.threshold is None or decision.tie is None):
        missing = " and ".join(
            name
            for name, value in (("threshold", decision.threshold), ("tie", decision.tie))
            if value is None
        )
        raise LogError(
            f"Score '{decision.score}' has no {missing}; state threshold and tie ('>=' or '>'), "
            "which decide what counts as positive."
        )
    if decision.scores is not None and len(decision.scores) < 2:
        raise LogError("scores names fewer than two classes; give one score column for each class.")


def named_columns(spec: LogSpec) -> list[tuple[str, str]]:
    """Every column that the roles name, with the role as an error says it."""
    return [*_role_columns(spec), *((a.column, f"attribute '{a.name}'") for a in spec.attributes)]


def _role_columns(spec: LogSpec) -> list[tuple[str, str]]:
    """Those of every role but the attributes."""
    roles: list[tuple[str | None, str]] = [(spec.label, "label"), (spec.klass, "class")]
    roles += [(column, "prediction") for column in _decision_columns(spec.decision)]
    if spec.baseline is not None:
        roles += [(column, "baseline") for column in _decision_columns(spec.baseline)]
    if spec.detection is not None:
        roles += [(getattr(spec.detection, name), name) for name in ("tp", "fp", "fn", "tn")]
    roles += [(spec.cluster, "cluster"), (spec.weight, "weight"), (spec.id, "id")]
    return [(column, role) for column, role in roles if column is not None]


def _decision_columns(decision: Decision) -> list[str]:
    if decision.scores is not None:
        return [decision.scores[name] for name in sorted(decision.scores)]
    return [column for column in (decision.prediction, decision.score) if column is not None]


def _attribute_column(attribute: Attribute, spec: LogSpec) -> CoderMaker:
    if attribute.bands is not None:
        return band_column(attribute.column, attribute.bands, spec.missing)
    return text_column(attribute.column, spec.missing)


def _outcome_columns(spec: LogSpec) -> list[CoderMaker]:
    """Coders of the outcome columns, in the order of ``outcome_roles``."""
    makers = []
    for role in outcome_roles(spec):
        if role == "counts" and spec.detection is not None:
            makers.append(amount_columns(spec.detection, spec.missing))
        elif role == "label" and spec.label is not None:
            makers.append(text_column(spec.label, spec.missing))
        elif role == "class" and spec.klass is not None:
            makers.append(text_column(spec.klass, spec.missing))
        elif role == "weight" and spec.weight is not None:
            makers.append(weight_column(spec.weight, spec.missing))
        elif role == "baseline" and spec.baseline is not None:
            makers.append(decision_column(spec.baseline, spec.missing))
        else:
            makers.append(decision_column(spec.decision, spec.missing))
    return makers
