"""From configuration to the stages' own terms: ``LogSpec``, the slicing, ``ConceptStageSpec``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from audit.config import Baseline, Config, Loaded, Log
from audit.errors import InputError
from audit.metric_names import SCORE_METRICS
from concepts.records import ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from slices.roles import Attribute, Decision, DetectionColumns, LogSpec

# Roles under [log] that this version uses; one that is configured and not here is refused,
# never ignored: a report that forgot the patients' clustering would be wrong in silence.
ROLES = ("cluster", "weight", "id", "baseline", "detection", "scores", "query")
HONOURED = ("cluster", "weight", "id", "baseline", "detection", "scores")


def refuse_unhonoured(config: Config) -> None:
    """Refuse a configured role that this version does not use yet.

    Raises
    ------
    InputError
        One line that names the role.
    """
    for rule in config.policy.rules:
        if rule.metric in SCORE_METRICS and config.log.score is None:
            raise InputError(
                f"Rule '{rule.id}': {rule.metric} needs a score: name the column as 'score' under [log], "
                "with a threshold and a tie rule."
            )
    if config.log.detection is not None and config.log.detection.tn is None:
        _refuse_unknown_negatives(config)
    for role in ROLES:
        if role not in HONOURED and getattr(config.log, role) is not None:
            raise InputError(f"[log] '{role}' is not honoured by this version of xaudit; take it away.")
    if "scoring_rate" in config.report.impact_rates and config.log.score is None:
        raise InputError(
            "[report] impact_rates: a scoring rate needs a score: name the column as 'score' under [log], "
            "with a threshold and a tie rule."
        )
    if config.statistics.label_accuracy is not None and config.log.detection is not None:
        raise InputError(
            "[statistics] label_accuracy beside [log] detection: objects have no label each that could be "
            "corrected; take label_accuracy away."
        )
    if "://" in config.log.path:
        raise InputError(
            f"[log] path '{config.log.path}' is a database address, which this version of xaudit cannot "
            f"read; "
            "export the table to Parquet."
        )


def _refuse_unknown_negatives(config: Config) -> None:
    from slices.metrics import METRICS

    for rule in config.policy.rules:
        if rule.metric in METRICS and METRICS[rule.metric].needs_negatives:
            raise InputError(
                f"Rule '{rule.id}': {rule.metric} needs true negatives, which a detection log without tn "
                "does not have: it could never be decided. Name their column as tn under [log] detection, "
                "or take the rule away."
            )


def column_roles(log: Log) -> dict[str, str]:
    """Which column of the log had which role; one entry for each column that was named."""
    named: list[tuple[str, str | None]] = [("label", log.label), ("prediction", log.prediction)]
    named += [("score", log.score), *_score_columns("score", log.scores)]
    named += [("class", log.klass), ("cluster", log.cluster), ("weight", log.weight), ("id", log.id)]
    if isinstance(log.baseline, str):
        named.append(("baseline", log.baseline))
    elif log.baseline is not None:
        named += [("baseline", log.baseline.prediction or log.baseline.score)]
        named += _score_columns("baseline", log.baseline.scores)
    if log.detection is not None:
        named += [(f"detection {cell}", getattr(log.detection, cell)) for cell in ("tp", "fp", "fn", "tn")]
    return {role: column for role, column in named if column is not None}


def _score_columns(role: str, scores: dict[str, str] | None) -> list[tuple[str, str | None]]:
    return [(f"{role} of {klass}", column) for klass, column in (scores or {}).items()]


def rule_attributes(config: Config) -> list[str]:
    """Attributes that only rules name, in the order in which they are named."""
    declared = {attribute.name for attribute in config.attributes}
    named: list[str] = []
    for rule in config.policy.rules:
        of_slices = [name for values in rule.slices for name in values]
        for name in [*rule.attributes, *(name for group in rule.intersections for name in group), *of_slices]:
            if name not in declared and name not in named:
                named.append(name)
    return named


def to_log_spec(loaded: Loaded, columns: Collection[str]) -> LogSpec:
    """What the counting is told of the log.

    Parameters
    ----------
    loaded : Loaded
        The configuration with its folder.
    columns : collection of str
        The log's columns: an attribute that only a rule names is counted where its column exists.
    """
    log = loaded.config.log
    attributes = [
        Attribute(
            name=attribute.name,
            kind=attribute.kind,
            column=attribute.column or attribute.name,
            bands=None if attribute.bands is None else tuple(attribute.bands),
        )
        for attribute in loaded.config.attributes
    ]
    attributes += [
        Attribute(name=name, kind="other", column=name)
        for name in rule_attributes(loaded.config)
        if name in columns
    ]
    return LogSpec(
        path=log.path,
        root=loaded.root,
        label=log.label,
        decision=Decision(log.prediction, log.score, log.scores, log.threshold, log.tie),
        attributes=tuple(attributes),
        positive=log.positive,
        klass=log.klass,
        cluster=log.cluster,
        weight=log.weight,
        id=log.id,
        baseline=_baseline(log.baseline),
        detection=(
            None
            if log.detection is None
            else DetectionColumns(log.detection.tp, log.detection.fp, log.detection.fn, log.detection.tn)
        ),
        missing=tuple(log.missing),
    )


def _baseline(baseline: str | Baseline | None) -> Decision | None:
    if baseline is None:
        return None
    if isinstance(baseline, str):
        return Decision(prediction=baseline)
    return Decision(baseline.prediction, baseline.score, baseline.scores, baseline.threshold, baseline.tie)


def to_intersections(config: Config, names: Sequence[str]) -> int | tuple[tuple[str, ...], ...]:
    """The combinations of attributes to count: those configured, and those that only a rule names.

    Parameters
    ----------
    config : Config
    names : sequence of str
        The attributes that are counted.
    """
    wanted = {
        tuple(sorted(group))
        for rule in config.policy.rules
        for group in [*rule.intersections, *(list(values) for values in rule.slices)]
        if len(group) > 1 and set(group) <= set(names)
    }
    wanted |= {tuple(sorted(group)) for group in config.report.impact_ratios if len(group) > 1}
    configured = config.slices.intersections
    if isinstance(configured, int):
        if all(len(group) <= configured for group in wanted):
            return configured
        listed = {
            tuple(sorted(group)) for order in range(2, configured + 1) for group in combinations(names, order)
        }
    else:
        listed = {tuple(sorted(group)) for group in configured if len(group) > 1}
    return tuple(sorted(listed | wanted, key=lambda group: (len(group), group)))


def require_files(loaded: Loaded) -> None:
    """Refuse at once where a file or folder that the concept tests need is not there.

    Raises
    ------
    InputError
        One line that names it.
    """
    model, concepts = loaded.config.model, loaded.config.concepts
    if model is None or concepts is None:
        return
    needed = [("[model] weights", model.weights)] if model.weights is not None else []
    needed += [(f"folder of concept '{item.name}'", item.folder) for item in concepts.concept if item.folder]
    further = (
        ("random pool", concepts.random),
        ("images", concepts.images),
        ("recording", concepts.recorded),
    )
    needed += [(name, path) for name, path in further if path]
    for what, path in needed:
        if not (loaded.root / path).exists():
            raise InputError(
                f"The {what} '{path}' is not there; paths start from the configuration's folder."
            )


def to_concept_spec(
    loaded: Loaded, *, images: LogImages | None, slices: Sequence[tuple[tuple[str, str | None], ...]]
) -> ConceptStageSpec | None:
    """What the concept stage is asked; None where the configuration has no concepts.

    Parameters
    ----------
    loaded : Loaded
    images : LogImages or None
        The log's rows as the concept stage sees them.
    slices : sequence
        Slices to score separately.
    """
    model, concepts, root = loaded.config.model, loaded.config.concepts, loaded.root
    if model is None or concepts is None:
        return None
    channels = model.input.channels
    return ConceptStageSpec(
        model=ModelSpec(
            # A recording needs no weights file; its own hash stands for it.
            weights=root / (model.weights or concepts.recorded or ""),
            factory=model.factory,
            sha256=model.sha256,
            layers=tuple(model.layers),
            outputs=tuple(model.outputs),
            input=InputFormat(
                size=(model.input.size[0], model.input.size[1]),
                channels=channels,
                mean=tuple(model.input.mean) or (0.0,) * channels,
                std=tuple(model.input.std) or (1.0,) * channels,
            ),
            output=model.output,
            pooling=model.pooling,
            pooling_stated="pooling" in model.model_fields_set,
        ),
        concepts=tuple(
            ConceptSpec(
                name=concept.name,
                folder=None if concept.folder is None else root / concept.folder,
                where=concept.where,
                transform=concept.transform,
                relative_to=tuple(concept.relative_to),
            )
            for concept in concepts.concept
        ),
        classes=tuple(concepts.classes or model.outputs),
        random=None if concepts.random is None else root / concepts.random,
        pseudo_concepts=concepts.pseudo_concepts,
        confidence=loaded.config.statistics.confidence,
        resamples=loaded.config.statistics.resamples,
        seed=loaded.config.statistics.seed,
        log=images,
        slices=tuple(slices),
        minimum_images=concepts.minimum_images,
        cav=concepts.cav,
        cache=None if concepts.cache is None else root / concepts.cache,
        cache_gigabytes=concepts.cache_gigabytes,
        recorded=None if concepts.recorded is None else root / concepts.recorded,
    )
