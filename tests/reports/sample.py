"""A realistic evidence document for the tests of the documents: simulated rows, coherent figures, fixed seed.

Every figure is computed from the simulated rows with textbook formulas (Wilson limits at the
effective sample size, Newcombe's limits of a difference), so that the documents show what a run shows.
``evidence()`` is a binary log with all five outcomes; ``several_classes()`` a multi-label one;
``many_slices(n)`` a large one; ``hostile()`` has attribute values that attack every format.
"""

# ruff: noqa: E501  (tables of data read better in one line)
from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from audit.since import Previous, since
from reports.evidence import AtPrevalence, AttributeData, CurvePoint, Evidence, ScoreCurve, SliceRecord

SEED = 20261120
METRICS = ("precision", "recall", "fpr", "specificity", "f1", "accuracy")

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "\u202eright to left\u202c",
    "שלום עולם",
    "emoji 🩻🔥",
    "long " + "x" * 295,
    "中文值",
    "nul\x00byte",
    "{{ 7 * 7 }}",
    "]]>&amp;",
)


@dataclass(frozen=True)
class Column:
    """A simulated attribute: values (None: missing), their shares, and the shift of the model's logit."""

    name: str
    kind: str
    values: tuple[str | None, ...]
    shares: tuple[float, ...]
    shift: tuple[float, ...]


@dataclass(frozen=True)
class Log:
    """Simulated rows: codes per column, label and prediction per class, the patient of each row."""

    columns: tuple[Column, ...]
    codes: Mapping[str, NDArray[np.int64]]
    label: Mapping[str | None, NDArray[np.bool_]]
    predicted: Mapping[str | None, NDArray[np.bool_]]
    failed: NDArray[np.bool_]
    patient: NDArray[np.int64]

    def mask(self, values: Mapping[str, str | None]) -> NDArray[np.bool_]:
        chosen = np.ones(self.patient.size, dtype=bool)
        for name, value in values.items():
            column = next(column for column in self.columns if column.name == name)
            chosen &= self.codes[name] == column.values.index(value)
        return chosen


COLUMNS = (
    Column("sex", "demographic", ("F", "M", None), (0.46, 0.47, 0.07), (0.0, 0.15, -0.1)),
    Column("age", "demographic", ("<18", "18-39", "40-64", "65+"), (0.04, 0.2, 0.41, 0.35), (-0.5, 0.3, 0.35, -0.1)),
    Column("scanner", "acquisition", ("Canon", "GE", "Philips", "Siemens"), (0.14, 0.3, 0.25, 0.31), (-0.95, 0.15, 0.2, 0.1)),
    Column("site", "acquisition", ("A", "B", "C", "D"), (0.28, 0.34, 0.24, 0.14), (0.1, 0.1, 0.0, 0.0)),
)  # fmt: skip
PAIRS = (("sex", "age"), ("sex", "scanner"), ("age", "scanner"), ("scanner", "site"))


def simulate(
    columns: Sequence[Column], rows: int, classes: Sequence[str | None] = (None,), tie_site: bool = True
) -> Log:
    """Rows of a log: a patient has one to four images that share a random effect."""
    rng = np.random.default_rng(SEED)
    patient = np.sort(rng.integers(0, rows // 2, rows))
    codes = {c.name: rng.choice(len(c.values), rows, p=np.array(c.shares) / sum(c.shares)) for c in columns}
    if tie_site and {"scanner", "site"} <= codes.keys():
        # One scanner maker stands in one hospital only: the two cannot be told apart.
        canon = codes["scanner"] == 0
        codes["site"] = np.where(canon, 3, np.minimum(codes["site"], 2))
    shared = rng.normal(0, 0.7, patient.max() + 1)[patient]
    shift = sum(np.array(c.shift)[codes[c.name]] for c in columns)
    label, predicted = {}, {}
    for position, name in enumerate(classes):
        base = rng.random(rows) < 0.22 / (1 + 0.5 * position)
        logit = np.where(base, 2.2 - 0.2 * position + shift + shared, -2.5 - 0.25 * shift + 0.5 * shared)
        label[name] = base
        predicted[name] = rng.random(rows) < 1 / (1 + np.exp(-logit))
    failed = rng.random(rows) < np.where(codes[columns[-2].name] == 0, 0.012, 0.002)
    return Log(tuple(columns), codes, label, predicted, failed, patient)


def wilson(k: float, n: float, level: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = k / n
    centre, spread = (p + z * z / (2 * n)), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    return max(0.0, min(low, p)), min(1.0, max(high, p))


@dataclass
class Part:
    """A proportion in a slice: successes, denominator, and the denominator after clustering."""

    k: int
    n: int
    effective: float
    clusters: int
    deff: float = field(default=1.0)

    def limits(self, level: float) -> tuple[float, float]:
        scaled = self.effective / self.n
        return wilson(self.k * scaled, self.effective, level)


def proportion(hit: NDArray[np.bool_], base: NDArray[np.bool_], patient: NDArray[np.int64]) -> Part | None:
    n = int(base.sum())
    if n == 0:
        return None
    k = int((hit & base).sum())
    p = k / n
    residual = np.bincount(patient[base], weights=hit[base] - p)
    clusters = len(np.unique(patient[base]))
    plain = p * (1 - p) * n
    deff = max(1.0, float((residual**2).sum() / plain)) if plain > 0 else 1.0
    return Part(k, n, n / deff, clusters, deff)


def pieces(log: Log, klass: str | None, chosen: NDArray[np.bool_]) -> dict[str, Part | None]:
    used = chosen & ~log.failed
    y, d = log.label[klass], log.predicted[klass]
    parts = {
        "precision": proportion(y, used & d, log.patient),
        "recall": proportion(d, used & y, log.patient),
        "fpr": proportion(d, used & ~y, log.patient),
        "specificity": proportion(~d, used & ~y, log.patient),
        "accuracy": proportion(y == d, used, log.patient),
    }
    agreed = proportion(y & d, used & (y | d), log.patient)  # F1 = 2j / (1 + j), j = tp / (tp + fp + fn)
    return {**parts, "f1": agreed}


def through(metric: str, value: float) -> float:
    return 2 * value / (1 + value) if metric == "f1" else value


def estimate(metric: str, part: Part | None, level: float) -> dict[str, object]:
    if part is None:
        return {"metric": metric, "value": None, "low": None, "high": None, "support": 0, "method": "none",
                "undefined": "no case in the denominator"}  # fmt: skip
    low, high = part.limits(level)
    return {
        "metric": metric, "value": through(metric, part.k / part.n), "low": through(metric, low),
        "high": through(metric, high), "support": part.n, "method": "Wilson at the effective size",
        "effective": part.effective, "design_effect": part.deff, "clusters": part.clusters,
    }  # fmt: skip


def difference(a: Part, b: Part, level: float) -> dict[str, float]:
    pa, pb = a.k / a.n, b.k / b.n
    (la, ua), (lb, ub) = a.limits(level), b.limits(level)
    d = pa - pb
    return {"value": d, "low": d - math.hypot(pa - la, ub - pb), "high": d + math.hypot(ua - pa, pb - lb)}


def ratio(a: Part, b: Part, level: float) -> dict[str, float | None]:
    pa, pb = a.k / a.n, b.k / b.n
    if pa == 0 or pb == 0:
        return {"value": None if pb == 0 else 0.0, "low": None, "high": None}
    z = NormalDist().inv_cdf(0.5 + level / 2)
    spread = z * math.sqrt((1 - pa) / (pa * a.effective) + (1 - pb) / (pb * b.effective))
    return {"value": pa / pb, "low": pa / pb * math.exp(-spread), "high": pa / pb * math.exp(spread)}


def p_value(a: Part, b: Part) -> float:
    pa, pb = a.k / a.n, b.k / b.n
    variance = pa * (1 - pa) / a.effective + pb * (1 - pb) / b.effective
    return 1.0 if variance == 0 else 2 * NormalDist().cdf(-abs(pa - pb) / math.sqrt(variance))


def complement(log: Log, values: Mapping[str, str | None]) -> NDArray[np.bool_]:
    present = np.ones(log.patient.size, dtype=bool)
    for name in values:
        column = next(column for column in log.columns if column.name == name)
        if None in column.values:
            present &= log.codes[name] != column.values.index(None)
    return ~log.mask(values) & present


def record(
    log: Log, values: Mapping[str, str | None], klass: str | None, *, level: float, tested: float | None
) -> dict[str, object]:
    chosen = log.mask(values)
    used = chosen & ~log.failed
    y, d = log.label[klass], log.predicted[klass]
    parts = pieces(log, klass, chosen)
    counts = {
        "tp": int((used & y & d).sum()), "fp": int((used & ~y & d).sum()),
        "fn": int((used & y & ~d).sum()), "tn": int((used & ~y & ~d).sum()),
    }  # fmt: skip
    disparities, simultaneous = [], []
    if values:
        other = pieces(log, klass, complement(log, values))
        for metric in ("recall", "fpr"):
            a, b = parts[metric], other[metric]
            if a is None or b is None:
                continue
            p = p_value(a, b)
            disparities.append({
                "metric": metric, "against": "complement", "difference": difference(a, b, level),
                "ratio": ratio(a, b, level), "p_value": p, "p_adjusted": min(1.0, 62 * p),
                "p_bh": min(1.0, 8 * p), "method": "Newcombe at the effective size",
            })  # fmt: skip
        recall = parts["recall"]
        if tested is not None and recall is not None:
            low, high = recall.limits(tested)
            simultaneous.append({"metric": "recall", "low": low, "high": high, "quantity": "value",
                                 "against": None, "level": tested, "method": "Wilson, Bonferroni level"})  # fmt: skip
    return {
        "slice": dict(values), "class": klass, "n": int(used.sum()),
        "clusters": len(np.unique(log.patient[used])), "counts": counts,
        "failed_predictions": int((chosen & log.failed).sum()), "unlabelled": 0,
        "estimates": [estimate(metric, parts[metric], level) for metric in METRICS],
        "disparities": disparities, "simultaneous": simultaneous,
    }  # fmt: skip


def slices_of(log: Log, pairs: Iterable[tuple[str, str]]) -> list[dict[str, str | None]]:
    by_name = {column.name: column for column in log.columns}
    one = [{column.name: value} for column in log.columns for value in column.values]
    two = [{a: u, b: v} for a, b in pairs for u, v in itertools.product(by_name[a].values, by_name[b].values)]
    return [values for values in one + two if log.mask(values).any()]


def judge(
    value: float, low: float, high: float, wide: tuple[float, float], limit: float, enough: bool
) -> str:
    """The outcome of a floor."""
    if wide[1] < limit:
        return "fails"
    if not enough:
        return "not_enough_data"
    return "meets" if low >= limit else "cannot_tell"


def needed(p: float, limit: float, n: int, level: float) -> int | None:
    if p in (limit, 0.0, 1.0):
        return None
    z = NormalDist().inv_cdf(0.5 + level / 2) + NormalDist().inv_cdf(0.8)
    return max(1, math.ceil(p * (1 - p) * (z / (p - limit)) ** 2) - n)


def floor_findings(records: list[dict[str, object]], limit: float, level: float) -> list[dict[str, object]]:
    found = []
    for item in records:
        values = item["slice"]
        if None in values.values() or not set(values) <= {"sex", "age", "scanner", "ward"}:
            continue
        if len(values) == 2 and set(values) != {"sex", "age"}:
            continue
        e = next(e for e in item["estimates"] if e["metric"] == "recall")
        wide = next((s for s in item["simultaneous"] if s["metric"] == "recall"), None)
        if e["value"] is None or wide is None:
            continue
        outcome = judge(
            e["value"], e["low"], e["high"], (wide["low"], wide["high"]), limit, e["support"] >= 60
        )
        joint = outcome not in ("meets",)  # the interval that the outcome is read from
        found.append({
            "rule": "recall-floor", "kind": "floor", "slice": values, "class": item["class"], "metric": "recall",
            "limit": limit, "value": e["value"], "low": wide["low"] if joint else e["low"],
            "high": wide["high"] if joint else e["high"],
            "interval": "simultaneous" if joint else "pointwise", "level": wide["level"] if joint else level,
            "outcome": outcome, "support": e["support"],
            "needed_n": needed(e["value"], limit, e["support"], level) if outcome in ("cannot_tell", "not_enough_data") else None,
            "reason": f"{e['support']} positive cases; the stated minimum is 60" if outcome == "not_enough_data" else None,
        })  # fmt: skip
    return found


def gap_findings(records: list[dict[str, object]], gap: float, level: float) -> list[dict[str, object]]:
    found = []
    for item in records:
        if set(item["slice"]) != {"sex"} or item["slice"]["sex"] is None:
            continue
        d = next(d for d in item["disparities"] if d["metric"] == "fpr")["difference"]
        outcome = "meets" if -gap <= d["low"] and d["high"] <= gap else "cannot_tell"
        found.append({
            "rule": "fpr-gap", "kind": "gap", "slice": item["slice"], "class": item["class"], "metric": "fpr",
            "against": "complement", "limit": gap, "value": d["value"], "low": d["low"], "high": d["high"],
            "interval": "pointwise", "level": level, "outcome": outcome, "support": item["counts"]["fp"] + item["counts"]["tn"],
        })  # fmt: skip
    return found


def missing_findings(records: list[dict[str, object]], limit: float, level: float) -> list[dict[str, object]]:
    found = []
    for item in records:
        if set(item["slice"]) != {"scanner"}:
            continue
        total = item["n"] + item["failed_predictions"]
        low, high = wilson(item["failed_predictions"], total, level)
        value = item["failed_predictions"] / total
        outcome = "fails" if low > limit else "meets" if high <= limit else "cannot_tell"
        found.append({
            "rule": "failed-predictions", "kind": "missing_predictions", "slice": item["slice"], "class": item["class"],
            "metric": None, "limit": limit, "value": value, "low": low, "high": high, "interval": "pointwise",
            "level": level, "outcome": outcome, "support": total,
        })  # fmt: skip
    return found


def concepts(klass: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    rng = np.random.default_rng(SEED + 1)
    planted = {"ruler": 1.9, "thick ribs": 0.12, "lung texture": 0.05, "grid lines": 0.0}
    records: list[dict[str, object]] = []
    for layer, scale in (("features.4", 0.32), ("features.7", 0.45)):
        null = np.sort(rng.normal(0.02, scale, 120))
        for name, effect in planted.items():
            learnt = name != "grid lines"
            size = effect * scale * 2.4 + 0.02
            distance = np.abs(null - np.median(null))
            p = (1 + int((distance >= abs(size - np.median(null))).sum())) / (1 + null.size)
            adjusted = min(1.0, 4 * p)
            verdict = "not_learnt" if not learnt else "drives" if adjusted < 0.05 else "no_effect_shown"
            auc = 0.97 if name == "ruler" else 0.88 if learnt else 0.56
            records.append({
                "concept": name, "class": klass, "layer": layer, "slice": {},
                "score": 0.91 if name == "ruler" else 0.55 if learnt else None,
                "low": 0.88 if name == "ruler" else 0.5 if learnt else None,
                "high": 0.94 if name == "ruler" else 0.6 if learnt else None,
                "effect": {"value": size, "low": size - 0.18, "high": size + 0.18} if learnt else {"value": None, "low": None, "high": None},
                "p_value": p if learnt else None, "p_adjusted": adjusted if learnt else None,
                "zero_gradients": 0, "images": 400,
                "cav": {"accuracy": auc - 0.05, "auc": auc, "stability": 0.93 if learnt else 0.21,
                        "auc_low": auc - 0.03, "auc_high": min(1.0, auc + 0.02), "auc_null": 0.71},
                "verdict": verdict,
                "undefined": None if learnt else "the activation vectors do not separate the concept from random images (AUC 0.56, needed above 0.71)",
                "null_effects": [float(x) for x in null] if learnt else [],
            })  # fmt: skip
    for scanner, effect in (("Canon", 2.4), ("GE", 0.5), ("Philips", 0.41), ("Siemens", 0.46)):
        records.append({
            "concept": "ruler", "class": klass, "layer": "features.7", "slice": {"scanner": scanner},
            "score": 0.7, "low": 0.6, "high": 0.78, "effect": {"value": effect, "low": effect - 0.3, "high": effect + 0.3},
            "p_value": 0.008 if scanner == "Canon" else 0.3, "p_adjusted": 0.03 if scanner == "Canon" else 1.0,
            "zero_gradients": 0, "images": 100,
            "cav": {"accuracy": 0.92, "auc": 0.97, "stability": 0.93, "auc_low": 0.94, "auc_high": 0.99, "auc_null": 0.71},
            "verdict": "drives" if scanner == "Canon" else "no_effect_shown", "undefined": None,
        })  # fmt: skip
    findings = []
    for item in records:
        if item["slice"] or item["concept"] not in ("ruler", "thick ribs", "grid lines"):
            continue
        outcome = "fails" if item["verdict"] == "drives" else "cannot_tell"
        findings.append({
            "rule": f"no-{item['concept'].replace(' ', '-')}", "kind": "concept", "slice": {}, "class": klass, "metric": None,
            "concept": item["concept"], "layer": item["layer"], "limit": 0.1, "value": item["effect"]["value"],
            "low": item["effect"]["low"], "high": item["effect"]["high"], "interval": "pointwise", "level": 0.95,
            "outcome": outcome, "reason": item["undefined"],
        })  # fmt: skip
    return records, findings


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def assemble(
    log: Log,
    *,
    pairs: Sequence[tuple[str, str]],
    classes: Sequence[str | None],
    with_concepts: bool,
    card: Mapping[str, str],
) -> Evidence:
    level = 0.95
    names = slices_of(log, pairs)
    probe = [record(log, values, klass, level=level, tested=None) for klass in classes for values in names]
    family = len(
        floor_findings(
            [
                {**r, "simultaneous": [{"metric": "recall", "low": 0, "high": 1, "level": 0.95}]}
                for r in probe
            ],
            0.85,
            level,
        )
    )
    tested = 1 - (1 - level) / max(family, 1)
    records = [
        record(log, values, klass, level=level, tested=tested) for values in names for klass in classes
    ]
    findings = (
        floor_findings(records, 0.85, level)
        + gap_findings(records, 0.05, level)
        + missing_findings(records[: len(names)], 0.02, level)
    )
    concept_records: list[dict[str, object]] = []
    if with_concepts:
        concept_records, more = concepts(classes[0] or "pneumothorax")
        findings += more
    findings.append({
        "rule": "skin-tone-floor", "kind": "floor", "slice": {"skin_tone": None}, "class": None, "metric": "recall",
        "limit": 0.85, "value": None, "low": None, "high": None, "interval": "none", "level": None,
        "outcome": "not_tested", "reason": "the attribute 'skin_tone' is not in the log",
    })  # fmt: skip
    tally = {
        key: sum(f["outcome"] == key for f in findings)
        for key in ("meets", "fails", "cannot_tell", "not_enough_data", "not_tested")
    }
    outcome = (
        "does_not_meet"
        if tally["fails"]
        else "meets"
        if tally["meets"] == len(findings)
        else "cannot_be_decided"
    )
    rules = [
        {"id": "recall-floor", "kind": "floor", "metric": "recall", "limit": 0.85, "attributes": ["sex", "age", "scanner"],
         "intersections": [["sex", "age"]], "sentence": "Recall must be at least 85% for every value of sex, age and scanner, and for every pair of sex and age."},
        {"id": "fpr-gap", "kind": "gap", "metric": "fpr", "limit": 0.05, "against": "complement", "attributes": ["sex"],
         "sentence": "The false-positive rate of each sex may differ by at most 5 percentage points from that of the others."},
        {"id": "failed-predictions", "kind": "missing_predictions", "limit": 0.02, "attributes": ["scanner"],
         "sentence": "At most 2% of the predictions may have failed for every scanner."},
        {"id": "skin-tone-floor", "kind": "floor", "metric": "recall", "limit": 0.85, "attributes": ["skin_tone"],
         "sentence": "Recall must be at least 85% for every value of skin_tone."},
    ]  # fmt: skip
    if with_concepts:
        rules += [
            {"id": f"no-{name.replace(' ', '-')}", "kind": "concept", "concept": name, "limit": 0.1, "must_not_drive": [classes[0] or "pneumothorax"],
             "sentence": f"The concept “{name}” must not drive the class “{classes[0] or 'pneumothorax'}”."}
            for name in ("ruler", "thick ribs", "grid lines")
        ]  # fmt: skip
    attributes = []
    for column in log.columns:
        sizes = [int(log.mask({column.name: value}).sum()) for value in column.values]
        attributes.append({
            "name": column.name, "kind": column.kind,
            "missing": sum(n for v, n in zip(column.values, sizes, strict=True) if v is None),
            "values": [{"value": v, "n": n} for v, n in zip(column.values, sizes, strict=True)],
            "bands": [18, 40, 65] if column.name == "age" else None,
        })  # fmt: skip
    failed = int(log.failed.sum())
    rows = log.patient.size + 37
    document = {
        "schema_version": "1.0",
        "subject": {"name": "Chest X-ray triage", "version": "2.3.1", "purpose": "Flag suspected pneumothorax on frontal chest X-rays for earlier reading.", "date": "2026-11-20", "card": dict(card)},
        "run": {
            "xaudit_version": "0.1.0", "seed": SEED, "confidence": level, "resamples": 10000,
            "inputs": [
                {"role": "configuration", "path": "audit.toml", "sha256": digest("configuration"), "rows": None},
                {"role": "log", "path": "predictions.parquet", "sha256": digest("log"), "rows": rows},
                {"role": "weights", "path": "model.safetensors", "sha256": digest("weights"), "rows": None},
            ],
            "plugins": [], "environment": {"python": "3.11.9", "numpy": "2.4.6", "pyarrow": "26.0.1", "machine": "x86_64"},
            "command": "xaudit run audit.toml --out report",
        },
        "data": {
            "rows": rows, "rows_used": int((~log.failed).sum()),
            "excluded": [{"reason": "the label is missing", "slice": {}, "rows": 37}, {"reason": "the prediction is missing", "slice": {}, "rows": failed}],
            "clusters": len(np.unique(log.patient)), "attributes": attributes,
            "task": "binary" if classes == (None,) else "multilabel", "classes": [k for k in classes if k is not None],
            "positive": "1" if classes == (None,) else None, "threshold": 0.42, "tie": ">=", "cluster": "patient_id",
            "collected": ["2026-01-01", "2026-06-30"],
            "associations": [{"attributes": ["scanner", "site"], "cramers_v": 0.99, "sentence": "Every image from a Canon scanner comes from site D, so scanner and site cannot be told apart there."}],
            "small_slices": [],
        },
        "results": {
            "overall": [record(log, {}, klass, level=level, tested=None) for klass in classes],
            "slices": records, "concepts": concept_records,
            "concept_method": {
                "method": "Ridge activation vectors; the effect is the mean derivative of the logit along the vector, scaled to the distance between concept and negatives; p-values from 120 pseudo-concepts with redrawn negatives, max-T over the family.",
                "set_size": 60, "pseudo_concepts": 120, "layers": {"features.4": "mean pooled 128", "features.7": "mean pooled 256"},
                "sets": [{"name": n, "source": "folder", "images": 60, "sha256": digest(n)} for n in ("ruler", "thick ribs", "lung texture", "grid lines")] + [{"name": "random", "source": "folder", "images": 900, "sha256": digest("random")}],
                "entanglement": {"features.7": [[1.0, 0.12, 0.08], [0.12, 1.0, 0.2], [0.08, 0.2, 1.0]]},
            } if with_concepts else None,
        },
        "policy": {"sha256": digest("policy"), "rules": rules, "family": family, "minimum": "60 cases in the metric's denominator", "lock": None},
        "findings": findings,
        "verdict": {"outcome": outcome, **tally, "sentence": ""},
        "limitations": [
            {"what": "The sex is not recorded for some images.", "who": "Patients whose sex is not recorded", "size": f"{attributes[0]['missing']} of {log.patient.size} images", "how_known": "Counted in the log", "what_to_do": "Record the sex at acquisition; read the row “not recorded” as a group of its own."},
            {"what": "Images of one patient are not independent.", "who": "Every group", "size": "about two images a patient", "how_known": "The column patient_id", "what_to_do": "The intervals allow for it; do not read the number of images as the number of people."},
        ],
        "method": {"sentences": [
            "The images of one patient resemble each other, so every interval uses the effective number of cases (linearised variance over patients).",
            "Each proportion has a Wilson score interval at the 95% level.",
            f"A group fails only where its whole interval lies below the limit at the level corrected for {family} groups (Bonferroni, {100 * tested:.2f}%).",
            "A group meets the rule where its uncorrected 95% interval lies above the limit: every group must meet, which needs no correction.",
            "Differences are against everybody outside the group whose value is recorded (Newcombe's interval).",
        ]},
        "report": {"formats": ["html", "pdf"], "organisation": "St Elsewhere Hospital Trust", "accent": None, "paper": "A4", "language": "en", "logo": None},
    }  # fmt: skip
    return Evidence.model_validate_json(json.dumps(document))


CARD = {
    "intended_use": "A radiologist reads every image; the flag only changes the order of the worklist.",
    "out_of_scope": "Children under two years, lateral views, and any use without a radiologist.",
    "reference_standard": "Two radiologists, a third where they disagreed.",
}


@lru_cache
def evidence() -> Evidence:
    """A binary log, 62 slices, concept tests, findings of all five outcomes."""
    return assemble(simulate(COLUMNS, 12_000), pairs=PAIRS, classes=(None,), with_concepts=True, card=CARD)


def curves(*slices: Mapping[str, str | None]) -> list[ScoreCurve]:
    """Score curves of every kind for these slices: made up."""
    points = []
    for i in range(21):
        y = (i / 20) ** 0.5
        points.append(CurvePoint(x=i / 20, y=y, low=max(0.0, y - 0.05), high=min(1.0, y + 0.05), n=40))
    return [
        ScoreCurve(kind=kind, slice=dict(values), points=points)
        for kind in ("roc", "pr", "reliability")
        for values in slices
    ]


def first_release() -> Evidence:
    """What was released before ``evidence()``: another log, other rules, other answers, no site D."""
    now = evidence()
    subject = now.subject.model_copy(update={"version": "2.2.0", "date": "2026-05-04"})
    log = [i.model_copy(update={"sha256": "0" * 64}) if i.role == "log" else i for i in now.run.inputs]
    first, *others = now.policy.rules
    rules = [first.model_copy(update={"limit": 0.8}), *others[1:], first.model_copy(update={"id": "dropped"})]
    policy = now.policy.model_copy(update={"rules": rules, "sha256": "1" * 64})
    swap = {"fails": "meets", "meets": "fails", "cannot_tell": "cannot_tell", "not_enough_data": "not_tested"}
    findings = [
        f.model_copy(update={"outcome": swap[f.outcome], "limit": 0.8 if f.rule == first.id else f.limit})
        for f in now.findings
        if f.outcome in swap
    ]
    findings.append(findings[0].model_copy(update={"rule": "dropped", "outcome": "fails"}))

    def shifted(record: SliceRecord) -> SliceRecord:
        by = 0.25 if record.slice == {"scanner": "Canon"} else -0.04
        estimates = [
            e.model_copy(update={k: min(1.0, max(0.0, getattr(e, k) + by)) for k in ("value", "low", "high")})
            if e.metric == "recall" and e.value is not None
            else e
            for e in record.estimates
        ]
        return record.model_copy(update={"estimates": estimates})

    slices = [shifted(r) for r in now.results.slices if r.slice.get("site") != "D"]
    concepts = [
        c.model_copy(update={"verdict": "no_effect_shown"}) if c.verdict == "drives" else c
        for c in now.results.concepts
        if c.concept != "thick ribs"
    ]
    return now.model_copy(
        update={
            "subject": subject,
            "run": now.run.model_copy(update={"inputs": log, "seed": 1}),
            "data": now.data.model_copy(update={"rows": 9000, "rows_used": 8990, "threshold": 0.5}),
            "policy": policy,
            "findings": findings,
            "results": now.results.model_copy(update={"slices": slices, "concepts": concepts}),
        }
    )


@lru_cache
def second_release() -> Evidence:
    """``evidence()`` with what few runs have: the release before it, score curves, predictive values in use."""
    now = evidence()
    in_use = [
        AtPrevalence(slice=s, metric=m, prevalence=0.02, value=v, low=v - 0.02, high=v + 0.01, method="Bayes")
        for s in ({}, {"sex": "F"}, {"sex": "M"})
        for m, v in (("precision", 0.21), ("npv", 0.98))
    ]
    more = {
        "curves": curves({}, {"sex": "F"}, {"sex": "M"}),
        "at_prevalence": in_use,
        "since": since(Previous(first_release(), "release-1/evidence.json", "2" * 64), now),
    }
    return now.model_copy(update={"results": now.results.model_copy(update=more)})


@lru_cache
def several_classes() -> Evidence:
    """A multi-label log with three classes and no concept tests."""
    classes = ("pneumothorax", "effusion", "nodule")
    return assemble(
        simulate(COLUMNS, 9_000, classes), pairs=PAIRS[:1], classes=classes, with_concepts=False, card={}
    )


@lru_cache
def without_failures() -> Evidence:
    """The binary log with a more able model: nothing fails, something cannot be decided."""
    able = tuple(Column(c.name, c.kind, c.values, c.shares, tuple(0.6 for _ in c.values)) for c in COLUMNS)
    return assemble(simulate(able, 12_000), pairs=PAIRS, classes=(None,), with_concepts=False, card=CARD)


@lru_cache
def many_slices(slices: int) -> Evidence:
    """About ``slices`` slices: the sample's own, again and again for one ward after another."""
    base = evidence()
    records, wards = list(base.results.slices), []
    sources = [record for record in base.results.slices if set(record.slice) in ({"sex"}, {"sex", "age"})]
    while len(records) < slices:
        name = f"ward {len(wards) + 1:04d}"
        wards.append({"value": name, "n": 400})
        records += [r.model_copy(update={"slice": {**r.slice, "ward": name}}) for r in sources]
        records.append(sources[0].model_copy(update={"slice": {"ward": name}}))
    ward = AttributeData.model_validate(
        {"name": "ward", "kind": "acquisition", "missing": 0, "values": wards}
    )
    data = base.data.model_copy(update={"attributes": [*base.data.attributes, ward]})
    results = base.results.model_copy(update={"slices": records[:slices]})
    return base.model_copy(update={"data": data, "results": results})


@lru_cache
def hostile() -> Evidence:
    """Attribute values that attack HTML, SVG, PDF, CSV, Markdown and XML; a long name and purpose."""
    vendor = Column("vendor", "acquisition", HOSTILE, (1 / len(HOSTILE),) * len(HOSTILE),
                    tuple(-0.9 if i % 2 else 0.2 for i in range(len(HOSTILE))))  # fmt: skip
    columns = (COLUMNS[0], COLUMNS[1], vendor, COLUMNS[3])
    made = assemble(
        simulate(columns, 9_000, tie_site=False),
        pairs=(("sex", "age"),),
        classes=(None,),
        with_concepts=False,
        card={"intended_use": HOSTILE[0]},
    )
    subject = made.subject.model_copy(
        update={"name": "Name <b>bold</b> " + "very " * 30, "purpose": "& < > \" ' " * 30}
    )
    swapped = [
        f.model_copy(update={"slice": {"vendor": HOSTILE[i % len(HOSTILE)]}})
        if f.slice.keys() == {"age"}
        else f
        for i, f in enumerate(made.findings)
    ]
    return made.model_copy(update={"subject": subject, "findings": swapped})
