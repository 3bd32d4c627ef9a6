"""The evidence: the one machine-readable document that every report is rendered from.

Its models, its JSON Schema, its canonical bytes and how it is read back. Nothing is computed here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from reports.errors import EvidenceError

if TYPE_CHECKING:
    import pandas

SCHEMA_VERSION = "1.0"

SliceValues = dict[str, str | None]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Finite | None
Outcome = Literal["meets", "fails", "cannot_tell", "not_enough_data", "not_tested"]
ConceptVerdict = Literal["drives", "opposes", "no_effect_shown", "not_learnt"]
SettingName = Literal[
    "model",
    "version",
    "weights",
    "threshold",
    "tie",
    "weight",
    "cluster",
    "confidence",
    "resamples",
    "seed",
    "xaudit",
]
VerdictOutcome = Literal["meets", "does_not_meet", "cannot_be_decided", "no_rule"]


def _as_it_is(value: object, read: ValidatorFunctionWrapHandler) -> str:
    """Keep a text's own type, which may know what it was made of."""
    return value if isinstance(value, str) else str(read(value))


def _in_context(text: str, info: SerializationInfo) -> str:
    """The text as whoever dumps the evidence wants it (`reports.translation`); as it is by default."""
    return text if info.context is None else info.context(text)


# A sentence that was generated: English in the record, and said anew by its code in other languages.
Prose = Annotated[str, WrapValidator(_as_it_is), PlainSerializer(_in_context)]


class Part(BaseModel):
    """A part of the evidence: closed (no unknown key), immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Text(Part):
    """What a generated sentence was made of: its key in the catalogue's ``[said]``, and its values."""

    code: str
    values: dict[str, str | int | Finite | Text | list[str | Text]] = {}


class Subject(Part):
    """What was audited. ``card`` holds the parts that only people can fill (model-card sections)."""

    name: str
    version: str = "not stated"
    purpose: str = "not stated"
    date: str | None = None
    card: dict[str, str] = {}


class Input(Part):
    role: Literal[
        "log", "configuration", "weights", "recording", "concept", "random", "baseline", "lock", "previous"
    ]
    path: str
    sha256: str
    rows: int | None = None


class Plugin(Part):
    group: str
    name: str
    version: str
    sha256: str


class Run(Part):
    xaudit_version: str
    seed: int
    confidence: Finite
    resamples: int
    inputs: list[Input]
    plugins: list[Plugin] = []
    environment: dict[str, str]
    command: str


class Exclusion(Part):
    """Rows left out; ``of`` comparison: only of that with the baseline, the figures count them."""

    reason: Prose
    slice: SliceValues
    rows: int
    of: Literal["figures", "comparison"] = "figures"


class AttributeValue(Part):
    value: str | None
    n: int


class AttributeData(Part):
    """An attribute's values in the order of the reports; ``names``: what these call them."""

    name: str
    kind: Literal["demographic", "acquisition", "other"]
    missing: int
    values: list[AttributeValue]
    bands: list[Finite] | None = None
    names: dict[str, str] = {}


class Association(Part):
    """Two attributes that cannot be told apart, or nearly: Cramér's V near 1."""

    attributes: tuple[str, str]
    cramers_v: Finite
    sentence: Prose


class ClusterSizes(Part):
    """Counted rows of a cluster: the fewest, the median and the most."""

    fewest: int
    median: Finite
    most: int


class Data(Part):
    """The log as it was counted.

    ``name``: what people call it; ``unseen_pairs``: attributes that were not held against each other.
    """

    name: str | None = None
    rows: int
    rows_used: int
    excluded: list[Exclusion]
    clusters: int | None
    attributes: list[AttributeData]
    task: Literal["binary", "multiclass", "multilabel", "detection"]
    classes: list[str] = []
    class_names: dict[str, str] = {}
    positive: str | None = None
    threshold: Number = None
    tie: Literal[">=", ">"] | None = None
    cluster: str | None = None
    unclustered: int = 0
    tied: int = 0
    ignored: list[str] = []
    cluster_sizes: ClusterSizes | None = None
    collected: list[str] | None = None
    associations: list[Association] = []
    unseen_pairs: list[tuple[str, str]] = []
    small_slices: list[Exclusion] = []
    roles: dict[str, str] = {}


class Counts(Part):
    tp: int
    fp: int
    fn: int
    tn: int


class Limits(Part):
    value: Number
    low: Number
    high: Number


class Estimate(Part):
    metric: str
    value: Number
    low: Number
    high: Number
    support: int
    method: Prose
    undefined: Prose | None = None
    effective: Number = None
    design_effect: Number = None
    clusters: int | None = None


class Disparity(Part):
    metric: str
    against: str
    difference: Limits
    ratio: Limits
    p_value: Number
    p_adjusted: Number
    method: Prose
    ratio_method: Prose | None = None  # None: as the difference
    p_bh: Number = None
    undefined: Prose | None = None
    detectable_gap: Number = None


class Simultaneous(Part):
    metric: str
    low: Number
    high: Number
    quantity: Literal["value", "difference", "ratio"] = "value"
    against: str | None = None
    level: Finite
    method: Prose


class SliceRecord(Part):
    slice: SliceValues
    klass: str | None = Field(alias="class")
    n: int
    clusters: int | None
    counts: Counts | None
    failed_predictions: int = 0
    unlabelled: int = 0
    estimates: list[Estimate]
    disparities: list[Disparity] = []
    simultaneous: list[Simultaneous] = []


class Cav(Part):
    accuracy: Number
    auc: Number
    stability: Number
    auc_low: Number = None
    auc_high: Number = None
    auc_null: Number = None


class ConceptRecord(Part):
    concept: str
    klass: str = Field(alias="class")
    layer: str
    slice: SliceValues
    score: Number
    low: Number
    high: Number
    effect: Limits
    p_value: Number
    p_adjusted: Number
    p_holm: Number = None
    p_bh: Number = None
    smooth: Number = None
    magnitude: Number = None
    zero_gradients: int = 0
    images: int
    cav: Cav
    verdict: ConceptVerdict
    undefined: Prose | None
    null_effects: list[Finite] = []
    clusters: int | None = None
    # Records of a slice: its effect minus that of the class's other images. An association. The p-values
    # are the larger of two tests'; the verdict, on the signed effect, needs the interval too.
    rest_effect: Number = None
    difference: Limits | None = None
    difference_p_value: Number = None
    difference_p_adjusted: Number = None
    difference_verdict: Literal["higher", "lower", "not_shown"] | None = None


class ConceptSet(Part):
    name: str
    source: Prose
    images: int
    sha256: str
    used: int | None = None


class ConceptMethod(Part):
    """How the concept tests were made: sets, sizes, layers, solver, in words and numbers."""

    method: Prose
    set_size: int
    pseudo_concepts: int
    layers: dict[str, Prose]
    sets: list[ConceptSet]
    entanglement: dict[str, list[list[Finite]]] = {}
    notes: list[Prose] = []
    entangled_from: Finite = 0.5
    unnamed_rows: int = 0


class CurvePoint(Part):
    """A point of a score curve; ``n`` rows behind it where it is a bin."""

    x: Finite
    y: Finite
    low: Number = None
    high: Number = None
    n: int | None = None


class ScoreCurve(Part):
    """A curve over all thresholds; x, y: (fpr, recall), (recall, precision), (mean score, observed share)."""

    kind: Literal["roc", "pr", "reliability"]
    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    points: list[CurvePoint]


class ThresholdSweep(Part):
    """A metric at other thresholds (x): its value, or with ``against`` its gap; limits of each point alone.

    ``n``: the slice's denominator. ``limit`` and ``rule``: of the rule that limits the gap.
    """

    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    against: str | None = None
    rule: str | None = None
    limit: Number = None
    points: list[CurvePoint]


class WorstGap(Part):
    """The largest gap among an attribute's values; the interval allows for the choice of the extremes."""

    attribute: str
    klass: str | None = Field(alias="class", default=None)
    metric: str
    value: Number
    low: Number
    high: Number
    highest: str | None
    lowest: str | None
    groups: int
    method: Prose
    undefined: Prose | None = None


class Bounds(Part):
    """``lowest`` and ``highest`` bound a figure, ``low`` and ``high`` add sampling error."""

    lowest: Number
    highest: Number
    low: Number
    high: Number


class MissingBounds(Part):
    """A slice's figure over every allocation of the rows whose attribute is missing.

    ``lowest`` and ``highest`` bound the figure, ``low`` and ``high`` add sampling error.
    """

    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    missing: int
    value: Number
    lowest: Number
    highest: Number
    low: Number
    high: Number
    # Of the slice to its complement.
    difference: Bounds | None = None
    ratio: Bounds | None = None
    method: Prose
    undefined: Prose | None = None


class FailedBounds(Part):
    """A slice's figure with its ``failed`` predictions counted as errors; ``value``: without them.

    ``low`` and ``high`` are of ``as_errors``.
    """

    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    failed: int
    value: Number
    as_errors: Number
    low: Number
    high: Number
    method: Prose
    undefined: Prose | None = None


class Change(Part):
    """Model less baseline on the same rows of one slice; ``changed``: rows on which the two differ.

    ``n``: rows that both predicted. ``p_adjusted`` (Holm) and ``p_bh`` are over all changes with a p-value;
    ``change`` is read from the former.
    """

    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    difference: Limits
    p_value: Number
    p_adjusted: Number = None
    p_bh: Number = None
    change: Literal["worse", "no change shown", "better"] | None
    changed: Finite
    method: Prose
    undefined: Prose | None = None
    n: int | None = None


class ImpactRow(Part):
    """One category: its rate, and its ratio to the highest (``printed``: of rounded rates).

    ``selected``: predicted positive, or scored above the median.
    """

    category: list[str]
    number: int
    selected: int
    rate: Finite
    ratio: Number
    printed: Number
    low: Number
    high: Number
    small: bool


class Impact(Part):
    """Impact ratios of one attribute, or of several crossed, in the layout of 6 RCNY 5-301.

    ``median``: of all scores, where the rate is the scoring rate (the share above it).
    """

    attributes: list[str]
    klass: str | None = Field(alias="class", default=None)
    rate: Literal["selection_rate", "scoring_rate"] = "selection_rate"
    median: Number = None
    rows: list[ImpactRow]
    unknown: int
    highest: list[str] | None
    justification: str | None


class AtPrevalence(Part):
    """Precision or NPV of a slice, moved to the stated prevalence of use by Bayes' theorem."""

    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    prevalence: Finite
    value: Number
    low: Number
    high: Number
    method: Prose
    undefined: Prose | None = None


class BreakingPoint(Part):
    """The fewest wrong labels, placed in the worst way, after which a check is no longer met."""

    rule: str
    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    wrong_labels: int
    rows: int


class StatedAccuracy(Part):
    """How often the labels of a class are right, as the configuration states it."""

    klass: str | None = Field(alias="class", default=None)
    sensitivity: Finite
    specificity: Finite


class CorrectedFigure(Part):
    """A figure as ``observed`` against the labels, and against the truth under the stated accuracy.

    ``wrong_labels`` are to be expected among its rows; ``lowest`` and ``highest`` bound the figure if so
    many were placed in the worst way, without any assumption.
    """

    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    observed: Number
    value: Number
    low: Number
    high: Number
    wrong_labels: int
    lowest: Number = None
    highest: Number = None
    method: Prose
    undefined: Prose | None = None


class CorrectedCheck(Part):
    """A check under the stated accuracy: its ``outcome`` as given, and ``corrected``.

    ``value``, ``low`` and ``high`` are of what the check limits (a value, a gap or a ratio).
    ``breaking_accuracy``: of a check that is met, the largest accuracy of labels (sensitivity and
    specificity alike) at which it no longer is; None where it stays met at every one that the log allows.
    """

    rule: str
    slice: SliceValues
    klass: str | None = Field(alias="class", default=None)
    metric: str
    against: str | None = None
    outcome: Outcome
    value: Number
    low: Number
    high: Number
    corrected: Outcome
    breaking_accuracy: Number = None
    undefined: Prose | None = None


class LabelNoise(Part):
    """Figures and checks if labels are wrong as often as ``stated``, independently of the model's calls.

    ``unread``: checks that the correction does not reach (of scores, averages over classes, failed
    predictions, concepts).
    """

    stated: list[StatedAccuracy]
    figures: list[CorrectedFigure]
    checks: list[CorrectedCheck]
    unread: int = 0


class Confusion(Part):
    """Rows by label and prediction over all cases: ``counts[label][predicted]``.

    ``other``: rows of each label whose predicted class is never a label.
    """

    classes: list[str]
    counts: list[list[int]]
    other: list[int]


class Results(Part):
    overall: list[SliceRecord]
    confusion: Confusion | None = None
    slices: list[SliceRecord]
    curves: list[ScoreCurve] = []
    sweeps: list[ThresholdSweep] = []
    sweeps_left_out: int = 0  # slices (times classes) beyond the bound on their number, of curves too
    worst_gaps: list[WorstGap] = []
    missing_bounds: list[MissingBounds] = []
    failed_bounds: list[FailedBounds] = []
    breaking_points: list[BreakingPoint] = []
    changes: list[Change] = []
    impacts: list[Impact] = []
    at_prevalence: list[AtPrevalence] = []
    label_noise: LabelNoise | None = None
    concepts: list[ConceptRecord] = []
    concept_method: ConceptMethod | None = None
    since: Since | None = None


class Rule(Part):
    """A rule of the release policy as read, with its one-sentence wording."""

    id: str
    kind: Literal["floor", "ceiling", "gap", "ratio", "missing_predictions", "concept"]
    metric: str | None = None
    limit: Number = None
    against: str | None = None
    attributes: list[str] = []
    intersections: list[list[str]] = []
    overall: bool = False
    classes: list[str] | None = None
    include_missing: bool = False
    concept: str | None = None
    must_not_drive: list[str] = []
    sentence: Prose


class Policy(Part):
    sha256: str | None
    rules: list[Rule]
    family: int = 0
    minimum: Prose = ""
    lock: dict[str, str] | None = None


class Finding(Part):
    """One rule applied to one slice (and class, or concept and layer)."""

    rule: str
    kind: str
    slice: SliceValues
    klass: str | None = Field(alias="class")
    metric: str | None
    concept: str | None = None
    layer: str | None = None
    against: str | None = None
    limit: Number
    value: Number
    low: Number
    high: Number
    interval: Prose
    level: Number
    outcome: Outcome
    support: int | None = None
    needed_n: int | None = None
    # Cannot tell only because the interval, which meets, leaves failed predictions out.
    met_without_failed: bool = False
    needed_clusters: int | None = None
    reason: Prose | None = None


class Verdict(Part):
    outcome: VerdictOutcome
    meets: int
    fails: int
    cannot_tell: int
    not_enough_data: int
    not_tested: int
    sentence: Prose = ""


class Reading(Part):
    """What one of two releases found of a check; ``layer``: of a concept rule."""

    outcome: Outcome
    limit: Number
    value: Number
    low: Number
    high: Number
    layer: str | None = None


class CheckSince(Part):
    """A check that came out otherwise than in the previous release, or is in one of the two only."""

    rule: str
    kind: str
    slice: SliceValues
    klass: str | None = Field(alias="class")
    metric: str | None
    concept: str | None = None
    against: str | None = None
    then: Reading | None
    now: Reading | None


class RuleSince(Part):
    """A rule that was added (no ``then``), removed (no ``now``) or changed."""

    id: str
    then: Rule | None
    now: Rule | None


class SettingSince(Part):
    """A setting that differs; ``weights``: SHA-256 of the model's file."""

    setting: SettingName
    then: Finite | str | None
    now: Finite | str | None


class SliceSince(Part):
    """A slice that only one of the two releases has; slices within it are not listed beside it."""

    slice: SliceValues
    n: int


class FigureSince(Part):
    """A figure of both releases, now less then.

    ``difference`` has limits for two independent logs, ``joint`` those that hold over all figures that
    were compared; both are None where the two releases read one log. ``change`` is read from ``joint``
    (one log: from the difference itself); ``higher`` and ``lower`` for metrics without a better direction.
    """

    slice: SliceValues
    klass: str | None = Field(alias="class")
    metric: str
    then: Limits
    now: Limits
    difference: Limits
    joint: Limits | None
    change: Literal["worse", "better", "higher", "lower"] | None


class ConceptReading(Part):
    """What one of two releases found of a concept."""

    effect: Limits
    p_adjusted: Number
    verdict: ConceptVerdict


class ConceptSince(Part):
    """A concept test whose answer changed, or that is in one of the two releases only."""

    concept: str
    klass: str = Field(alias="class")
    layer: str
    then: ConceptReading | None
    now: ConceptReading | None


class Since(Part):
    """What changed since the previous release, whose evidence has ``sha256``.

    ``data``: both read one log (the same SHA-256), or two that are alike (as many rows and labels in
    every group: probably the same cases), or different ones. ``figures`` holds the overall figures and
    those that changed by more than chance; ``compared`` is how many figures were compared.
    """

    name: str
    version: str
    date: str | None
    sha256: str
    verdict: Verdict
    policy_sha256: str | None
    data: Literal["same_log", "alike", "different"]
    rows_used: int
    rules: list[RuleSince]
    settings: list[SettingSince]
    checks: list[CheckSince]
    appeared: list[SliceSince]
    vanished: list[SliceSince]
    level: Finite
    joint_level: Number
    compared: int
    figures: list[FigureSince]
    concepts: list[ConceptSince]


class Limitation(Part):
    what: Prose
    who: Prose
    size: Prose
    how_known: Prose
    what_to_do: Prose


class Method(Part):
    """The statistics box: plain sentences, each with its statistic after it."""

    sentences: list[Prose] = []


class Signer(Part):
    """Who is to decide and sign; nothing is signed by being named."""

    role: str
    name: str | None = None


class ReportOptions(Part):
    """What the renderers need of the configuration, so that evidence alone renders the same documents."""

    formats: list[str] = ["html", "pdf"]
    organisation: str | None = None
    accent: str | None = None
    paper: Literal["A4", "Letter"] = "A4"
    language: str = "en"
    logo: str | None = None  # data URI
    sign_off: list[Signer] = []
    wording: dict[str, str] | None = None  # the catalogue of ``language``, where xaudit ships none


class Evidence(Part):
    """One audit run: the canonical document.

    ``texts``: what its generated sentences were made of, by the sentence.
    """

    schema_version: str = SCHEMA_VERSION
    subject: Subject
    run: Run
    data: Data
    results: Results
    policy: Policy
    findings: list[Finding]
    verdict: Verdict
    limitations: list[Limitation] = []
    method: Method = Method()
    report: ReportOptions = ReportOptions()
    texts: dict[str, Text] = {}

    def to_frame(self) -> pandas.DataFrame:
        """Tidy table of slice × class × metric with limits; `reports.tables` names its columns."""
        from reports.tables import to_frame

        return to_frame(self)


def to_bytes(evidence: Evidence) -> bytes:
    """Canonical bytes: sorted keys, indented by one space, shortest floats, UTF-8, one final newline."""
    document = evidence.model_dump(mode="json", by_alias=True)
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    return (text + "\n").encode("utf-8")


def json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of the evidence document."""
    schema = Evidence.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_evidence(path: Path) -> Evidence:
    """Read and validate an evidence document.

    Raises
    ------
    EvidenceError
        The file cannot be read, is not JSON, follows a later schema, or does not follow this one: one line
        that names the key.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"Evidence '{path}' cannot be read: {error.strerror}.") from error
    later = _later_schema(raw)
    if later is not None:
        raise EvidenceError(
            f"Evidence '{path}' follows schema {later}; this version of xaudit reads up to {SCHEMA_VERSION}: "
            "read it with a newer one."
        )
    try:
        return Evidence.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the document"
        raise EvidenceError(
            f"Evidence '{path}' does not follow schema {SCHEMA_VERSION}: at '{where}': {first['msg']}."
        ) from error


def _later_schema(raw: bytes) -> str | None:
    """The schema version of a document where it is later than this one's."""
    try:
        stated = json.loads(raw)["schema_version"]
        numbers = tuple(int(part) for part in stated.split("."))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return stated if numbers > tuple(int(part) for part in SCHEMA_VERSION.split(".")) else None
