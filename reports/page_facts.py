"""Facts of page one: what was audited on which data, who is to sign, and what the report does not show."""

from __future__ import annotations

from dataclasses import dataclass

from reports.canvas import shorten
from reports.page_measures import BODY
from reports.phrases import Phrases, estimate_of, visible


@dataclass(frozen=True, slots=True)
class Fact:
    """A term and its text; ``written`` by people, so in no known language."""

    term: str
    text: str
    written: bool = False


def facts(p: Phrases, width: float) -> tuple[Fact, ...]:
    """Model, version, purpose, threshold, test set and dates."""
    data, subject, t = p.evidence.data, p.evidence.subject, p.t
    path = log_path(p)
    rows = p.count(data.rows)
    if p.cluster is not None and data.clusters is not None:
        test = t(
            "page1.test_set_clusters",
            path=path,
            rows=rows,
            clusters=p.count(data.clusters),
            cluster=visible(p.cluster),
        )
    elif p.records is not None and "id" in data.roles:
        test = t(
            "page1.test_set_records_id",
            path=path,
            records=p.count(p.records),
            id=visible(data.roles["id"]),
            rows=rows,
        )
    elif p.records is not None:
        test = t("page1.test_set_records", path=path, records=p.count(p.records), rows=rows)
    else:
        test = t("page1.test_set_value", path=path, rows=rows)
    if data.name:
        test = t("page1.test_set_named", name=visible(data.name), test=test)
    if data.threshold is not None:
        threshold = t(
            "page1.threshold_value", tie=data.tie or ">=", threshold=p.limit(data.threshold, "number")
        )
    else:
        threshold = t("page1.no_threshold")
    collected = t("number.to").join(visible(day) for day in data.collected or []) or t("document.not_stated")
    found = [
        (t("page1.purpose"), stated(p, subject.purpose)),
        (t("page1.test_set"), test),
        (t("page1.version"), stated(p, subject.version)),
        (t("page1.threshold"), threshold),
        (t("page1.collected"), collected),
        (t("page1.audited"), visible(subject.date) if subject.date else t("document.not_stated")),
    ]
    wide, narrow = width - 76.0, (width - 4 * 10) / 4
    return tuple(
        Fact(
            term,
            shorten(text, wide if i < 2 else narrow, 2, BODY),
            written=i == 0 and text != t("document.not_stated"),
        )
        for i, (term, text) in enumerate(found)
    )


def log_path(p: Phrases) -> str:
    """Where the log was read from: its path, or its first file's and how many more."""
    logs = [item for item in p.evidence.run.inputs if item.role == "log"]
    path = visible(logs[0].path) if logs else p.t("document.not_stated")
    return p.t("page1.files", path=path, count=len(logs) - 1) if len(logs) > 1 else path


def signers(p: Phrases) -> tuple[tuple[str, str, bool], ...]:
    """Who is to sign, by role and name, and whether the configuration names them."""
    named = p.evidence.report.sign_off
    if named:
        return tuple((visible(item.role), visible(item.name or ""), True) for item in named)
    return ((p.t("page1.owner"), "", False), (p.t("page1.reviewer"), "", False))


def stated(p: Phrases, text: str) -> str:
    """A text of the configuration; its default is the catalogue's own words."""
    return p.t("document.not_stated") if text in ("", "not stated") else visible(text)


def unshown(p: Phrases) -> list[str]:
    """Generated facts on what the report cannot show, the gravest first."""
    e, t = p.evidence, p.t
    facts: list[str] = [visible(a.sentence) for a in e.data.associations[:2]]
    missing = sorted((a for a in e.data.attributes if a.missing), key=lambda a: -a.missing)
    facts += [
        t("unshown_fact.missing", attribute=visible(a.name), share=p.share(a.missing, e.data.rows))
        for a in missing[:2]
    ]
    if e.verdict.not_tested:
        lacking = list(dict.fromkeys(p.finding_group(f) for f in e.findings if f.outcome == "not_tested"))
        more = [t("unshown_fact.more", count=len(lacking) - 3)] if len(lacking) > 3 else []
        names = t.listed([*lacking[:3], *more])
        facts.append(t("unshown_fact.not_tested", count=e.verdict.not_tested, names=names))
    facts.append(reacts_to(p))
    facts += unjudged(p) + unjudged_classes(p)
    if e.policy.family > 1 and not any(r.simultaneous for r in e.results.slices):
        facts.append(t("unshown_fact.no_correction"))
    if p.cluster is None:
        facts.append(
            t("unshown_fact.no_clusters" if p.records is None else "unshown_fact.no_clusters_records")
        )
    left_out = [x for x in e.data.excluded if not x.slice and x.rows and x.of == "figures"]
    if left_out:
        reasons = [t("unshown_fact.reason", rows=p.count(x.rows), reason=visible(x.reason)) for x in left_out]
        total = p.count(sum(x.rows for x in left_out))
        facts.append(
            t("unshown_fact.excluded", rows=total, total=p.count(e.data.rows), reasons=t.listed(reasons))
        )
    facts.append(t("unshown_fact.only_log"))
    if e.data.small_slices:
        facts.append(t("unshown_fact.small", count=len(e.data.small_slices)))
    return facts


def reacts_to(p: Phrases) -> str:
    """The concepts that are shown to drive a class, at most three by name, and what that does not show."""
    drive = list(
        dict.fromkeys(
            p.t("group.concept", concept=visible(c.concept), klass=p.klass(c.klass))
            for c in p.evidence.results.concepts
            if c.verdict == "drives" and not c.slice
        )
    )
    if not p.evidence.results.concepts:
        return p.t("unshown_fact.no_concepts")
    if not drive:
        return p.t("unshown_fact.concepts")
    more = [p.t("unshown_fact.more", count=len(drive) - 3)] if len(drive) > 3 else []
    return p.t("unshown_fact.concepts_drive", concepts=p.t.listed([*drive[:3], *more]))


def unjudged(p: Phrases) -> list[str]:
    """The largest gap between groups that no rule looks at, and how many more are shown to be there."""
    gaps = p.unjudged_gaps
    if not gaps or not p.evidence.policy.rules:
        return []
    sure = [gap for gap in gaps if gap.low is not None and gap.low > 0]
    first = gaps[0]
    scale = p.difference_scale(first.metric)
    text = p.t(
        "unshown_fact.unjudged" if sure else "unshown_fact.unjudged_open",
        metric=p.metric(first.metric),
        attribute=p.gap_name(first),
        highest=p.value(first.attribute, first.highest),
        lowest=p.value(first.attribute, first.lowest),
        value=p.number(first.value, scale, (0.0,)),
        interval=p.interval(first.low, first.high, scale, (0.0,)),
    )
    if len(sure) > 1:
        text = f"{text} {p.t('unshown_fact.unjudged_more', count=len(sure) - 1)}"
    return [text]


def unjudged_classes(p: Phrases) -> list[str]:
    """How far recall differs between the classes, where no rule looks at a class."""
    if not p.several_classes or not p.evidence.policy.rules:
        return []
    if any(finding.klass is not None and finding.concept is None for finding in p.evidence.findings):
        return []
    found = [
        (estimate.value, record)
        for record in p.evidence.results.overall
        if record.klass is not None and (estimate := estimate_of(record, "recall")) is not None
        and estimate.value is not None
    ]  # fmt: skip
    if len(found) < 2:
        return []
    (low, lowest), (high, highest) = min(found, key=lambda f: f[0]), max(found, key=lambda f: f[0])
    return [
        p.t(
            "unshown_fact.classes",
            low=p.number(low, "percent"),
            lowest=p.klass(lowest.klass),
            high=p.number(high, "percent"),
            highest=p.klass(highest.klass),
        )
    ]


def predates(p: Phrases) -> str:
    """Whether the policy predates the data: only a lock of it that had not seen the log shows so."""
    lock, policy = p.evidence.policy.lock, p.evidence.policy
    if lock and lock.get("sha256") == policy.sha256 and lock.get("log") == "not_seen" and lock.get("date"):
        return p.t(
            "verdict.fixed",
            date=visible(lock["date"]),
            who=visible(lock.get("signed_by", p.t("document.not_stated"))),
        )
    return p.t("verdict.not_fixed")
