"""The release policy: what a rule may say."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from audit.config.table import Finite, Fraction, Table, Text, wrong
from audit.metric_names import METRICS, SYNONYMS, canonical


class Rule(Table):
    """One rule of the release policy."""

    id: Text
    metric: Text | None = None
    at_least: Finite | None = None
    at_most: Finite | None = None
    gap_at_most: Annotated[float, Field(ge=0, le=2)] | None = None
    ratio_at_least: Annotated[float, Field(gt=0, le=1)] | None = None
    max_missing_predictions: Fraction | None = None
    attributes: list[Text] = Field(default=[])
    intersections: list[Annotated[list[Text], Field(min_length=2)]] = Field(default=[])
    slices: list[dict[Text, str]] = Field(default=[])
    overall: bool = False
    classes: Annotated[list[Text], Field(min_length=1)] | None = None
    against: Text | None = None
    include_missing: bool = False
    concept: Text | None = None
    must_not_drive: list[Text] = Field(default=[])
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
            raise wrong(f"no metric is called '{value}'. {hint}")
        return name

    @field_validator("attributes", "classes", "must_not_drive")
    @classmethod
    def _each_once(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if (value or []).count(name) > 1:
                raise wrong(f"names '{name}' twice: take one away")
        return value

    @field_validator("intersections")
    @classmethod
    def _crossed_once(cls, value: list[list[str]]) -> list[list[str]]:
        for group in value:
            for name in group:
                if group.count(name) > 1:
                    raise wrong(f"{group} names '{name}' twice: an attribute is not crossed with itself")
        sets = [sorted(group) for group in value]
        for group in sets:
            if sets.count(group) > 1:
                raise wrong(f"{group} is named twice: take one away")
        return value

    @model_validator(mode="after")
    def _one_limit(self) -> Rule:
        if self.concept is not None:
            return self._concept_rule()
        if self.must_not_drive or self.margin is not None:
            raise wrong("'must_not_drive' and 'margin' belong to a rule with 'concept'")
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
            raise wrong(
                "needs exactly one of at_least, at_most, gap_at_most, ratio_at_least, "
                f"max_missing_predictions: found {found}"
            )
        if "max_missing_predictions" in limits:
            if self.metric is not None:
                raise wrong("'max_missing_predictions' takes no metric: take 'metric' away")
        elif self.metric is None:
            raise wrong("'metric' is missing")
        pairs = "gap_at_most" in limits or "ratio_at_least" in limits
        if self.against is not None and not pairs:
            raise wrong("'against' belongs to gap_at_most and ratio_at_least")
        if self.overall and pairs:
            raise wrong("'overall' has nothing to be compared with: take it away, or name attributes")
        if not (self.attributes or self.intersections or self.slices or self.overall):
            raise wrong("names no slice: add attributes, intersections, slices or overall = true")
        if self.against not in (None, "complement") and (
            self.intersections or self.slices or len(self.attributes) != 1
        ):
            raise wrong(
                f"'against' = '{self.against}' is a value of one attribute: 'attributes' must name that one"
            )
        widest = 2.0 if self.metric == "mcc" else 1.0
        if limits.get("gap_at_most", 0.0) > widest:
            raise wrong(
                f"gap_at_most is {limits['gap_at_most']:g}; a gap of {self.metric} lies between 0 and "
                f"{widest:g}"
            )
        low, high = (-1.0, 1.0) if self.metric == "mcc" else (0.0, 1.0)
        for key in ("at_least", "at_most"):
            if key in limits and not low <= limits[key] <= high:
                raise wrong(f"{key} is {limits[key]:g}; {self.metric} lies between {low:g} and {high:g}")
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
            raise wrong(f"a rule with 'concept' takes must_not_drive and margin only: take {extra[0]} away")
        if not self.must_not_drive:
            raise wrong("'must_not_drive' is missing: name the classes that the concept must not drive")
        return self


class Policy(Table):
    """The release policy: its rules and the small-slice rule.

    ``minimum`` is "nchs" (the precision rule of the NCHS Data Presentation Standards for
    Proportions) or a stated support; ``minimum_support`` serves metrics that are no proportions.
    ``lock`` is the file of a policy lock, which ``xaudit lock`` writes.
    """

    rules: list[Rule] = Field(default=[])
    minimum: Literal["nchs"] | Annotated[int, Field(ge=1)] = "nchs"
    minimum_support: Annotated[int, Field(ge=1)] = 30
    lock: Text | None = None

    @model_validator(mode="after")
    def _unique(self) -> Policy:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise wrong(f"two rules are called '{rule.id}'; give each an id of its own")
            seen.add(rule.id)
        return self
