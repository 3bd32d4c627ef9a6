"""Targets: what each rule of the policy is applied to, once the log has been counted.

A rule becomes one target for each slice and class that it names. The targets that need an
interval are the family over which the simultaneous limits hold. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from audit.config import Policy, Rule
from audit.errors import InputError
from audit.metric_names import POOLED_METRICS, POOLED_RECORD_METRICS
from slices.counts import CountedLog
from slices.records import Quantity, Tested
from slices.said import say
from slices.slicing import OVERALL, Slice

RuleKind = Literal["floor", "ceiling", "gap", "ratio", "missing_predictions", "concept"]
Unavailable = Literal["not_enough_data", "not_tested"]
# A slice, and why there is nothing to judge in it, if so.
Found = tuple[Slice, tuple[Unavailable, str] | None]


@dataclass(frozen=True, slots=True)
class Target:
    """One rule at one slice and class.

    ``unavailable`` says why there is nothing to judge: the outcome and its reason.
    """

    rule: Rule
    kind: RuleKind
    limit: float
    slice: Slice
    klass: str | None
    against: str | None
    unavailable: tuple[Unavailable, str] | None = None

    @property
    def tested(self) -> Tested | None:
        """The quantity whose limits are needed; None where there is none (failed predictions, no slice)."""
        if self.unavailable is not None or self.rule.metric is None:
            return None
        return Tested(self.slice, self.klass, self.rule.metric, quantity(self.kind), self.against)


def kind_of(rule: Rule) -> tuple[RuleKind, float | None]:
    """The kind of a rule and its limit (a concept rule's margin, which may be missing)."""
    if rule.concept is not None:
        return "concept", rule.margin
    if rule.at_least is not None:
        return "floor", rule.at_least
    if rule.at_most is not None:
        return "ceiling", rule.at_most
    if rule.gap_at_most is not None:
        return "gap", rule.gap_at_most
    if rule.ratio_at_least is not None:
        return "ratio", rule.ratio_at_least
    return "missing_predictions", rule.max_missing_predictions


def quantity(kind: RuleKind) -> Quantity:
    """What a rule of this kind limits."""
    if kind == "gap":
        return "difference"
    return "ratio" if kind == "ratio" else "value"


def targets(policy: Policy, counted: CountedLog) -> tuple[Target, ...]:
    """Every slice and class that every rule on metrics names, in the policy's order.

    Raises
    ------
    InputError
        A rule names a class that the log does not have, or a metric that such a log does not have.
    """
    found: list[Target] = []
    for rule in policy.rules:
        kind, limit = kind_of(rule)
        if kind == "concept" or limit is None:
            continue
        classes = _classes(rule, counted)
        against = (rule.against or "complement") if kind in ("gap", "ratio") else None
        for where, unavailable in _slices(rule, counted):
            # What no slice was found for is said once, not once for every class.
            nowhere = unavailable is not None and unavailable[0] == "not_tested" and len(classes) > 1
            found += [
                Target(rule, kind, limit, where, klass, against, unavailable)
                for klass in ((None,) if nowhere else classes)
            ]
    return tuple(found)


def family(found: Sequence[Target]) -> tuple[Tested, ...]:
    """The quantities that the policy tests, each once, in the targets' order."""
    return tuple(dict.fromkeys(tested for target in found if (tested := target.tested) is not None))


def _classes(rule: Rule, counted: CountedLog) -> tuple[str | None, ...]:
    space = counted.space
    known = [name for name in space.classes if name is not None]
    if rule.classes is not None:
        if not known:
            raise InputError(
                f"Rule '{rule.id}' names classes, but the log is {space.task}: take 'classes' away."
            )
        for name in rule.classes:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ""
                raise InputError(
                    f"Rule '{rule.id}' names class '{name}', which is not in the log; it has: "
                    f"{', '.join(known)}.{hint}"
                )
    if rule.metric is None:
        return (None,)
    if rule.metric in POOLED_METRICS:
        if not known:
            raise InputError(
                f"Rule '{rule.id}': {rule.metric} averages over classes, but the log is {space.task}; "
                f"use {rule.metric.partition('_')[2]}."
            )
        if rule.classes is not None:
            raise InputError(
                f"Rule '{rule.id}': {rule.metric} averages over all classes: take 'classes' away."
            )
        return (None,)
    if rule.classes is not None:
        return tuple(rule.classes)
    if space.task == "multiclass" and rule.metric in POOLED_RECORD_METRICS:
        # People mean the accuracy over all classes; one class's own is asked for by `classes`.
        return (None,)
    return space.classes


def _slices(rule: Rule, counted: CountedLog) -> Iterator[Found]:
    """The slices that a rule names, each with the reason why it cannot be judged, if any.

    Every group of attributes gives at least one: a rule that finds nothing must say so.
    """
    if rule.overall:
        yield OVERALL, None
    for group in [*([name] for name in rule.attributes), *rule.intersections]:
        names = tuple(sorted(group))
        found = [*_group(rule, names, counted), *_uncrossed(rule, names, counted)]
        yield from found or [(OVERALL, ("not_tested", _why_none(rule, names, counted)))]
    for values in rule.slices:
        yield _named(Slice(tuple(sorted(values.items()))), counted)


def _group(rule: Rule, names: tuple[str, ...], counted: CountedLog) -> Iterator[Found]:
    known = {summary.attribute.name for summary in counted.attributes}
    absent = [name for name in names if name not in known]
    if absent:
        yield (
            OVERALL,
            ("not_tested", say("untested.attribute", "The log has no attribute “{name}”.", name=absent[0])),
        )
        return
    reference = _reference(rule)
    if reference is not None:
        summary = next(item for item in counted.attributes if item.attribute.name == names[0])
        if reference not in dict(summary.values):
            yield (
                OVERALL,
                (
                    "not_tested",
                    say(
                        "untested.reference",
                        "No row has the reference value “{value}” of {name}.",
                        name=names[0],
                        value=reference,
                    ),
                ),
            )
            return
    small = _small(counted)
    present = {item.slice: None for item in counted.slices if item.slice.attributes == names}
    listed = {
        where: rows for where, rows in small.items() if where.attributes == names and where not in present
    }
    for where in sorted(
        [*present, *listed], key=lambda item: [(value is None, value or "") for _, value in item.values]
    ):
        if not rule.include_missing and any(value is None for _, value in where.values):
            continue
        if reference is not None and where.values[0][1] == reference:
            continue  # the reference is not compared with itself
        yield where, _too_small(listed[where]) if where in listed else None


def _uncrossed(rule: Rule, names: tuple[str, ...], counted: CountedLog) -> Iterator[Found]:
    """Values below ``[slices] minimum``: the counting forms no crossing with them."""
    if len(names) < 2:
        return
    for where, rows in _small(counted).items():
        if where.order != 1 or where.attributes[0] not in names:
            continue
        if not rule.include_missing and where.values[0][1] is None:
            continue
        others = [name for name in names if name != where.attributes[0]]
        yield where, _too_small_to_cross(where, rows, others)


def _why_none(rule: Rule, names: tuple[str, ...], counted: CountedLog) -> str:
    """Why a group of attributes that the log has gives no slice to judge."""
    reference = _reference(rule)
    if reference is not None:
        return say(
            "untested.only_reference",
            "{name} has no value but the reference “{value}”: there is nothing to compare with it.",
            name=names[0],
            value=reference,
        )
    for summary in counted.attributes:
        if summary.attribute.name in names and not summary.values:
            return say(
                "untested.all_missing",
                "“{name}” is missing in every row, and the rule does not ask for the cases without it.",
                name=summary.attribute.name,
            )
    return say("untested.each", "No row has a value of each of {names: and }.", names=names)


def _reference(rule: Rule) -> str | None:
    """The value that a rule names to compare with; None where it is the complement, or nothing."""
    return None if rule.against == "complement" else rule.against


def _named(where: Slice, counted: CountedLog) -> Found:
    known = {summary.attribute.name: dict(summary.values) for summary in counted.attributes}
    for name, value in where.values:
        if name not in known:
            return where, (
                "not_tested",
                say("untested.attribute", "The log has no attribute “{name}”.", name=name),
            )
        if value not in known[name]:
            return where, (
                "not_tested",
                say(
                    "untested.value", "No row has the value “{value}” of {name}.", name=name, value=str(value)
                ),
            )
    if any(item.slice == where for item in counted.slices):
        return where, None
    small = _small(counted)
    if where in small:
        return where, _too_small(small[where])
    for pair in where.values:
        alone = Slice((pair,))
        if alone in small:
            others = [name for name in where.attributes if name != pair[0]]
            return where, _too_small_to_cross(alone, small[alone], others)
    return where, ("not_tested", say("untested.together", "No row has these values together."))


def _small(counted: CountedLog) -> dict[Slice, int]:
    """Slices below ``[slices] minimum``, with their rows."""
    return {item.slice: item.rows for item in counted.small}


def _too_small(rows: int) -> tuple[Unavailable, str]:
    return "not_enough_data", say(
        "untested.small", "The slice has {rows:,} rows, fewer than the configured minimum.", rows=rows
    )


def _too_small_to_cross(alone: Slice, rows: int, others: list[str]) -> tuple[Unavailable, str]:
    name, value = alone.values[0]
    shown = say("untested.missing", "{name} missing", name=name) if value is None else f"{name}: {value}"
    return (
        "not_enough_data",
        say(
            "untested.crossings",
            "The crossings of {value} with {others: and } were not computed: the value has "
            "{rows:,} rows, fewer than the configured minimum.",
            value=shown,
            others=others,
            rows=rows,
        ),
    )
