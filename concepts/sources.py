"""Where concepts come from: folders, rows of the log, other concepts, transformations of the log's images.

Each source becomes a `Design`: rows of one table of training images from which the concept's sets, the
pseudo-concepts and the negatives are drawn. Nothing is computed from pixels here.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from concepts.errors import ConceptError
from concepts.records import ConceptSet, ConceptSpec, ConceptStageSpec, LogImages
from concepts.tcav.sets import (
    POOL_TO_SET,
    Design,
    Rows,
    generator_for,
    largest_composition,
    smallest_p_value,
)
from concepts.tcav.testing import significance_level
from slices.said import Said, say

T = TypeVar("T")

#: The pool is thinned to this many times a set: more images cost forward passes and add little.
POOL_LIMIT = 20
#: The same for matched rows of the log, where every concept has a pool of its own.
MATCHED_POOL_LIMIT = 8


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One row of the table of training images: its canonical name, content and transformation.

    ``group`` is the folder of the image as configured ("log" for the log's), ``name`` its path in there;
    both order the draws and neither depends on the machine. ``sha256`` is the file's content.
    """

    group: str
    name: str
    sha256: str
    path: Path | None
    transform: str | None = None


class ImageLibrary(Protocol):
    """What the sources need to know of images, from files or from a recording."""

    def concept(self, spec: ConceptSpec) -> Sequence[TrainingImage]:
        """The images of a concept given by a folder."""
        ...

    def random(self) -> Sequence[TrainingImage]:
        """The images of the random pool."""
        ...

    def logged(self) -> Sequence[TrainingImage]:
        """The log's images, one a row of the log."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedConcept:
    """A concept with its design, or with the reason why it has none.

    ``trained_on``: contents (SHA-256) of the images that may train its vectors; they are never scored.
    """

    spec: ConceptSpec
    design: Design | None
    undefined: str | None
    described: ConceptSet
    trained_on: frozenset[str]


@dataclass(slots=True)
class TrainingTable:
    """Training images, each once; rows are handed out in the order of arrival."""

    images: list[TrainingImage] = field(default_factory=list)
    _row: dict[tuple[str, str, str | None], int] = field(default_factory=dict)

    def rows(self, images: Sequence[TrainingImage]) -> Rows:
        """Rows of the images, added where they are new."""
        found = []
        for image in images:
            key = (image.group, image.name, image.transform)
            if key not in self._row:
                self._row[key] = len(self.images)
                self.images.append(image)
            found.append(self._row[key])
        return np.array(found, dtype=np.int64)


def plan_concepts(
    spec: ConceptStageSpec, library: ImageLibrary, table: TrainingTable
) -> tuple[PlannedConcept, ...]:
    """Plan every concept's sets and put the images they need into the table.

    Raises
    ------
    ConceptError
        Two concepts of one name, no source or several, a `where` on an unknown attribute or value, a
        relative concept without the concepts it names, or no random pool where one is needed.
    """
    names = [concept.name for concept in spec.concepts]
    for name in names:
        if names.count(name) > 1:
            raise ConceptError(
                f"[concepts] names concept '{name}' twice; give each concept a name of its own."
            )
    return tuple(_plan(concept, spec, library, table) for concept in spec.concepts)


def has_images(concept: ConceptSpec) -> bool:
    """Whether the concept has images of its own (a folder, or a set of the recording)."""
    return concept.where is None and concept.transform is None


def _plan(
    concept: ConceptSpec, spec: ConceptStageSpec, library: ImageLibrary, table: TrainingTable
) -> PlannedConcept:
    sources = {"folder": concept.folder, "where": concept.where, "transform": concept.transform}
    given = [key for key, value in sources.items() if value is not None]
    if not given and spec.recorded is not None:
        given = ["folder"]  # a recording knows its sets by the concepts' names
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ConceptError(
            f"Concept '{concept.name}' needs exactly one of folder, where, transform; found {found}."
        )
    if concept.relative_to:
        return _relative(concept, spec, library, table)
    if concept.where is not None:
        return _matched(concept, concept.where, spec, library, table)
    if concept.transform is not None:
        return _transformed(concept, concept.transform, spec, library, table)
    pool = _in_order(library.random())
    random = say("concepts.pool.random", "random images")
    return _against(concept, library.concept(concept), pool, random, spec, table)


def _against(
    concept: ConceptSpec,
    images: Sequence[TrainingImage],
    pool: Sequence[TrainingImage],
    pool_words: str,
    spec: ConceptStageSpec,
    table: TrainingTable,
) -> PlannedConcept:
    """A set of images against a pool, all exchangeable (one stratum)."""
    images = _in_order(images)
    own = {image.sha256 for image in images}
    pool = [image for image in pool if image.sha256 not in own]
    words = say(
        "concepts.set.against",
        "{images} images against {pool} {what}",
        images=len(images),
        pool=len(pool),
        what=pool_words,
    )
    rng = generator_for(spec.seed, f"design {concept.name}")
    ones, zeros = np.zeros(len(images), dtype=np.int64), np.zeros(len(pool), dtype=np.int64)
    composition = largest_composition(ones, zeros, rng=rng)
    undefined = None
    if len(images) < spec.minimum_images:
        undefined = say(
            "concepts.few_images",
            "{images} images of the concept; at least {minimum} are needed",
            images=len(images),
            minimum=spec.minimum_images,
        )
    elif len(composition) < spec.minimum_images:
        undefined = say(
            "concepts.small_pool",
            "{pool} {what} are fewer than {times} times a set of {minimum}; at least {needed} are needed",
            pool=len(pool),
            what=pool_words,
            times=POOL_TO_SET,
            minimum=spec.minimum_images,
            needed=POOL_TO_SET * spec.minimum_images,
        )
    if undefined is not None:
        return PlannedConcept(concept, None, undefined, _describe(concept, images, words, None), frozenset())
    kept = _thin(images, ones, composition, 1, rng)
    thinned = _thin(pool, zeros, composition, POOL_LIMIT, rng)
    design = Design(
        positives=table.rows(kept),
        positive_strata=np.zeros(len(kept), dtype=np.int64),
        pool=table.rows(thinned),
        pool_strata=np.zeros(len(thinned), dtype=np.int64),
        composition=composition,
    )
    return _planned(concept, design, images, words, [*kept, *thinned], spec)


def _relative(
    concept: ConceptSpec, spec: ConceptStageSpec, library: ImageLibrary, table: TrainingTable
) -> PlannedConcept:
    """One concept against the union of others (Kim et al. 2018, section 3.6)."""
    by_name = {one.name: one for one in spec.concepts}
    others: list[TrainingImage] = []
    for name in concept.relative_to:
        other = by_name.get(name)
        if other is None or name == concept.name or not has_images(other):
            usable = [one.name for one in spec.concepts if has_images(one) and one is not concept]
            raise ConceptError(
                f"Concept '{concept.name}' is relative to '{name}', which is not another concept with a "
                f"folder; such concepts are: {', '.join(usable) or 'none'}.{_meant(name, usable)}"
            )
        others.extend(library.concept(other))
    if not has_images(concept):
        raise ConceptError(f"Concept '{concept.name}' with relative_to needs a folder of images.")
    words = say("concepts.pool.relative", "images of {concepts:, }", concepts=concept.relative_to)
    return _against(concept, library.concept(concept), _in_order(others), words, spec, table)


def _matched(
    concept: ConceptSpec,
    where: Mapping[str, str],
    spec: ConceptStageSpec,
    library: ImageLibrary,
    table: TrainingTable,
) -> PlannedConcept:
    """Rows of the log with a value, against rows without it that are alike in label and other attributes.

    A random folder would test the domain of the log. Only clusters that fall into one half (by their hash and
    the seed; images, where the log names no cluster) may train vectors, so that the other half is left to be
    scored, and each gives one image: sets are then sets of clusters. Where no matching on
    all other attributes leaves enough rows, the last attributes are let go, and the description says so.
    """
    log = _log(spec, concept)
    _check_where(concept, where, log)
    logged = library.logged()
    rng = generator_for(spec.seed, f"design {concept.name}")
    candidates = _training_half(logged, log, spec.seed)
    present = [row for row in candidates if all(log.attributes[name][row] is not None for name in where)]
    has = {row: all(log.attributes[name][row] == value for name, value in where.items()) for row in present}
    if log.clusters is not None:
        present = _one_a_cluster(present, has, units_of(log, logged), log, rng)
    inside = [row for row in present if has[row]]
    outside = [row for row in present if not has[row]]
    others = [name for name in log.attributes if name not in where]
    composition = np.zeros(0, dtype=np.int64)
    for matched in (others[:kept] for kept in range(len(others), -1, -1)):
        strata = _strata(log, [*inside, *outside], matched)
        own, rest = strata[: len(inside)], strata[len(inside) :]
        composition = largest_composition(own, rest, rng=rng)
        if len(composition) >= spec.minimum_images:
            break
    condition = say(
        "concepts.condition",
        "{values: and }",
        values=[f"{name} = {value}" for name, value in sorted(where.items())],
    )
    left_out = others[len(matched) :]
    words = say(
        "concepts.set.matched",
        "{images} images of the log with {condition} against {others} others, matched on {names:, }",
        images=len(inside),
        condition=condition,
        others=len(outside),
        names=[say("concepts.label", "label"), *matched],
    )
    if left_out:
        words = say(
            "concepts.set.let_go",
            "{matched} (not on {names:, }: too few images)",
            matched=words,
            names=left_out,
        )
    words = _with_clusters(words, log)
    images = [logged[row] for row in inside]
    if len(composition) < spec.minimum_images:
        undefined = say(
            "concepts.few_matched",
            "{images} images with {condition} have {times} others of the same label to match them; "
            "at least {minimum} are needed",
            images=len(composition),
            condition=condition,
            times=POOL_TO_SET,
            minimum=spec.minimum_images,
        )
        undefined = _with_clusters(undefined, log)
        return PlannedConcept(concept, None, undefined, _describe(concept, images, words, None), frozenset())
    kept_rows = _thin(inside, own, composition, 1, rng)
    pool_rows = _thin(outside, rest, composition, MATCHED_POOL_LIMIT, rng)
    stratum = dict(zip([*inside, *outside], strata.tolist(), strict=True))
    kept, pool = [logged[row] for row in kept_rows], [logged[row] for row in pool_rows]
    design = Design(
        positives=table.rows(kept),
        positive_strata=np.array([stratum[row] for row in kept_rows], dtype=np.int64),
        pool=table.rows(pool),
        pool_strata=np.array([stratum[row] for row in pool_rows], dtype=np.int64),
        composition=composition,
    )
    return _planned(concept, design, images, words, [*kept, *pool], spec)


def _transformed(
    concept: ConceptSpec,
    transform: str,
    spec: ConceptStageSpec,
    library: ImageLibrary,
    table: TrainingTable,
) -> PlannedConcept:
    """Images of the log and the same images transformed: a paired test."""
    log = _log(spec, concept)
    logged = library.logged()
    rng = generator_for(spec.seed, f"design {concept.name}")
    candidates = _training_half(logged, log, spec.seed)
    if log.clusters is not None:
        candidates = _one_a_cluster(
            candidates, dict.fromkeys(candidates, False), units_of(log, logged), log, rng
        )
    words = say(
        "concepts.set.transformed",
        "images of the log changed by {transform}, each against itself unchanged",
        transform=transform,
    )
    words = _with_clusters(words, log)
    zeros = np.zeros(len(candidates), dtype=np.int64)
    composition = largest_composition(zeros, np.repeat(zeros, POOL_TO_SET), rng=rng)
    images = [logged[row] for row in candidates]
    if len(composition) < spec.minimum_images:
        undefined = say(
            "concepts.few_to_transform",
            "{images} images to transform; at least {minimum} are needed",
            images=len(candidates),
            minimum=spec.minimum_images,
        )
        return PlannedConcept(concept, None, undefined, _describe(concept, images, words, None), frozenset())
    kept = _thin(images, zeros, composition, 1, rng)
    changed = [TrainingImage(one.group, one.name, one.sha256, one.path, transform=transform) for one in kept]
    strata = np.zeros(len(kept), dtype=np.int64)
    design = Design(
        positives=table.rows(changed),
        positive_strata=strata,
        pool=table.rows(kept),
        pool_strata=strata,
        composition=composition,
        paired=True,
    )
    counted = say("concepts.set.counted", "{images} {what}", images=len(kept), what=words)
    return _planned(concept, design, images, counted, kept, spec)


def _planned(
    concept: ConceptSpec,
    design: Design,
    images: Sequence[TrainingImage],
    words: str,
    used: Sequence[TrainingImage],
    spec: ConceptStageSpec,
) -> PlannedConcept:
    described = _describe(concept, images, words, design.size)
    least = smallest_p_value(design)
    if least >= significance_level(spec.confidence):
        undefined = say(
            "concepts.cannot_reject",
            "a set of {size} images can be drawn in so few ways that no p-value falls below {least:.3g}; "
            "give more images, or a larger minimum_images",
            size=design.size,
            least=least,
        )
        return PlannedConcept(concept, None, undefined, described, frozenset())
    return PlannedConcept(concept, design, None, described, frozenset(image.sha256 for image in used))


def _describe(
    concept: ConceptSpec, images: Sequence[TrainingImage], words: str, used: int | None
) -> ConceptSet:
    return ConceptSet(concept.name, words, len(images), hash_of_set(images), used)


def hash_of_set(images: Sequence[TrainingImage]) -> str:
    """One SHA-256 over names and contents, in sorted order."""
    lines = sorted(f"{image.name}\0{image.sha256}\0{image.transform or ''}" for image in images)
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def _in_order(images: Sequence[TrainingImage]) -> list[TrainingImage]:
    """Sorted by name, each content once: the draws follow this order and no file system's."""
    seen: set[str] = set()
    kept = []
    for image in sorted(images, key=lambda one: (one.group, one.name)):
        if image.sha256 not in seen:
            seen.add(image.sha256)
            kept.append(image)
    return kept


def units_of(log: LogImages, logged: Sequence[TrainingImage]) -> tuple[str, ...]:
    """What each row of the log belongs to: its cluster, or the content of its image where it has none."""
    clusters = log.clusters or (None,) * len(logged)
    return tuple(
        image.sha256 if cluster is None else f"cluster {cluster}"
        for cluster, image in zip(clusters, logged, strict=True)
    )


def _training_half(logged: Sequence[TrainingImage], log: LogImages, seed: int) -> list[int]:
    """Rows of the log, by name and each content once, whose cluster may train vectors."""
    rows = sorted(range(len(logged)), key=lambda row: (logged[row].name, str(log.labels[row])))
    units = units_of(log, logged)
    seen: set[str] = set()
    kept = []
    for row in rows:
        digest = logged[row].sha256
        if log.labels[row] is None or digest in seen:
            continue
        seen.add(digest)
        # The cluster decides (the content, where there is none): a patient never stands on both sides.
        if hashlib.sha256(f"{seed} {units[row]}".encode()).digest()[0] % 2 == 0:
            kept.append(row)
    return kept


def _one_a_cluster(
    rows: Sequence[int],
    has: Mapping[int, bool],
    units: Sequence[str],
    log: LogImages,
    rng: np.random.Generator,
) -> list[int]:
    """One row of each cluster, in the rows' order.

    Images of one patient are alike: with 10 of each and an intra-class correlation of .5, sets of images
    made a test of 5% one of 13%, and 88% of irrelevant attributes learnt. Which image stands for a cluster
    is chance; where a cluster has images with the concept and without, it gives what its label lacks for
    one with to `POOL_TO_SET` without. The choice looks at no pixel, so clusters stay exchangeable.
    """
    by_unit: dict[str, list[int]] = {}
    for place in rng.permutation(len(rows)).tolist():
        by_unit.setdefault(units[rows[place]], []).append(rows[place])
    count: Counter[tuple[str | None, bool]] = Counter()
    chosen: set[int] = set()
    mixed: list[list[int]] = []
    for members in by_unit.values():
        if len({has[row] for row in members}) > 1:
            mixed.append(members)
            continue
        chosen.add(members[0])
        count[log.labels[members[0]], has[members[0]]] += 1
    for members in mixed:
        wanted = (row for row in members if has[row] == _lacks(count, log.labels[row]))
        row = next(wanted, members[0])
        chosen.add(row)
        count[log.labels[row], has[row]] += 1
    return [row for row in rows if row in chosen]


def _lacks(count: Mapping[tuple[str | None, bool], int], label: str | None) -> bool:
    """Whether the label has enough images without the concept to take one more with it."""
    return count.get((label, True), 0) * POOL_TO_SET < count.get((label, False), 0)


def _with_clusters(words: Said, log: LogImages) -> Said:
    if log.clusters is None:
        return words
    return say("concepts.set.clusters", "{what}, one image a cluster", what=words)


def _strata(log: LogImages, rows: Sequence[int], names: Sequence[str]) -> Rows:
    """A stratum for each row: equal label and equal values of the named attributes."""
    keys = [(str(log.labels[row]), *(repr(log.attributes[name][row]) for name in names)) for row in rows]
    number = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def _thin(
    items: Sequence[T], strata: Rows, composition: Rows, times: int, rng: np.random.Generator
) -> list[T]:
    """At most ``times`` the composition's number of items of each stratum, in their order."""
    kept: list[int] = []
    for stratum, count in zip(*np.unique(composition, return_counts=True), strict=True):
        places = np.flatnonzero(strata == stratum)
        limit = int(count) * times
        chosen = places if len(places) <= limit else rng.choice(places, size=limit, replace=False)
        kept.extend(int(place) for place in chosen)
    return [items[place] for place in sorted(kept)]


def _log(spec: ConceptStageSpec, concept: ConceptSpec) -> LogImages:
    if spec.log is None:
        raise ConceptError(
            f"Concept '{concept.name}' comes from the log's images; give `images` and `image_column` in "
            "[concepts]."
        )
    return spec.log


def _check_where(concept: ConceptSpec, where: Mapping[str, str], log: LogImages) -> None:
    if not where:
        raise ConceptError(f"Concept '{concept.name}' has an empty where; name an attribute and a value.")
    for name, value in where.items():
        if name not in log.attributes:
            known = list(log.attributes)
            raise ConceptError(
                f"Concept '{concept.name}': where names '{name}', which is not an attribute of the log; "
                f"it has: {', '.join(known) or 'none'}.{_meant(name, known)}"
            )
        values = sorted({one for one in log.attributes[name] if one is not None})
        if value not in values:
            shown = ", ".join(values[:8]) + (", …" if len(values) > 8 else "")
            raise ConceptError(
                f"Concept '{concept.name}': no image of the log has {name} = '{value}'; its values: {shown}."
                f"{_meant(value, values)}"
            )


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
