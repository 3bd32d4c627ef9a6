"""Tables: the evidence's estimates as one tidy table, for pandas, Parquet and CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reports.evidence import Evidence, SliceRecord

if TYPE_CHECKING:
    import pandas

# Column → its type in Arrow's words; None is null in each. One row a slice, class and metric.
COLUMNS: dict[str, str] = {
    "slice": "string",  # canonical JSON of the slice's attributes; {} is all cases
    "order": "int64",  # number of attributes
    "class": "string",
    "metric": "string",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "simultaneous_low": "float64",
    "simultaneous_high": "float64",
    "simultaneous_level": "float64",
    "support": "int64",
    "n": "int64",
    "clusters": "Int64",
    "effective": "float64",
    "method": "string",
    "undefined": "string",
    "difference": "float64",
    "difference_low": "float64",
    "difference_high": "float64",
    "ratio": "float64",
    "ratio_low": "float64",
    "ratio_high": "float64",
    "p_value": "float64",
    "p_adjusted": "float64",
    "outcome": "string",
}
OUTCOME_ORDER = ("fails", "cannot_tell", "not_enough_data", "not_tested", "meets")


def key_of(record: SliceRecord) -> str:
    """A slice as canonical JSON, attributes sorted by name."""
    return json.dumps(record.slice, ensure_ascii=False, sort_keys=True)


def rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """One row a slice × class × metric: overall first, then the slices in the evidence's order.

    ``difference`` and ``ratio`` are those against the complement. Each attribute has a column
    ``attribute:NAME`` (null: not part of the slice, or its value is missing; ``slice`` tells which).
    ``outcome`` is the gravest of the checks on this figure.
    """
    outcomes: dict[tuple[str, str | None, str], str] = {}
    for finding in evidence.findings:
        if finding.metric is None:
            continue
        name = (json.dumps(finding.slice, ensure_ascii=False, sort_keys=True), finding.klass, finding.metric)
        known = outcomes.get(name, finding.outcome)
        outcomes[name] = min(known, finding.outcome, key=OUTCOME_ORDER.index)
    names = [attribute.name for attribute in evidence.data.attributes]
    for record in [*evidence.results.overall, *evidence.results.slices]:
        key = key_of(record)
        joint = {s.metric: s for s in record.simultaneous if s.quantity == "value"}
        gaps = {d.metric: d for d in record.disparities if d.against == "complement"}
        for e in record.estimates:
            s, d = joint.get(e.metric), gaps.get(e.metric)
            yield {
                "slice": key,
                "order": len(record.slice),
                "class": record.klass,
                "metric": e.metric,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "simultaneous_low": s.low if s else None,
                "simultaneous_high": s.high if s else None,
                "simultaneous_level": s.level if s else None,
                "support": e.support,
                "n": record.n,
                "clusters": record.clusters if e.clusters is None else e.clusters,
                "effective": e.effective,
                "method": e.method,
                "undefined": e.undefined,
                "difference": d.difference.value if d else None,
                "difference_low": d.difference.low if d else None,
                "difference_high": d.difference.high if d else None,
                "ratio": d.ratio.value if d else None,
                "ratio_low": d.ratio.low if d else None,
                "ratio_high": d.ratio.high if d else None,
                "p_value": d.p_value if d else None,
                "p_adjusted": d.p_adjusted if d else None,
                "outcome": outcomes.get((key, record.klass, e.metric)),
                **{f"attribute:{name}": record.slice.get(name) for name in names},
            }


def to_frame(evidence: Evidence) -> pandas.DataFrame:
    """The estimates as a pandas table; columns as in `COLUMNS`, then one a attribute.

    Examples
    --------
    Worst recall first: ``frame[frame.metric == "recall"].sort_values("value")``.
    """
    import pandas as pd

    names = [f"attribute:{attribute.name}" for attribute in evidence.data.attributes]
    types = {**COLUMNS, **dict.fromkeys(names, "string")}
    frame = pd.DataFrame(list(rows(evidence)), columns=list(types))
    return frame.astype(types)


def to_parquet(evidence: Evidence) -> bytes:
    """The same table as a Parquet file; the same evidence gives the same bytes.

    Written from the rows, not through pandas, whose metadata would name its own version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"string": pa.string(), "int64": pa.int64(), "Int64": pa.int64(), "float64": pa.float64()}
    names = [f"attribute:{attribute.name}" for attribute in evidence.data.attributes]
    types = {**COLUMNS, **dict.fromkeys(names, "string")}
    schema = pa.schema([(name, kinds[kind]) for name, kind in types.items()])
    table = pa.Table.from_pylist(list(rows(evidence)), schema=schema)
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
