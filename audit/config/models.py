"""What ``audit.toml`` may say: its tables, their keys, types, ranges and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from itertools import pairwise
from math import floor
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from audit.config.rules import Policy, Rule
from audit.config.table import Day, Finite, Table, Text, not_among, wrong
from reports.palette import LEAST_CONTRAST, LIGHT, contrast, readable

EXACT = 2**53
Kind = Literal["demographic", "acquisition", "other"]
Tie = Literal[">=", ">"]


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
    date: Day | None = None

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
    """The prediction log and the roles of its columns; ``name``: what people call it."""

    path: Text
    name: Text | None = None
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
    missing: list[str] = Field(default=[""])
    collected: Annotated[list[Day], Field(min_length=2, max_length=2)] | None = None

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

    @field_validator("collected")
    @classmethod
    def _in_order(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and value[0] > value[1]:
            raise wrong(f"the first day comes after the last: found {value[0]}, {value[1]}")
        return value

    @model_validator(mode="after")
    def _one_decision(self) -> Log:
        if self.detection is not None:
            if self.label or self.prediction or self.score or self.scores:
                raise wrong("'detection' stands alone: take away label, prediction, score and scores")
            return self
        if self.label is None:
            raise wrong("'label' is missing: name the column of the true class")
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
    given = [
        key
        for key, value in (("prediction", prediction), ("score", score), ("scores", scores))
        if value is not None
    ]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise wrong(f"exactly one of 'prediction', 'score' and 'scores' is needed: found {found}")
    if scores is not None and len(scores) < 2:
        raise wrong(f"'scores' needs a column for each of two or more classes: found {len(scores)}")
    if score is not None:
        # A threshold without a tie rule leaves the rows on the threshold to chance.
        missing = [key for key, value in (("threshold", threshold), ("tie", tie)) if value is None]
        if missing:
            raise wrong(
                f"'score' needs a threshold and a tie rule: {' and '.join(missing)} missing; "
                'for example threshold = 0.5, tie = ">="'
            )
    if score is None and (threshold is not None or tie is not None):
        raise wrong("'threshold' and 'tie' belong to 'score': found no score column")


def _told_apart(names: dict[str, str]) -> dict[str, str]:
    """Two values under one name would read as one group."""
    first: dict[str, str] = {}
    for value, name in names.items():
        if name in first:
            raise wrong(f"names '{first[name]}' and '{value}' both \"{name}\"; give each a name of its own")
        first[name] = value
    return names


# What the report calls a value; the evidence keeps the value. The table's order is the values' order.
Names = Annotated[dict[Text, Text], AfterValidator(_told_apart)]


class Classes(Table):
    """The classes of a log as the report calls them."""

    names: Names = Field(default={})


class Attribute(Table):
    """A column whose values define slices."""

    name: Text
    kind: Kind = "other"
    column: Text | None = None
    bands: Annotated[list[Finite], Field(min_length=1)] | None = None
    names: Names = Field(default={})

    @field_validator("bands")
    @classmethod
    def _ascending(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and any(b <= a for a, b in pairwise(value)):
            raise wrong(f"cut points must ascend: found {value}")
        if value is not None and any(abs(cut) >= EXACT for cut in value):
            raise wrong(
                f"whole numbers from 2^53 on are not told apart; give smaller cut points: found {value}"
            )
        return value


class Slices(Table):
    """Which slices a run looks at."""

    intersections: Annotated[int, Field(ge=1, le=4)] | list[list[Text]] = 2
    minimum: Annotated[int, Field(ge=1)] = 1


Prevalence = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class LabelAccuracy(Table):
    """How often labels are right: among truly positive rows, and among truly negative ones."""

    sensitivity: Rate
    specificity: Rate

    @model_validator(mode="after")
    def _better_than_chance(self) -> LabelAccuracy:
        if self.sensitivity + self.specificity <= 1:
            raise wrong(
                f"labels with sensitivity {self.sensitivity:g} and specificity {self.specificity:g} are no "
                "better than chance: nothing can be corrected; their sum must be above 1"
            )
        return self


def _one_or_each(value: object) -> str:
    """Whether a label accuracy is one for the log, or one a class."""
    rates = isinstance(value, Mapping) and not all(isinstance(each, Mapping) for each in value.values())
    return ONE if rates or not isinstance(value, Mapping) or not value else EACH


ONE, EACH = "LabelAccuracy", "dict[LabelAccuracy]"
StatedAccuracy = Annotated[
    Annotated[LabelAccuracy, Tag(ONE)] | Annotated[dict[Text, LabelAccuracy], Tag(EACH)],
    Discriminator(_one_or_each),
]


class Statistics(Table):
    """How the statistics are made."""

    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    seed: Annotated[int, Field(ge=0)] = 20261120
    # Limits of precision, recall and other shares: "bootstrap" draws them (BCa) where that is valid.
    proportions: Literal["closed form", "bootstrap"] = "closed form"
    # Of positives where the model is used: one share, or one a class; precision and NPV are moved to it.
    target_prevalence: Prevalence | dict[str, Prevalence] | None = None
    # One for a log of two classes, or one a class; figures and checks are corrected for it.
    label_accuracy: StatedAccuracy | None = None


class Input(Table):
    """How an image becomes the model's input."""

    size: Annotated[list[Annotated[int, Field(ge=1, le=16_384)]], Field(min_length=2, max_length=2)]
    channels: Literal[1, 3] = 3
    mean: list[Finite] = Field(default=[])
    std: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default=[])

    @model_validator(mode="after")
    def _per_channel(self) -> Input:
        for key, values in (("mean", self.mean), ("std", self.std)):
            if values and len(values) != self.channels:
                raise wrong(f"{key} has {len(values)} values for {self.channels} channels")
        return self


class Model(Table):
    """The model that the concept tests look into."""

    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    weights: Text | None = None
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
            raise wrong(f"names '{twice[0]}' twice")
        return value


class Concept(Table):
    """One concept; exactly one source."""

    name: Text
    folder: Text | None = None
    where: dict[Text, str] | None = None
    transform: Text | None = None
    relative_to: list[Text] = Field(default=[])

    @model_validator(mode="after")
    def _one_source(self) -> Concept:
        given = [key for key in ("folder", "where", "transform") if getattr(self, key)]
        if len(given) > 1:
            raise wrong(
                f"concept '{self.name}' needs exactly one of folder, where, transform: "
                f"found {' and '.join(given)}"
            )
        return self


class Concepts(Table):
    """The concept tests: images, classes, the random pool."""

    images: Text | None = None
    image_column: Text | None = None
    classes: list[Text] = Field(default=[])
    random: Text | None = None
    pseudo_concepts: Annotated[int, Field(ge=19, le=100_000)] = 300
    minimum_images: Annotated[int, Field(ge=2)] = 20
    cav: Literal["mean_difference", "pattern", "ridge", "logistic"] = "mean_difference"
    slices: list[Text] = Field(default=[])
    cache: Text | None = None
    # Room that the cache may take; what was used longest ago goes first.
    cache_gigabytes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    recorded: Text | None = None
    concept: Annotated[list[Concept], Field(min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Concepts:
        names = [concept.name for concept in self.concept]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise wrong(f"two concepts are called '{twice[0]}'")
        again = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if again:
            raise wrong(f"classes names '{again[0]}' twice")
        for concept in self.concept:
            for other in concept.relative_to:
                if other not in names:
                    raise wrong(
                        f"concept '{concept.name}' is relative to '{other}', which is no concept here"
                    )
            if self.recorded is None and not (concept.folder or concept.where or concept.transform):
                raise wrong(
                    f"concept '{concept.name}' needs exactly one of folder, where, transform: found none"
                )
            if self.recorded is not None and concept.folder is not None:
                raise wrong(
                    f"concept '{concept.name}' has a folder, and 'recorded' its images by its name: "
                    "take one of them away"
                )
        if self.recorded is not None:
            # The log's image column names the recorded images; the files themselves are not looked at.
            for key in ("images", "random", "cache"):
                if getattr(self, key) is not None:
                    raise wrong(f"'{key}' has no use beside 'recorded': take one of them away")
        elif (self.images is None) != (self.image_column is None):
            raise wrong("'images' and 'image_column' go together: one of them is missing")
        return self


ImpactRate = Literal["selection_rate", "scoring_rate"]


class Signer(Table):
    """Who is to decide on the release; the report names them and signs nothing."""

    role: Text
    name: Text | None = None


def _readable(colour: str) -> str:
    """A house colour carries links and lines on white paper."""
    if readable(colour) != colour.lower():
        raise wrong(
            f"'{colour}' has a contrast of {contrast(colour, LIGHT.panel):.1f} : 1 on the page's panels; "
            f"links and names need {LEAST_CONTRAST} : 1 (WCAG 2.2, 1.4.3). A shade of it that has it: "
            f"'{readable(colour)}'"
        )
    return colour


Accent = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$"), AfterValidator(_readable)]


class Report(Table):
    """What is rendered, and the house's look."""

    formats: list[Text] = Field(default=["html", "pdf"])
    organisation: Text | None = None
    accent: Accent | None = None
    paper: Literal["A4", "Letter"] = "A4"
    language: Text = "en"
    logo: Text | None = None
    previous: Text | None = None  # evidence.json of the last release
    impact_ratios: list[Annotated[list[Text], Field(min_length=1)]] = Field(default=[])
    impact_rates: Annotated[list[ImpactRate], Field(min_length=1)] = Field(default=["selection_rate"])
    impact_justification: Text | None = None
    sign_off: Annotated[list[Signer], Field(max_length=4)] = Field(default=[])

    @field_validator("impact_rates")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise wrong(f"names '{value[0]}' twice: take one away")
        return value

    @model_validator(mode="after")
    def _rates_of_something(self) -> Report:
        if "impact_rates" in self.model_fields_set and not self.impact_ratios:
            raise wrong("'impact_rates' without 'impact_ratios': name the attributes there")
        return self


class Config(Table):
    """The whole configuration."""

    subject: Subject = Subject()
    log: Log
    attributes: list[Attribute] = Field(default=[])
    classes: Classes = Classes()
    slices: Slices = Slices()
    statistics: Statistics = Statistics()
    policy: Policy = Policy()
    model: Model | None = None
    concepts: Concepts | None = None
    report: Report = Report()
    card: dict[Text, str] = Field(default={})

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        names = [attribute.name for attribute in self.attributes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise wrong(f"[[attributes]] names '{twice[0]}' twice")
        if isinstance(self.slices.intersections, list):
            for combination in self.slices.intersections:
                for name in combination:
                    if name not in names:
                        raise wrong(
                            f"[slices] intersections names '{name}'{not_among(names, name, 'an attribute')}"
                        )
        if self.concepts is not None and self.model is None:
            raise wrong("[concepts] needs a [model]: found none")
        if self.model is not None and self.concepts is None:
            raise wrong("[model] is given without [concepts]: add concepts, or take [model] away")
        if self.model is not None and self.concepts is not None:
            for name in self.concepts.classes:
                if name not in self.model.outputs:
                    raise wrong(
                        f"[concepts] classes names "
                        f"'{name}'{not_among(self.model.outputs, name, 'an output of [model]')}"
                    )
            for name in self.concepts.slices:
                if name not in names:
                    raise wrong(f"[concepts] slices names '{name}'{not_among(names, name, 'an attribute')}")
        if self.concepts is not None:
            # The smallest p-value of R pseudo-concepts is 1 / (R + 1); rounding: 1 - 0.95 is not quite 0.05.
            needed = floor(1 / round(1 - self.statistics.confidence, 12) + 1e-9)
            if self.concepts.pseudo_concepts < needed:
                raise wrong(
                    f"[concepts] pseudo_concepts is {self.concepts.pseudo_concepts}; at confidence "
                    f"{self.statistics.confidence:g} no test could reject: at least {needed} are needed"
                )
            if self.model is not None and self.concepts.recorded is not None:
                for key in ("weights", "factory", "output"):
                    if getattr(self.model, key) is not None:
                        raise wrong(
                            f"[model] '{key}' has no use beside [concepts] recorded, which stands for the "
                            "model: take one of them away"
                        )
            if self.model is not None and self.model.weights is None and self.concepts.recorded is None:
                raise wrong(
                    "[model] 'weights' is missing: name the weights file, or a recording under [concepts]"
                )
        for combination in self.report.impact_ratios:
            for name in combination:
                if name not in names:
                    raise wrong(
                        f"[report] impact_ratios names '{name}'{not_among(names, name, 'an attribute')}"
                    )
        for rule in self.policy.rules:
            self._check_concept_rule(rule)
        return self

    def _check_concept_rule(self, rule: Rule) -> None:
        if rule.concept is None:
            return
        if self.concepts is None:
            raise wrong(f"rule '{rule.id}' names concept '{rule.concept}': there is no [concepts]")
        known = [concept.name for concept in self.concepts.concept]
        if rule.concept not in known:
            raise wrong(
                f"rule '{rule.id}' names concept '{rule.concept}'"
                f"{not_among(known, rule.concept, 'a concept')}"
            )
        classes = self.concepts.classes or (self.model.outputs if self.model else [])
        for name in rule.must_not_drive:
            if name not in classes:
                raise wrong(
                    f"rule '{rule.id}': must_not_drive names "
                    f"'{name}'{not_among(classes, name, 'a class of [concepts]')}"
                )
