"""Overall results: every metric of all cases; with classes, a row a class and the pooled figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.evidence import SliceRecord
from reports.phrases import Phrases, visible
from reports.sections import Figure, figure_of

BODY = ("precision", "recall", "fpr")
MOST_METRICS = 5  # columns of the classes' table: as many numbers with their intervals as a page is wide


@dataclass(frozen=True, slots=True)
class NamedFigure:
    """A metric's figure."""

    metric: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class, all cases together."""

    name: str
    raw: str
    cases: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class ClassTable:
    """One row a class."""

    metrics: tuple[str, ...]
    rows: tuple[ClassRow, ...]


@dataclass(frozen=True, slots=True)
class ConfusionTable:
    """Labels down, predictions across; each cell its rows and how dark it stands (0 to 4)."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int, bool], ...]], ...]  # label, cells: text, shade, right


@dataclass(frozen=True, slots=True)
class Overall:
    """``counts`` and ``classes`` exclude each other; ``figures`` are empty where nothing was pooled."""

    counts: str
    classes: ClassTable | None
    confusion: ConfusionTable | None
    figures: tuple[NamedFigure, ...]
    in_use: tuple[str, ...]


def overall(p: Phrases) -> Overall:
    """All cases together."""
    records = p.evidence.results.overall
    pooled = next((record for record in records if record.klass is None), None)
    by_class = [record for record in records if record.klass is not None]
    counts = pooled.counts if pooled is not None else None
    return Overall(
        counts=""
        if counts is None
        else p.t(
            "overall.counted",
            tp=p.count(counts.tp),
            fp=p.count(counts.fp),
            fn=p.count(counts.fn),
            tn=p.count(counts.tn),
        ),
        classes=class_table(p, by_class) if by_class else None,
        confusion=confusion_table(p),
        figures=()
        if pooled is None
        else tuple(NamedFigure(p.metric(e.metric), figure_of(p, pooled, e.metric)) for e in pooled.estimates),
        in_use=in_use(p),
    )


def confusion_table(p: Phrases) -> ConfusionTable | None:
    """Labels against predictions, in the order of the classes; shaded by the share of the label's row."""
    found = p.evidence.results.confusion
    if found is None:
        return None
    order = sorted(range(len(found.classes)), key=lambda i: p.class_places.get(found.classes[i], i))
    names = [p.klass(found.classes[i]) for i in order]
    other = any(found.other)
    rows = []
    for i, name in zip(order, names, strict=True):
        counts = [found.counts[i][j] for j in order] + ([found.other[i]] if other else [])
        total = sum(counts) or 1
        shades = [0 if n == 0 else 1 + min(3, int(4 * n / total)) for n in counts]
        cells = [
            (p.count(n), shade, k == order.index(i))
            for k, (n, shade) in enumerate(zip(counts, shades, strict=True))
        ]
        rows.append((name, tuple(cells)))
    return ConfusionTable(tuple(names) + ((p.t("overall.other"),) if other else ()), tuple(rows))


def in_use(p: Phrases) -> tuple[str, ...]:
    """Precision and negative predictive value at the stated prevalence of use, a sentence each."""
    sentences = []
    for item in p.evidence.results.at_prevalence:
        if item.slice:
            continue
        name = p.metric(item.metric)
        if item.klass is not None:
            name = p.t("group.joiner").join([name, p.t("group.class", name=p.klass(item.klass))])
        share = p.limit(item.prevalence, "percent")
        if item.value is None:
            reason = visible(item.undefined or "")
            sentences.append(p.t("overall.in_use_undefined", metric=name, share=share, reason=reason))
            continue
        interval = p.interval(item.low, item.high, "percent")
        value = p.t("findings.value", value=p.number(item.value, "percent"), interval=interval)
        sentences.append(p.t("overall.in_use", metric=name, share=share, value=value))
    return tuple(sentences)


def class_metrics(p: Phrases, records: Sequence[SliceRecord]) -> list[str]:
    """What rules judge by class, then precision, recall and the false-positive rate, as far as they exist."""
    have = {estimate.metric for record in records for estimate in record.estimates}
    judged = [f.metric for f in p.evidence.findings if f.klass is not None and f.metric is not None]
    wanted = dict.fromkeys([*(m for m in p.policy_metrics if m in judged), *BODY])
    return [metric for metric in wanted if metric in have][:MOST_METRICS]


def class_table(p: Phrases, records: Sequence[SliceRecord]) -> ClassTable:
    """One row a class: its cases, how many of them are of the class, and the metrics of the body."""
    metrics = class_metrics(p, records)
    return ClassTable(
        metrics=tuple(p.metric(metric) for metric in metrics),
        rows=tuple(
            ClassRow(
                name=p.klass(record.klass),
                raw=p.raw_class(record.klass),
                cases=p.count(record.n)
                if record.counts is None
                else p.t(
                    "overall.class_count",
                    cases=p.count(record.n),
                    positives=p.count(record.counts.tp + record.counts.fn),
                ),
                figures=tuple(figure_of(p, record, metric) for metric in metrics),
            )
            for record in records
        ),
    )


def meanings(p: Phrases) -> tuple[str, ...]:
    """One sentence for each metric that the document prints; one for all averages over classes."""
    records = p.evidence.results.overall
    by_class = [record for record in records if record.klass is not None]
    printed = [
        *p.policy_metrics,
        *(class_metrics(p, by_class) if by_class else ()),
        *(e.metric for record in records if record.klass is None for e in record.estimates),
    ]
    plain = dict.fromkeys(p.base(metric)[1] for metric in printed)
    sentences = [sentence for metric in plain if (sentence := p.sentence(metric, p.meaning(metric)))]
    if any(p.base(metric)[0] for metric in printed):
        sentences.append(p.t("metric_average.sentence"))
    return tuple(sentences)
