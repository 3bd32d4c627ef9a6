"""Since: what changed since the previous release, from the evidence of both.

Belongs here: reading the previous evidence, and which of its parts are held against the new ones.
Does not: anything about one release alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from typing import Literal, TypeVar

from audit.config import Loaded
from audit.errors import InputError
from audit.since_figures import compare, metrics, records, slice_key
from audit.wording import listed
from reports.errors import EvidenceError
from reports.evidence import (
    CheckSince,
    ConceptReading,
    ConceptRecord,
    ConceptSince,
    Evidence,
    Finding,
    Reading,
    RuleSince,
    SettingName,
    SettingSince,
    Since,
    SliceRecord,
    SliceSince,
    read_evidence,
)
from slices.counts import CountedLog

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")

# First words of the roles whose columns make the figures.
READ = ("label", "prediction", "score", "class", "detection", "weight", "cluster")
GRAVITY = ("fails", "cannot_tell", "not_enough_data", "not_tested", "meets")


@dataclass(frozen=True, slots=True)
class Previous:
    """The previous release's evidence as read; ``path`` as configured."""

    evidence: Evidence
    path: str
    sha256: str


def read_previous(loaded: Loaded) -> Previous | None:
    """The evidence of the previous release; None where the configuration names none.

    Raises
    ------
    InputError
        The file cannot be read, is no evidence, or follows a later schema.
    """
    path = loaded.config.report.previous
    if path is None:
        return None
    full = loaded.root / path
    try:
        evidence = read_evidence(full)
    except EvidenceError as error:
        raise InputError(f"[report] previous: {str(error).replace(str(full), path)}") from error
    return Previous(evidence, path, sha256(full.read_bytes()).hexdigest())


def refuse_unrelated(previous: Previous, counted: CountedLog) -> None:
    """Refuse evidence that cannot be compared with this log, before the work begins.

    Raises
    ------
    InputError
        Another task, another positive class, or no class in common.
    """
    then = previous.evidence.data
    classes = [name for name in counted.space.classes if name is not None]
    where = f"[report] previous '{previous.path}' cannot be compared with this run"
    if then.task != counted.space.task:
        raise InputError(f"{where}: it is of a {then.task} log, this one is {counted.space.task}.")
    if then.positive != counted.positive:
        raise InputError(
            f"{where}: its positive class is '{then.positive}', here it is '{counted.positive}'."
        )
    if then.classes and not set(then.classes) & set(classes):
        raise InputError(
            f"{where}: it has the classes {listed(then.classes[:10])}, this log {listed(classes[:10])}."
        )


def since(previous: Previous, now: Evidence) -> Since:
    """What changed from the previous evidence to this one.

    Raises
    ------
    InputError
        The two have no metric in common.
    """
    then = previous.evidence
    data = data_of(then, now)
    found = compare(then, now, one_log=data == "same_log")
    if found is None:
        raise InputError(
            f"[report] previous '{previous.path}' cannot be compared with this run: it has none of the "
            f"metrics {listed(metrics(now))}."
        )
    return Since(
        name=then.subject.name,
        version=then.subject.version,
        date=then.subject.date,
        sha256=previous.sha256,
        verdict=then.verdict,
        policy_sha256=then.policy.sha256,
        data=data,
        rows_used=then.data.rows_used,
        rules=rules(then, now),
        settings=settings(then, now),
        checks=checks(then, now),
        appeared=only_in(now, then),
        vanished=only_in(then, now),
        level=now.run.confidence,
        joint_level=found.joint_level,
        compared=found.number,
        figures=found.told,
        concepts=concepts(then, now),
    )


def data_of(then: Evidence, now: Evidence) -> Literal["same_log", "alike", "different"]:
    """Whether both read one log by the same columns, two that are alike in every group, or different ones."""

    def read(evidence: Evidence) -> tuple[set[str], dict[str, str]]:
        files = {item.sha256 for item in evidence.run.inputs if item.role == "log"}
        columns = {role: name for role, name in evidence.data.roles.items() if role.split()[0] in READ}
        return files, columns

    if read(then) == read(now):
        return "same_log"
    if then.data.rows != now.data.rows:
        return "different"
    before = records(then)
    pairs = [(before[key], record) for key, record in records(now).items() if key in before]
    alike = bool(pairs) and all(_labels(a) == _labels(b) for a, b in pairs)
    return "alike" if alike else "different"


def _labels(record: SliceRecord) -> tuple[int, ...]:
    """Rows and labels of a record, failed predictions included where that is known."""
    counts = record.counts
    if counts is None or record.failed_predictions:
        return (record.n + record.failed_predictions,)
    return record.n, counts.tp + counts.fn, counts.fp + counts.tn


def pairs_of(
    then: Mapping[Key, Thing], now: Mapping[Key, Thing]
) -> list[tuple[Key, Thing | None, Thing | None]]:
    """Everything of both by key: (key, then, now), in the new order, what is gone last."""
    keys = dict.fromkeys([*now, *then])
    return [(key, then.get(key), now.get(key)) for key in keys]


def rules(then: Evidence, now: Evidence) -> list[RuleSince]:
    """Rules that were added, removed or changed; their wording alone is no change."""
    found = pairs_of({r.id: r for r in then.policy.rules}, {r.id: r for r in now.policy.rules})
    return [
        RuleSince(id=key, then=a, now=b)
        for key, a, b in found
        if a is None or b is None or a.model_dump(exclude={"sentence"}) != b.model_dump(exclude={"sentence"})
    ]


def settings(then: Evidence, now: Evidence) -> list[SettingSince]:
    """What differs in the model and in how it was audited, the policy and the data apart."""

    def weights(evidence: Evidence) -> str | None:
        return next((item.sha256 for item in evidence.run.inputs if item.role == "weights"), None)

    asked: list[tuple[SettingName, float | str | None, float | str | None]] = [
        ("model", then.subject.name, now.subject.name),
        ("version", then.subject.version, now.subject.version),
        ("weights", weights(then), weights(now)),
        ("threshold", then.data.threshold, now.data.threshold),
        ("tie", then.data.tie, now.data.tie),
        ("weight", then.data.roles.get("weight"), now.data.roles.get("weight")),
        ("cluster", then.data.roles.get("cluster"), now.data.roles.get("cluster")),
        ("confidence", then.run.confidence, now.run.confidence),
        ("resamples", then.run.resamples, now.run.resamples),
        ("seed", then.run.seed, now.run.seed),
        ("xaudit", then.run.xaudit_version, now.run.xaudit_version),
    ]
    return [SettingSince(setting=name, then=a, now=b) for name, a, b in asked if a != b]


def checks(then: Evidence, now: Evidence) -> list[CheckSince]:
    """Checks with another outcome, and those of one release only that did not meet; worst first."""

    def by_key(evidence: Evidence) -> dict[Hashable, Finding]:
        return {
            (f.rule, f.kind, f.metric, f.against, f.concept, slice_key(f.slice), f.klass): f
            for f in evidence.findings
        }

    def grave(finding: Finding | None) -> int:
        return len(GRAVITY) if finding is None else GRAVITY.index(finding.outcome)

    found = []
    for _, a, b in pairs_of(by_key(then), by_key(now)):
        outcomes = [None if item is None else item.outcome for item in (a, b)]
        if outcomes[0] == outcomes[1] or outcomes in ([None, "meets"], ["meets", None]):
            continue
        known = b or a
        assert known is not None
        # A failure that is checked no more stands right after the failures of now.
        rank = (0.5 if a is not None and a.outcome == "fails" and b is None else grave(b), grave(a))
        found.append((rank, -_beyond(b), _check(known, a, b)))
    return [item for _, _, item in sorted(found, key=lambda entry: entry[:2])]


def _check(known: Finding, a: Finding | None, b: Finding | None) -> CheckSince:
    return CheckSince(
        rule=known.rule,
        kind=known.kind,
        slice=known.slice,
        klass=known.klass,
        metric=known.metric,
        concept=known.concept,
        against=known.against,
        then=_reading(a),
        now=_reading(b),
    )


def _reading(finding: Finding | None) -> Reading | None:
    if finding is None:
        return None
    return Reading(
        outcome=finding.outcome,
        limit=finding.limit,
        value=finding.value,
        low=finding.low,
        high=finding.high,
        layer=finding.layer,
    )


def _beyond(finding: Finding | None) -> float:
    """How far a value lies beyond its limit; values that are unknown come last."""
    if finding is None or finding.value is None or finding.limit is None:
        return float("-inf")
    if finding.kind in ("floor", "ratio"):
        return finding.limit - finding.value
    return (abs(finding.value) if finding.kind in ("gap", "concept") else finding.value) - finding.limit


def only_in(one: Evidence, other: Evidence) -> list[SliceSince]:
    """Slices that one evidence has and the other has not, without those that lie within another of them."""
    there = {slice_key(record.slice) for record in other.results.slices}
    rows: dict[frozenset[tuple[str, str | None]], SliceRecord] = {}
    for record in one.results.slices:
        key = slice_key(record.slice)
        if key not in there and (key not in rows or record.klass is None):
            rows[key] = record
    found = [
        SliceSince(slice=record.slice, n=record.n)
        for key, record in rows.items()
        if not any(part in rows for part in _parts(key))
    ]
    return sorted(found, key=lambda item: (len(item.slice), sorted(item.slice), -item.n))


def _parts(key: frozenset[tuple[str, str | None]]) -> list[frozenset[tuple[str, str | None]]]:
    """Every proper, not empty part of a slice's conditions."""
    return [frozenset(part) for size in range(1, len(key)) for part in combinations(key, size)]


def concepts(then: Evidence, now: Evidence) -> list[ConceptSince]:
    """Concept tests over all images whose answer changed, or that one release only has."""

    def by_key(evidence: Evidence) -> dict[tuple[str, str, str], ConceptRecord]:
        return {(c.concept, c.klass, c.layer): c for c in evidence.results.concepts if not c.slice}

    def reading(record: ConceptRecord | None) -> ConceptReading | None:
        if record is None:
            return None
        return ConceptReading(effect=record.effect, p_adjusted=record.p_adjusted, verdict=record.verdict)

    found = [
        ConceptSince(concept=key[0], klass=key[1], layer=key[2], then=reading(a), now=reading(b))
        for key, a, b in pairs_of(by_key(then), by_key(now))
        if a is None or b is None or a.verdict != b.verdict
    ]
    order = ("drives", "opposes", "no_effect_shown", "not_learnt")
    return sorted(found, key=lambda item: len(order) if item.now is None else order.index(item.now.verdict))
