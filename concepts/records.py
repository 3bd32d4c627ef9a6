"""Records: what the concept stage is asked and what it answers. Data only; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ConceptVerdict = Literal["drives", "opposes", "no_effect_shown", "not_learnt"]
#: A slice's effect against that of the class's other images, signed: an opposing concept's is "lower" there
#: where it opposes more.
DifferenceVerdict = Literal["higher", "lower", "not_shown"]

#: Name of the pool that negatives and pseudo-concepts come from; no concept may bear it.
RANDOM = "random"


@dataclass(frozen=True, slots=True)
class InputFormat:
    """How an image file becomes a tensor: (height, width) in pixels, channels, mean and std a channel."""

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as configured. ``factory`` is "package.module:function" (None for a .pt2 archive)."""

    weights: Path
    factory: str | None
    sha256: str | None
    layers: tuple[str, ...]
    outputs: tuple[str, ...]
    input: InputFormat
    output: str | int | None = None  # which head of a multi-output model
    pooling: Literal["flatten", "mean", "class_token"] = "flatten"
    pooling_stated: bool = False  # a recording must then have been made with it


@dataclass(frozen=True, slots=True)
class ConceptSpec:
    """One concept; exactly one source: folder, where (rows of the log), transform (a named function).

    ``relative_to``: names of the concepts it is tested against (Kim et al. 2018, section 3.6),
    else random negatives.
    """

    name: str
    folder: Path | None = None
    where: Mapping[str, str] | None = None
    transform: str | None = None
    relative_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogImages:
    """The log's rows as the concept stage sees them; all lists have one entry a row.

    ``files`` are paths relative to ``root``; ``labels`` class names; ``attributes`` the slicing
    attributes' values as text (bands applied), None where missing; ``clusters`` what belongs together
    (patient, video, site visit), None where no column says it, an entry None where a row is on its own;
    ``unnamed`` rows of the log that name no image, and so are not here.
    """

    root: Path
    files: tuple[str, ...]
    labels: tuple[str | None, ...]
    attributes: Mapping[str, tuple[str | None, ...]]
    clusters: tuple[str | None, ...] | None = None
    unnamed: int = 0


@dataclass(frozen=True, slots=True)
class ConceptStageSpec:
    """Everything that the concept stage is asked."""

    model: ModelSpec
    concepts: tuple[ConceptSpec, ...]
    classes: tuple[str, ...]
    random: Path | None
    pseudo_concepts: int
    confidence: float
    resamples: int
    seed: int
    log: LogImages | None
    slices: tuple[tuple[tuple[str, str | None], ...], ...] = ()  # slices to score separately
    minimum_images: int = 20
    cav: Literal["ridge", "logistic", "mean_difference", "pattern"] = "mean_difference"
    cache: Path | None = None
    cache_gigabytes: float = 20.0  # what was used longest ago goes when the cache takes more
    recorded: Path | None = None  # activations and gradients logged elsewhere


@dataclass(frozen=True, slots=True)
class Cav:
    """Held-out quality of a concept's activation vectors at one layer.

    ``auc`` with its interval; ``auc_null`` the (confidence) quantile of the pseudo-concepts' AUC that it
    must exceed; ``stability`` the mean cosine across resamples of the concept set.
    """

    accuracy: float | None
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    auc_null: float | None
    stability: float | None


@dataclass(frozen=True, slots=True)
class ConceptResult:
    """One concept x class x layer (x slice; empty: all images of the class).

    ``score`` is the sign count (share of images whose logit derivative along the CAV is positive,
    zeros apart), ``low``/``high`` its interval; ``effect`` the mean logit derivative along the CAV,
    scaled to the distance concept minus negatives along it (logits), from which ``p_value``,
    ``p_adjusted`` (max-T over the family) and the verdict are read.
    """

    concept: str
    klass: str
    layer: str
    slice: tuple[tuple[str, str | None], ...]
    score: float | None
    low: float | None
    high: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    p_value: float | None
    p_adjusted: float | None
    smooth: float | None
    magnitude: float | None
    zero_gradients: int
    images: int
    cav: Cav
    verdict: ConceptVerdict
    undefined: str | None
    null_effects: tuple[float, ...] = ()  # the pseudo-concepts' effects, sorted: drawn in the report
    p_holm: float | None = None
    p_bh: float | None = None
    # Slice records only: the slice's effect minus that of the class's other images ("rest"). The p-values
    # are the larger of two: against the same difference under the pseudo-concepts, and with membership of
    # the slice permuted. The verdict needs an interval beside 0 too. An association, not a cause.
    rest_effect: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    difference_p_value: float | None = None
    difference_p_adjusted: float | None = None
    difference_verdict: DifferenceVerdict | None = None
    clusters: int | None = None  # of the images; images with equal content where the log names none


@dataclass(frozen=True, slots=True)
class ConceptSet:
    """A set of images as used: its name, source in words, number of images, one hash over all of them.

    ``used``: the number of images in one set drawn from it (None for the pool).
    """

    name: str
    source: str
    images: int
    sha256: str
    used: int | None = None


@dataclass(frozen=True, slots=True)
class ConceptStage:
    """All that the concept stage found."""

    results: tuple[ConceptResult, ...]
    sets: tuple[ConceptSet, ...]
    entanglement: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    weights_sha256: str | None = None
    method: str = ""
    set_size: int = 0
    pseudo_concepts: int = 0
    layers: Mapping[str, str] = field(default_factory=dict)  # layer -> "flattened 12544" and the like
    recording_sha256: str | None = None  # of what was read in place of model and images
    notes: tuple[str, ...] = ()  # plain sentences: consistency across layers, entangled concepts
    unnamed_rows: int = 0  # rows of the log that name no image: in no concept test
    entangled_from: float = 0.5  # the cosine from which two concepts are called entangled
