"""Configuration: what ``audit.toml`` may say, read and checked; every message is one line.

The models, how a file is read, and how a mistake is told. What the values mean for the
log and the concepts is ``audit.translate``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from audit.errors import InputError
from audit.metric_names import METRICS, SYNONYMS, canonical

Kind = Literal["demographic", "acquisition", "other"]
Tie = Literal[">=", ">"]
Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Table(BaseModel):
    """A table of the configuration: closed (an unknown key is bad input), immutable, no coercion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


def _wrong(message: str) -> PydanticCustomError:
    """A mistake that only several keys together make; ``message`` is told as it is."""
    return PydanticCustomError("xaudit", "{message}", {"message": message})


def _as_iso(value: object) -> object:
    """TOML has dates of its own; the evidence has text."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else value


class Subject(Table):
    """What is audited. Left out: the log's file name, "not stated"."""

    name: Text | None = None
    version: Text = "not stated"
    purpose: Text = "not stated"
    date: Text | None = None

    _date = field_validator("date", mode="before")(_as_iso)


class Detection(Table):
    """Columns of per-image counts of a detection or segmentation log."""

    tp: Text
    fp: Text
    fn: Text
    tn: Text | None = None


class Baseline(Table):
    """The decision columns of the model to compare with."""

    prediction: Text | None = None
    score: Text | None = None
    scores: dict[Text, Text] | None = None
    threshold: Finite | None = None
    tie: Tie | None = None


class Log(Table):
    """The prediction log and the roles of its columns."""

    path: Text
    query: Text | None = None
    label: Text | None = None
    prediction: Text | None = None
    score: Text | None = None
    scores: dict[Text, Text] | None = None
    threshold: Finite | None = None
    tie: Tie | None = None
    positive: Text | None = None
    klass: Text | None = Field(default=None, alias="class")
    cluster: Text | None = None
    weight: Text | None = None
    id: Text | None = None
    baseline: Text | Baseline | None = None
    detection: Detection | None = None
    missing: list[str] = [""]
    collected: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = None

    @field_validator("positive", mode="before")
    @classmethod
    def _positive(cls, value: object) -> object:
        """``positive = 1`` and ``positive = true`` mean the text that the column holds."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, int | float) else value

    @field_validator("collected", mode="before")
    @classmethod
    def _collected(cls, value: object) -> object:
        return [_as_iso(item) for item in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_decision(self) -> Log:
        if self.detection is not None:
            if self.label or self.prediction or self.score or self.scores:
                raise _wrong("'detection' stands alone: take away label, prediction, score and scores")
            return self
        if self.label is None:
            raise _wrong("'label' is missing: name the column of the true class")
        _check_decision(self.prediction, self.score, self.scores, self.threshold, self.tie)
        if isinstance(self.baseline, Baseline):
            base = self.baseline
            _check_decision(base.prediction, base.score, base.scores, base.threshold, base.tie)
        return self


def _check_decision(
    prediction: str | None,
    score: str | None,
    scores: Mapping[str, str] | None,
    threshold: float | None,
    tie: str | None,
) -> None:
    """Exactly one way to tell what the model decided, wholly stated."""
    if prediction is None and score is None and scores is None:
        raise _wrong("one of 'prediction', 'score' and 'scores' is needed: found none of them")
    if scores is not None and (prediction is not None or score is not None):
        raise _wrong("'scores' stands alone: take away prediction and score")
    if scores is not None and len(scores) < 2:
        raise _wrong(f"'scores' needs a column for each of two or more classes: found {len(scores)}")
    if score is not None and prediction is None:
        # A threshold without a tie rule leaves the rows on the threshold to chance.
        missing = [key for key, value in (("threshold", threshold), ("tie", tie)) if value is None]
        if missing:
            raise _wrong(
                f"'score' needs a threshold and a tie rule: {' and '.join(missing)} missing; "
                'for example threshold = 0.5, tie = ">="'
            )
    if score is None and (threshold is not None or tie is not None):
        raise _wrong("'threshold' and 'tie' belong to 'score': found no score column")


class Attribute(Table):
    """A column whose values define slices."""

    name: Text
    kind: Kind = "other"
    column: Text | None = None
    bands: Annotated[list[Finite], Field(min_length=1)] | None = None

    @field_validator("bands")
    @classmethod
    def _ascending(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and any(b <= a for a, b in zip(value, value[1:], strict=False)):
            raise _wrong(f"cut points must ascend: found {value}")
        return value


class Slices(Table):
    """Which slices a run looks at."""

    intersections: Annotated[int, Field(ge=1, le=4)] | list[list[Text]] = 2
    minimum: Annotated[int, Field(ge=1)] = 1


class Statistics(Table):
    """How the statistics are made."""

    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    seed: Annotated[int, Field(ge=0)] = 20261120


class Rule(Table):
    """One rule of the release policy."""

    id: Text
    metric: Text | None = None
    at_least: Finite | None = None
    at_most: Finite | None = None
    gap_at_most: Annotated[float, Field(ge=0, le=1)] | None = None
    ratio_at_least: Annotated[float, Field(gt=0, le=1)] | None = None
    max_missing_predictions: Fraction | None = None
    attributes: list[Text] = []
    intersections: list[Annotated[list[Text], Field(min_length=2)]] = []
    slices: list[dict[Text, str]] = []
    overall: bool = False
    classes: Annotated[list[Text], Field(min_length=1)] | None = None
    against: Text | None = None
    include_missing: bool = False
    concept: Text | None = None
    must_not_drive: list[Text] = []
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str | None) -> str | None:
        if value is None:
            return None
        name = canonical(value)
        if name is None:
            near = get_close_matches(value, [*METRICS, *SYNONYMS], n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"It may be: {', '.join(METRICS)}."
            raise _wrong(f"no metric is called '{value}'. {hint}")
        return name

    @model_validator(mode="after")
    def _one_limit(self) -> Rule:
        if self.concept is not None:
            return self._concept_rule()
        if self.must_not_drive or self.margin is not None:
            raise _wrong("'must_not_drive' and 'margin' belong to a rule with 'concept'")
        limits = {
            key: value
            for key, value in (
                ("at_least", self.at_least),
                ("at_most", self.at_most),
                ("gap_at_most", self.gap_at_most),
                ("ratio_at_least", self.ratio_at_least),
                ("max_missing_predictions", self.max_missing_predictions),
            )
            if value is not None
        }
        if len(limits) != 1:
            found = " and ".join(limits) if limits else "none"
            raise _wrong(
                "needs exactly one of at_least, at_most, gap_at_most, ratio_at_least, "
                f"max_missing_predictions: found {found}"
            )
        if "max_missing_predictions" in limits:
            if self.metric is not None:
                raise _wrong("'max_missing_predictions' takes no metric: take 'metric' away")
        elif self.metric is None:
            raise _wrong("'metric' is missing")
        pairs = "gap_at_most" in limits or "ratio_at_least" in limits
        if self.against is not None and not pairs:
            raise _wrong("'against' belongs to gap_at_most and ratio_at_least")
        if self.overall and pairs:
            raise _wrong("'overall' has nothing to be compared with: take it away, or name attributes")
        if not (self.attributes or self.intersections or self.slices or self.overall):
            raise _wrong("names no slice: add attributes, intersections, slices or overall = true")
        if self.against not in (None, "complement") and (
            self.intersections or self.slices or len(self.attributes) != 1
        ):
            raise _wrong(
                f"'against' = '{self.against}' is a value of one attribute: 'attributes' must name that one"
            )
        low, high = (-1.0, 1.0) if self.metric == "mcc" else (0.0, 1.0)
        for key in ("at_least", "at_most"):
            if key in limits and not low <= limits[key] <= high:
                raise _wrong(f"{key} is {limits[key]:g}; {self.metric} lies between {low:g} and {high:g}")
        return self

    def _concept_rule(self) -> Rule:
        extra = [
            key
            for key in (
                "metric",
                "at_least",
                "at_most",
                "gap_at_most",
                "ratio_at_least",
                "max_missing_predictions",
                "attributes",
                "intersections",
                "slices",
                "overall",
                "classes",
                "against",
                "include_missing",
            )
            if getattr(self, key)
        ]
        if extra:
            raise _wrong(f"a rule with 'concept' takes must_not_drive and margin only: take {extra[0]} away")
        if not self.must_not_drive:
            raise _wrong("'must_not_drive' is missing: name the classes that the concept must not drive")
        return self


class Policy(Table):
    """The release policy: its rules and the small-slice rule.

    ``minimum`` is "nchs" (the precision rule of the NCHS Data Presentation Standards for
    Proportions) or a stated support; ``minimum_support`` serves metrics that are no proportions.
    """

    rules: list[Rule] = []
    minimum: Literal["nchs"] | Annotated[int, Field(ge=1)] = "nchs"
    minimum_support: Annotated[int, Field(ge=1)] = 30

    @model_validator(mode="after")
    def _unique(self) -> Policy:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise _wrong(f"two rules are called '{rule.id}'; give each an id of its own")
            seen.add(rule.id)
        return self


class Input(Table):
    """How an image becomes the model's input."""

    size: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]
    channels: Literal[1, 3] = 3
    mean: list[Finite] = []
    std: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = []

    @model_validator(mode="after")
    def _per_channel(self) -> Input:
        for key, values in (("mean", self.mean), ("std", self.std)):
            if values and len(values) != self.channels:
                raise _wrong(f"{key} has {len(values)} values for {self.channels} channels")
        return self


class Model(Table):
    """The model that the concept tests look into."""

    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    weights: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    layers: Annotated[list[Text], Field(min_length=1)]
    outputs: Annotated[list[Text], Field(min_length=1)]
    input: Input
    output: Text | int | None = None
    pooling: Literal["flatten", "mean", "class_token"] = "flatten"

    @field_validator("outputs")
    @classmethod
    def _distinct(cls, value: list[str]) -> list[str]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise _wrong(f"names '{twice[0]}' twice")
        return value


class Concept(Table):
    """One concept; exactly one source."""

    name: Text
    folder: Text | None = None
    where: dict[Text, str] | None = None
    transform: Text | None = None
    relative_to: list[Text] = []

    @model_validator(mode="after")
    def _one_source(self) -> Concept:
        given = [key for key in ("folder", "where", "transform") if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise _wrong(f"concept '{self.name}' needs exactly one of folder, where, transform: found {found}")
        return self


class Concepts(Table):
    """The concept tests: images, classes, the random pool."""

    images: Text | None = None
    image_column: Text | None = None
    classes: list[Text] = []
    random: Text | None = None
    pseudo_concepts: Annotated[int, Field(ge=19)] = 300
    minimum_images: Annotated[int, Field(ge=2)] = 20
    cav: Literal["ridge", "logistic", "mean_difference", "pattern"] = "ridge"
    slices: list[Text] = []
    cache: Text | None = None
    recorded: Text | None = None
    concept: Annotated[list[Concept], Field(min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Concepts:
        names = [concept.name for concept in self.concept]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _wrong(f"two concepts are called '{twice[0]}'")
        for concept in self.concept:
            for other in concept.relative_to:
                if other not in names:
                    raise _wrong(f"concept '{concept.name}' is relative to '{other}', which is no concept here")
        if (self.images is None) != (self.image_column is None):
            raise _wrong("'images' and 'image_column' go together: one of them is missing")
        return self


class Report(Table):
    """What is rendered, and the house's look."""

    formats: list[Text] = ["html", "pdf"]
    organisation: Text | None = None
    accent: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] | None = None
    paper: Literal["A4", "Letter"] = "A4"
    language: Text = "en"
    logo: Text | None = None


class Config(Table):
    """The whole configuration."""

    subject: Subject = Subject()
    log: Log
    attributes: list[Attribute] = []
    slices: Slices = Slices()
    statistics: Statistics = Statistics()
    policy: Policy = Policy()
    model: Model | None = None
    concepts: Concepts | None = None
    report: Report = Report()
    card: dict[Text, str] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        names = [attribute.name for attribute in self.attributes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _wrong(f"[[attributes]] names '{twice[0]}' twice")
        if isinstance(self.slices.intersections, list):
            for combination in self.slices.intersections:
                for name in combination:
                    if name not in names:
                        raise _wrong(f"[slices] intersections names '{name}'{_of(names, name, 'an attribute')}")
        if self.concepts is not None and self.model is None:
            raise _wrong("[concepts] needs a [model]: found none")
        if self.model is not None and self.concepts is None:
            raise _wrong("[model] is given without [concepts]: add concepts, or take [model] away")
        if self.model is not None and self.concepts is not None:
            for name in self.concepts.classes:
                if name not in self.model.outputs:
                    raise _wrong(
                        f"[concepts] classes names '{name}'{_of(self.model.outputs, name, 'an output of [model]')}"
                    )
            for name in self.concepts.slices:
                if name not in names:
                    raise _wrong(f"[concepts] slices names '{name}'{_of(names, name, 'an attribute')}")
        for rule in self.policy.rules:
            self._check_concept_rule(rule)
        return self

    def _check_concept_rule(self, rule: Rule) -> None:
        if rule.concept is None:
            return
        if self.concepts is None:
            raise _wrong(f"rule '{rule.id}' names concept '{rule.concept}': there is no [concepts]")
        known = [concept.name for concept in self.concepts.concept]
        if rule.concept not in known:
            raise _wrong(f"rule '{rule.id}' names concept '{rule.concept}'{_of(known, rule.concept, 'a concept')}")
        classes = self.concepts.classes or (self.model.outputs if self.model else [])
        for name in rule.must_not_drive:
            if name not in classes:
                raise _wrong(
                    f"rule '{rule.id}': must_not_drive names '{name}'{_of(classes, name, 'a class of [concepts]')}"
                )


def _of(known: Sequence[str], found: str, what: str) -> str:
    """The tail of a message about a name that is not among the known ones."""
    near = get_close_matches(found, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(known) if known else "none"
    return f", which is not {what}; there is: {listed}.{hint}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration as read.

    Attributes
    ----------
    config : Config
    root : Path
        Folder that relative paths start from: the configuration file's own.
    name : str or None
        The configuration's file name, None where it came from command-line flags.
    sha256 : str or None
        Hash of the file's bytes.
    command : str
        The command that repeats the run.
    """

    config: Config
    root: Path
    name: str | None
    sha256: str | None
    command: str


def load(path: Path) -> Loaded:
    """Read and check a configuration file.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or says something that it may not say.
    """
    try:
        raw = path.read_bytes()
    except IsADirectoryError as error:
        raise InputError(f"Configuration '{path}' is a folder: name the audit.toml in it.") from error
    except OSError as error:
        raise InputError(f"Configuration '{path}' cannot be read: {error.strerror}.") from error
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"Configuration '{path}' is not UTF-8 text (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"Configuration '{path}' is not valid TOML: {error}.") from error
    config = from_document(document, where=path.name)
    return Loaded(
        config=config,
        root=path.resolve().parent,
        name=path.name,
        sha256=sha256(raw).hexdigest(),
        command=f"xaudit run {path.name} --out DIR",
    )


def from_document(document: Mapping[str, Any], *, where: str) -> Config:
    """Check a configuration that has been parsed; ``where`` opens the message.

    Raises
    ------
    InputError
        One line that names the key, what was found and how to mend it.
    """
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{where}: {_tell(_first(error.errors(), document), document)}") from error


def _first(errors: Sequence[ErrorDetails], document: Mapping[str, Any]) -> ErrorDetails:
    """The mistake to tell: inside a table that may also be a name, the one that is about the table."""
    log = document.get("log")
    if isinstance(log, Mapping) and isinstance(log.get("baseline"), Mapping):
        return next((error for error in errors if "Baseline" in error["loc"]), errors[0])
    return errors[0]


def policy_hash(policy: Policy) -> str:
    """SHA-256 of the policy as read: canonical JSON of what is stated, so comments and order of keys do not count."""
    import json

    stated = policy.model_dump(mode="json", exclude_none=True)
    return sha256(json.dumps(stated, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configuration."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "audit.toml", **schema}


def _tell(error: ErrorDetails, document: Mapping[str, Any]) -> str:
    """One line on one mistake: the key, what was found, how to mend it."""
    steps = [step for step in error["loc"] if not _is_branch(step)]
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    key = _spelt(steps, document)
    if kind == "xaudit":
        message = str(context["message"])
        return _sentence(f"{key}: {message}" if key else message)
    if kind == "extra_forbidden":
        table = _spelt(steps[:-1], document) or "the configuration"
        known = _keys(steps[:-1])
        return f"unknown key '{steps[-1]}' in {table}{_unknown_tail(str(steps[-1]), known)}"
    if kind == "missing":
        table = _spelt(steps[:-1], document)
        return f"{table + ' ' if table else ''}'{steps[-1]}' is missing: {_missing_hint(str(steps[-1]))}."
    shown = _shown(found)
    if str(steps[-1]) in _UNIONS and kind in {*_TYPES, "literal_error"}:
        return f"{key} is {shown}; it must be {_UNIONS[str(steps[-1])]}."
    if kind in ("literal_error", "enum"):
        return f"{key} is {shown}; it must be {context['expected']}."
    bounds = {
        "greater_than_equal": ("at least", "ge"),
        "greater_than": ("above", "gt"),
        "less_than_equal": ("at most", "le"),
        "less_than": ("below", "lt"),
    }
    if kind in bounds:
        words, name = bounds[kind]
        return f"{key} is {shown}; it must be {words} {context[name]:g}."
    if kind == "string_pattern_mismatch":
        return f"{key} is {shown}; it must look like {_pattern_example(str(steps[-1]))}."
    if kind == "string_too_short":
        return f"{key} is empty; give it a text."
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length") if kind == "too_short" else context.get("max_length")
        return f"{key} has {context.get('actual_length')} values; it must have {'at least' if kind == 'too_short' else 'at most'} {bound}."
    if kind == "finite_number":
        return f"{key} is {shown}; it must be a finite number."
    expected = _TYPES.get(kind)
    if expected:
        return f"{key} is {shown}; it must be {expected}."
    return _sentence(f"{key} is {shown}: {error['msg'][0].lower()}{error['msg'][1:]}")


# Keys that take one of two shapes: pydantic tells only of the first.
_UNIONS = {
    "intersections": "a whole number from 1 to 4, or a list of lists of attribute names",
    "baseline": "a column's name, or a table with prediction or score",
    "minimum": "'nchs' or a whole number from 1",
    "output": "the name or the number of one of the model's heads",
}

_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def _is_branch(step: int | str) -> bool:
    """Whether a step of pydantic's location names a branch of a union and not a key."""
    return isinstance(step, str) and (
        step in {"Baseline", "int", "str", "constrained-int", "constrained-str"}
        or step.startswith(("list[", "literal[", "constrained", "function-"))
    )


def _spelt(steps: Sequence[int | str], document: Mapping[str, Any]) -> str:
    """A location as the file writes it: ``[[policy.rules]] 'fpr-gap' metric``."""
    if not steps:
        return ""
    here: Any = document
    table: list[str] = []
    rest: list[str] = []
    for step in steps:
        if isinstance(step, int):
            here = here[step] if isinstance(here, list) and step < len(here) else None
            name = here.get("id", here.get("name")) if isinstance(here, dict) else None
            if isinstance(here, dict):
                table = [f"[[{'.'.join(table)}]]" + (f" '{name}'" if name else f" number {step + 1}")]
            else:
                rest.append(f"number {step + 1}")
            continue
        here = here.get(step) if isinstance(here, dict) else None
        if isinstance(here, dict) and not rest and not (table and table[0].startswith("[[")):
            table.append(step)
        elif isinstance(here, list) and here and isinstance(here[0], dict) and not rest:
            table.append(step)
        else:
            rest.append(step)
    if table and not table[0].startswith("[["):
        table = [f"[{'.'.join(table)}]"]
    return " ".join([*table, *rest])


def _keys(steps: Sequence[int | str]) -> list[str]:
    """The keys that the table at a location knows."""
    model: Any = Config
    for step in steps:
        if isinstance(step, int):
            continue
        field = next(
            (info for name, info in model.model_fields.items() if step in (name, info.alias)),
            None,
        )
        model = _model_in(field.annotation) if field is not None else None
        if model is None:
            return []
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[Table] | None:
    """The table class inside an annotation such as ``list[Rule] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _unknown_tail(found: str, known: Sequence[str]) -> str:
    near = get_close_matches(found, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"; it knows: {', '.join(known)}.{hint}" if known else "."


def _missing_hint(key: str) -> str:
    hints = {
        "log": "add a [log] table with path, label and prediction",
        "path": "name the file or folder of the log",
        "id": "give the rule a name",
        "name": "give it a name",
        "weights": "name the weights file (.safetensors, .pt or .pt2)",
        "layers": "name the layers to test; `xaudit layers` lists them",
        "outputs": "list the class names in logit order",
        "input": "state size, channels, mean and std",
        "concept": "add a [[concepts.concept]]",
    }
    return hints.get(key, "add it")


def _pattern_example(key: str) -> str:
    examples = {
        "factory": "'package.module:function'",
        "sha256": "64 digits 0-9a-f",
        "accent": "'#0b5fa5'",
    }
    return examples.get(key, "the example in the documentation")


def _shown(value: object) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "?")) else text + "."
