"""Further checks: widest gaps, change since the baseline, what missing values and wrong labels could change.

Beside them predictive values at another prevalence, and impact ratios. Plain tables of figures that
the evidence holds; those that a run did not make are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.evidence import AtPrevalence, CorrectedFigure, Limits
from reports.phrases import Phrases, barriers_of, slice_key, visible
from reports.rounding import Scale, shown

MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts: the first column names the row, ``numbers`` columns from the right are figures."""

    id: str
    title: str
    intro: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int
    note: str


def tables(p: Phrases) -> tuple[Table, ...]:
    """The tables that this evidence has figures for."""
    made = (
        worst_gaps(p),
        changes(p),
        missing_bounds(p),
        failed_bounds(p),
        missing_gaps(p),
        breaking_points(p),
        corrected(p),
        corrected_checks(p),
        at_prevalence(p),
        *impacts(p),
    )
    return tuple(table for table in made if table.rows)


def table(
    p: Phrases,
    name: str,
    heads: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    numbers: int,
    *,
    title: str = "",
    intro: str = "",
) -> Table:
    """At most forty rows; what is left out is counted."""
    left = len(rows) - MOST_ROWS
    return Table(
        id=f"further-{name}",
        title=title or p.t(f"further.{name}"),
        intro=intro or p.t(f"further.{name}_intro"),
        heads=heads,
        rows=tuple(rows[:MOST_ROWS]),
        numbers=numbers,
        note=p.t("further.more", count=left) if left > 0 else "",
    )


def gap_scale(p: Phrases, metric: str) -> Scale:
    return p.difference_scale(metric)


def worst_gaps(p: Phrases) -> Table:
    """Each attribute's highest value less its lowest, the surest first, and the rules that look there."""
    t = p.t
    rows = []
    for gap in p.widest_gaps:
        scale = gap_scale(p, gap.metric)
        rules = t("list.comma").join(visible(rule) for rule in p.gap_rules(gap))
        rows.append(
            (
                p.gap_name(gap),
                p.metric(gap.metric),
                p.value(gap.attribute, gap.highest),
                p.value(gap.attribute, gap.lowest),
                rules or t("further.no_rule"),
                p.number(gap.value, scale),
                p.interval(gap.low, gap.high, scale),
            )
        )
    none = t("number.none")
    rows += [
        (p.gap_name(gap), p.metric(gap.metric), visible(gap.undefined or ""), "", none, none, none)
        for gap in p.evidence.results.worst_gaps
        if gap.value is None
    ]
    level = t("table.interval", level=p.level(p.evidence.run.confidence))
    heads = (
        t("data.attribute"),
        t("table.metric"),
        t("further.highest"),
        t("further.lowest"),
        t("further.looked_at"),
        t("further.gap"),
        level,
    )
    return table(p, "worst_gaps", heads, rows, 2)


def difference(p: Phrases, limits: Limits, metric: str) -> tuple[str, str]:
    scale = gap_scale(p, metric)
    value = p.t("number.none") if limits.value is None else p.number(limits.value, scale, (0.0,))
    return value, p.interval(limits.low, limits.high, scale, (0.0,))


def changes(p: Phrases) -> Table:
    """The model less its baseline on the same rows: all cases, then what got worse, large groups first."""
    t = p.t
    rank = {"worse": 0, "better": 1}
    found = sorted(
        p.evidence.results.changes, key=lambda c: (bool(c.slice), rank.get(c.change or "", 2), len(c.slice))
    )
    rows = []
    for change in found:
        word = (
            t(f"further.change.{change.change.replace(' ', '_')}")
            if change.change
            else visible(change.undefined or t("number.none"))
        )
        value, interval = difference(p, change.difference, change.metric)
        rows.append(
            (
                p.group(change.slice, change.klass),
                p.metric(change.metric),
                word,
                t("number.none") if change.n is None else p.count(change.n),
                value,
                interval,
                p.probability(change.p_value),
                p.probability(change.p_adjusted),
            )
        )
    level = t("table.interval", level=p.level(p.evidence.run.confidence))
    heads = (
        t("table.group"),
        t("table.metric"),
        t("table.result"),
        t("table.support"),
        t("table.difference"),
        level,
        t("concepts.p"),
        t("further.p_holm"),
    )
    tested = sum(change.p_value is not None for change in found)
    risk = p.level(round(1 - p.evidence.run.confidence, 12))
    intro = t("further.changes_intro", tests=p.count(tested), risk=risk)
    return table(p, "changes", heads, rows, 5, intro=intro)


def missing_bounds(p: Phrases) -> Table:
    """A slice's figure wherever the rows without a recorded value might belong; widest bounds first."""
    t = p.t

    def width(low: float | None, high: float | None) -> float:
        return 0.0 if low is None or high is None else high - low

    found = sorted(p.evidence.results.missing_bounds, key=lambda b: -width(b.lowest, b.highest))
    rows = []
    for bound in found:
        scale = p.scale(bound.metric)
        value = t("number.none") if bound.value is None else p.number(bound.value, scale)
        rows.append(
            (
                p.group(bound.slice, bound.klass),
                p.metric(bound.metric),
                p.count(bound.missing),
                value,
                p.interval(bound.lowest, bound.highest, scale),
                p.interval(bound.low, bound.high, scale),
            )
        )
    heads = (
        t("table.group"),
        t("table.metric"),
        t("further.missing"),
        t("table.value"),
        t("further.bounds"),
        t("further.with_chance"),
    )
    return table(p, "missing_bounds", heads, rows, 4)


def failed_bounds(p: Phrases) -> Table:
    """A slice's figure with its failed predictions counted as errors; what moves most first."""
    t = p.t
    every = p.evidence.results.failed_bounds
    found = sorted(every, key=lambda b: -abs((b.as_errors or 0.0) - (b.value or 0.0)))
    rows = []
    for bound in found:
        scale = p.scale(bound.metric)
        rows.append(
            (
                p.group(bound.slice, bound.klass),
                p.metric(bound.metric),
                p.count(bound.failed),
                t("number.none") if bound.value is None else p.number(bound.value, scale),
                t("number.none") if bound.as_errors is None else p.number(bound.as_errors, scale),
                p.interval(bound.low, bound.high, scale),
            )
        )
    heads = (
        t("table.group"),
        t("table.metric"),
        t("further.failed"),
        t("further.left_out"),
        t("further.as_errors"),
        t("table.interval", level=p.level(p.evidence.run.confidence)),
    )
    return table(p, "failed_bounds", heads, rows, 4)


def missing_gaps(p: Phrases) -> Table:
    """What the checks of gaps and ratios could be of, wherever the rows without a recorded value belong."""
    t = p.t
    known = {(slice_key(x.slice), x.klass, x.metric): x for x in p.evidence.results.missing_bounds}
    rows = []
    for finding in p.evidence.findings:
        bound = known.get((slice_key(finding.slice), finding.klass, finding.metric or ""))
        if bound is None or finding.kind not in ("gap", "ratio") or finding.against != "complement":
            continue
        found = bound.difference if finding.kind == "gap" else bound.ratio
        if found is None or found.lowest is None:
            continue
        scale: Scale = gap_scale(p, bound.metric) if finding.kind == "gap" else "number"
        limit = p.finding_limit(finding)
        barriers = barriers_of(finding.kind, finding.limit)
        rows.append(
            (
                p.group(bound.slice, bound.klass),
                p.metric(bound.metric),
                visible(finding.rule),
                p.count(bound.missing),
                limit,
                p.interval(found.lowest, found.highest, scale, barriers),
                p.interval(found.low, found.high, scale, barriers),
            )
        )
    heads = (
        t("table.group"),
        t("table.metric"),
        t("method.rule"),
        t("further.missing"),
        t("further.limit"),
        t("further.bounds"),
        t("further.with_chance"),
    )
    return table(p, "missing_gaps", heads, rows, 4)


def breaking_points(p: Phrases) -> Table:
    """How few wrong labels would undo a check that is met; the fewest first."""
    t = p.t
    found = sorted(p.evidence.results.breaking_points, key=lambda b: b.wrong_labels)
    rows = [
        (
            p.group(x.slice, x.klass),
            p.metric(x.metric),
            visible(x.rule),
            p.count(x.wrong_labels),
            p.share(x.wrong_labels, x.rows),
        )
        for x in found
    ]
    heads = (t("table.group"), t("table.metric"), t("method.rule"), t("further.labels"), t("data.share"))
    return table(p, "breaking_points", heads, rows, 2)


def stated(p: Phrases) -> str:
    """The accuracy of the labels as stated: one, or one a class."""
    noise = p.evidence.results.label_noise
    return p.t("further.stated_joiner").join(
        p.t(
            "further.stated" if each.klass is None else "further.stated_class",
            name=p.klass(each.klass),
            sensitivity=p.limit(each.sensitivity, "percent"),
            specificity=p.limit(each.specificity, "percent"),
        )
        for each in (noise.stated if noise is not None else ())
    )


def corrected(p: Phrases) -> Table:
    """Figures against the truth under the stated accuracy of the labels; what moves most first."""
    t = p.t
    noise = p.evidence.results.label_noise

    def moved(figure: CorrectedFigure) -> float:
        if figure.value is None or figure.observed is None:
            return float("inf")
        return abs(figure.value - figure.observed)

    rows = []
    for x in sorted(noise.figures if noise is not None else (), key=lambda x: (x.slice != {}, -moved(x))):
        scale = p.scale(x.metric)
        if x.observed is None:
            continue
        value = t("further.contradiction") if x.value is None else p.number(x.value, scale)
        rows.append(
            (
                p.group(x.slice, x.klass),
                p.metric(x.metric),
                p.number(x.observed, scale),
                value,
                p.interval(x.low, x.high, scale),
                p.count(x.wrong_labels),
                p.interval(x.lowest, x.highest, scale),
            )
        )
    heads = (
        t("table.group"),
        t("table.metric"),
        t("further.as_labelled"),
        t("further.corrected_value"),
        t("table.interval", level=p.level(p.evidence.run.confidence)),
        t("further.labels"),
        t("further.worst_placed"),
    )
    return table(p, "corrected", heads, rows, 5, intro=t("further.corrected_intro", stated=stated(p)))


def corrected_checks(p: Phrases) -> Table:
    """What the checks would say; those that change first, then those that need the best labels."""
    t = p.t
    noise = p.evidence.results.label_noise
    checks = noise.checks if noise is not None else []
    rows = []
    for x in sorted(checks, key=lambda x: (x.corrected == x.outcome, -(x.breaking_accuracy or 0.0))):
        needed = t("number.none")
        if x.outcome == "meets":
            needed = t("further.any_accuracy")
            if x.breaking_accuracy is not None:
                needed = p.number(x.breaking_accuracy, "percent")
        rows.append(
            (
                p.group(x.slice, x.klass),
                p.metric(x.metric),
                visible(x.rule),
                p.word(x.outcome),
                p.word(x.corrected),
                needed,
            )
        )
    heads = (
        t("table.group"),
        t("table.metric"),
        t("method.rule"),
        t("further.as_labelled"),
        t("further.corrected_value"),
        t("further.needed_accuracy"),
    )
    changed = sum(x.corrected != x.outcome for x in checks)
    intro = t("further.corrected_checks_intro", count=changed, checks=p.count(len(checks)))
    if noise is not None and noise.unread:
        intro = f"{intro} {t('further.unread', count=noise.unread)}"
    return table(p, "corrected_checks", heads, rows, 1, intro=intro)


def at_prevalence(p: Phrases) -> Table:
    """Precision and negative predictive value moved to the stated prevalence of use, a row a group."""
    t = p.t
    every = sorted(p.evidence.results.at_prevalence, key=lambda x: p.order(x.slice, x.klass))
    metrics = list(dict.fromkeys(x.metric for x in every))
    groups: dict[tuple[str, str | None], dict[str, AtPrevalence]] = {}
    for x in every:
        groups.setdefault((slice_key(x.slice), x.klass), {})[x.metric] = x
    rows = []
    for found in groups.values():
        first = next(iter(found.values()))
        cells = [cell for metric in metrics for cell in predictive_value(p, found.get(metric))]
        rows.append((p.group(first.slice, first.klass), p.limit(first.prevalence, "percent"), *cells))
    level = t("table.interval", level=p.level(p.evidence.run.confidence))
    named = [head for metric in metrics for head in (p.metric(metric), level)]
    heads = (t("table.group"), t("further.prevalence"), *named)
    return table(p, "at_prevalence", heads, rows, len(heads) - 1)


def predictive_value(p: Phrases, item: AtPrevalence | None) -> tuple[str, str]:
    """A value with its interval; why there is none, where there is none."""
    if item is None or item.value is None:
        return p.t("number.none"), visible(item.undefined or "") if item is not None else ""
    return p.number(item.value, "percent"), p.interval(item.low, item.high, "percent")


def impacts(p: Phrases) -> tuple[Table, ...]:
    """Selection or scoring rates against the highest one, a table an attribute or crossing."""
    t = p.t
    made = []
    for i, impact in enumerate(p.evidence.results.impacts):
        names = t("list.comma").join(visible(name) for name in impact.attributes)
        rows = []
        for row in impact.rows:
            category = t("group.joiner").join(map(p.value, impact.attributes, row.category))
            if row.small:
                category = t("further.small", group=category)
            ratio = t("number.none")
            if row.printed is not None:
                ratio = shown(row.printed, scale="number", digits=2, style=t.style)
            rows.append(
                (
                    category,
                    p.count(row.number),
                    p.count(row.selected),
                    p.number(row.rate, "percent"),
                    ratio,
                    p.interval(row.low, row.high, "number", digits=2),
                )
            )
        level = t("table.interval", level=p.level(p.evidence.run.confidence))
        heads = (
            t("table.group"),
            t("table.rows"),
            t(f"further.{impact.rate}.number"),
            t(f"further.{impact.rate}.name"),
            t("table.ratio"),
            level,
        )
        title = t(f"further.{impact.rate}.title", attributes=names)
        if impact.klass is not None:
            title = t("group.joiner").join([title, t("group.class", name=p.klass(impact.klass))])
        intro = t(f"further.{impact.rate}.intro", median=p.number(impact.median, "number"))
        if impact.unknown:
            intro = f"{intro} {t('further.unknown', count=impact.unknown)}"
        if impact.justification is not None and any(row.small for row in impact.rows):
            reason = visible(impact.justification)
            intro = f"{intro} {t('further.justification', reason=reason)}"
        one = table(p, "impacts", heads, rows, 5, title=title, intro=intro)
        made.append(
            Table(f"{one.id}-{i + 1}", one.title, one.intro, one.heads, one.rows, one.numbers, one.note)
        )
    return tuple(made)
