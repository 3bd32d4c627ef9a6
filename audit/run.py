"""The run: one sentence of stages, from a configuration to evidence and documents.

log -> one scan -> counts -> estimates and disparities -> findings; model and concept sets ->
concept tests; both -> one evidence document, which alone feeds every renderer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from audit.config import Loaded, load
from audit.config.table import not_among
from audit.errors import InputError
from audit.output import check_target, staged, write_documents
from audit.progress import Progress, silent
from audit.translate import refuse_unhonoured, require_files, to_concept_spec, to_intersections, to_log_spec

if TYPE_CHECKING:
    from concepts.records import ConceptStage
    from reports.evidence import Evidence
    from reports.strings import Catalogue
    from slices.counts import CountedLog
    from slices.roles import LogSpec


SliceValues = tuple[tuple[str, str | None], ...]


def run_audit(
    config_path: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    progress: Progress = silent,
) -> Evidence:
    """Audit a model by a configuration file.

    Parameters
    ----------
    config_path : path
        An ``audit.toml``.
    out : path, optional
        Folder for the documents; left out: nothing is written.
    progress : callable, optional
        Called as ``progress(what, done, total)``.

    Returns
    -------
    Evidence
        The canonical document; ``to_frame()`` gives a tidy table of its estimates.

    Raises
    ------
    audit.errors.InputError, slices.errors.LogError, concepts.errors.ConceptError, concepts.errors.ModelError
        Bad input: one line that says what, where, found, fix.
    """
    loaded = load(Path(config_path))
    return run(loaded, out=None if out is None else Path(out), progress=progress)


def run(loaded: Loaded, *, out: Path | None, progress: Progress = silent) -> Evidence:
    """Audit a model by a configuration that was read; write the documents where ``out`` is given."""
    if out is None:
        return gather(loaded, progress=progress)
    check_target(out)
    check_formats(loaded)
    evidence = gather(loaded, progress=progress)
    with staged(out) as folder:
        write_documents(folder, documents(evidence, progress=progress))
    return evidence


def check_formats(loaded: Loaded) -> None:
    """Refuse a report format that does not exist before the work begins, not after.

    Raises
    ------
    RenderError
        One line that names the format and those that exist.
    """
    from reports.render import check_formats as check

    check(loaded.config.report.formats)


def check_classes(loaded: Loaded, counted: CountedLog) -> None:
    """Refuse settings by class that do not fit the log's classes, before the work begins.

    Raises
    ------
    InputError
        One prevalence or label accuracy for several classes, or one of a class that the log does not have.
    """
    from audit.by_class import accuracy_by_class, prevalence_by_class

    prevalence_by_class(loaded.config, counted)
    accuracy_by_class(loaded.config, counted)


def gather(loaded: Loaded, *, progress: Progress = silent) -> Evidence:
    """Everything but the documents: from the configuration to the evidence."""
    from audit.assemble import Parts, to_evidence
    from audit.associations import associations
    from audit.failed import count_failed_as_errors
    from audit.language import read_catalogue
    from audit.layers import check_model
    from audit.lock import read_lock
    from audit.logo import read_logo
    from audit.policy import Results, judge, judge_concepts
    from audit.since import read_previous, refuse_unrelated
    from audit.targets import family, targets
    from slices.analysis import analyse

    statistics, policy = loaded.config.statistics, loaded.config.policy
    require_files(loaded)
    check_model(loaded, hash_only=True)
    lock = read_lock(loaded)
    logo = read_logo(loaded.config.report.logo, loaded.root)
    catalogue = read_catalogue(loaded.config.report.language, loaded.root)
    previous = read_previous(loaded)
    counted, spec = count(
        loaded,
        keep_scores=(loaded.config.log.score or loaded.config.log.scores) is not None,
        progress=progress,
    )
    if previous is not None:
        refuse_unrelated(previous, counted)
    check_classes(loaded, counted)
    check_labels(loaded, counted)
    aims = targets(policy, counted)
    check_model(loaded)
    analysis = analyse(
        counted,
        metrics=metrics_of(loaded),
        tested=family(aims),
        confidence=statistics.confidence,
        resamples=statistics.resamples,
        drawn_proportions=statistics.proportions == "bootstrap",
        seed=statistics.seed,
        progress=progress,
    )
    named = {target.slice.values for target in aims}
    stage = probe_concepts(loaded, spec, counted, named=named, progress=progress)
    progress("reading the policy", 0, 1)
    records = Results((*analysis.overall, *analysis.slices), statistics.confidence)
    as_errors = count_failed_as_errors(
        loaded.config, counted, records, aims, judge(aims, records, counted, policy)
    )
    findings = (*as_errors.findings, *judge_concepts(policy, stage, statistics.confidence))
    parts = Parts(
        loaded,
        spec,
        counted,
        analysis,
        records,
        stage,
        findings,
        associations(loaded.config, counted),
        logo,
        catalogue,
        lock,
        previous,
        as_errors.bounds,
    )
    evidence = to_evidence(parts)
    progress("reading the policy", 1, 1)
    return evidence


def count(
    loaded: Loaded, *, keep_scores: bool = False, progress: Progress = silent
) -> tuple[CountedLog, LogSpec]:
    """Open the log and count it in one scan; ``keep_scores`` for the score curves, at 8 bytes a row."""
    from slices.log import column_names, count_log

    refuse_unhonoured(loaded.config)
    progress("opening the log", 0, 1)
    columns = column_names(loaded.config.log.path, loaded.root)
    progress("opening the log", 1, 1)
    concepts = loaded.config.concepts
    if concepts is not None and concepts.image_column is not None and concepts.image_column not in columns:
        raise InputError(
            f"[concepts] image_column is '{concepts.image_column}'"
            f"{not_among(columns, concepts.image_column, 'a column of the log')}"
        )
    spec = to_log_spec(loaded, columns)
    names = [attribute.name for attribute in spec.attributes]
    counted = count_log(
        spec,
        intersections=to_intersections(loaded.config, names),
        minimum=loaded.config.slices.minimum,
        keep_scores=keep_scores,
        progress=progress,
    )
    if counted.ignored:
        progress(f"not reading {len(counted.ignored):,} other files in the log's folder", 1, 1)
    return counted, spec


def metrics_of(loaded: Loaded) -> tuple[str, ...]:
    """The metrics of a run: those from counts, those of the score where there is one, and what rules name."""
    from audit.metric_names import COUNT_METRICS, SCORE_METRICS

    of_score = SCORE_METRICS if loaded.config.log.score is not None else ()
    named = [rule.metric for rule in loaded.config.policy.rules if rule.metric is not None]
    return tuple(dict.fromkeys([*COUNT_METRICS, *of_score, *named]))


def slices_of(loaded: Loaded, counted: CountedLog, named: Collection[SliceValues]) -> list[SliceValues]:
    """The slices in which concepts are tested: of one attribute, and the intersections that rules name.

    Rules are fixed before the data: intersections chosen because they fail would be a family chosen by its
    results, and all of them a family in which nothing is found.
    """
    concepts = loaded.config.concepts
    wanted = concepts.slices if concepts is not None else []
    names = set(wanted or [summary.attribute.name for summary in counted.attributes])
    return [
        item.slice.values
        for item in counted.slices
        if item.slice.order > 0
        and names.issuperset(item.slice.attributes)
        and (item.slice.order == 1 or item.slice.values in named)
    ]


def probe_concepts(
    loaded: Loaded,
    spec: LogSpec,
    counted: CountedLog,
    *,
    named: Collection[SliceValues] = (),
    progress: Progress = silent,
) -> ConceptStage | None:
    """Look inside the model, where the configuration asks for it; ``named``: the slices that rules name."""
    from concepts.records import LogImages
    from slices.log import read_images
    from slices.roles import Attribute

    concepts = loaded.config.concepts
    if concepts is None:
        return None
    images = None
    folder = concepts.images or concepts.recorded
    if folder is not None and concepts.image_column is not None:
        known = {attribute.name for attribute in spec.attributes}
        wanted = {name for concept in concepts.concept for name in concept.where or {}}
        # A concept may be defined by a column that defines no slice.
        extra = tuple(Attribute(name, "other", name) for name in sorted(wanted - known))
        read = read_images(replace(spec, attributes=spec.attributes + extra), concepts.image_column)
        images = LogImages(
            loaded.root / folder, read.files, read.labels, read.attributes, read.clusters, read.unnamed
        )
    from audit.layers import allow_factory, paths_as_configured
    from concepts.stage import run_concepts

    allow_factory(loaded)

    # A recording tells no attributes where no column says which image a row is of.
    slices = [] if images is None else slices_of(loaded, counted, named)
    asked = to_concept_spec(loaded, images=images, slices=slices)
    with paths_as_configured(loaded):
        return None if asked is None else run_concepts(asked, progress=progress)


def check_labels(loaded: Loaded, counted: CountedLog) -> None:
    """Refuse a class under [concepts] that no label of the log names: it would be scored on no image.

    Raises
    ------
    InputError
    """
    known = [name for name in counted.space.classes if name is not None]
    concepts = loaded.config.concepts
    if not known or concepts is None:
        return
    for name in concepts.classes:
        if name not in known:
            raise InputError(
                f"[concepts] classes names '{name}', which is not in the log; it has: {', '.join(known)}."
            )


def documents(
    evidence: Evidence,
    *,
    formats: Sequence[str] | None = None,
    catalogue: Catalogue | None = None,
    progress: Progress = silent,
) -> dict[str, bytes]:
    """The evidence and its documents by file name.

    Without ``formats``, those that it names itself; without ``catalogue``, in the language that it names.
    """
    from reports.evidence import to_bytes
    from reports.render import render

    progress("rendering", 0, 1)
    # The tidy table is always there: it is what a notebook reads.
    wanted = formats or list(dict.fromkeys([*evidence.report.formats, "parquet"]))
    rendered = render(evidence, wanted, catalogue=catalogue)
    progress("rendering", 1, 1)
    return {"evidence.json": to_bytes(evidence), **rendered}
