"""Assembly: the stages' records become the one evidence document. The figures come from the stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

import numpy as np

from audit import provenance
from audit.associations import unseen_pairs
from audit.config import Loaded, Rule, policy_hash
from audit.curves import score_curves, threshold_sweeps
from audit.label_accuracy import label_noise
from audit.limitations import limitations
from audit.lock import ReadLock
from audit.order import in_order, place
from audit.policy import Judged, Results, verdict_of
from audit.robustness import at_prevalence, breaking_points, changes, impacts, missing_bounds, worst_gaps
from audit.since import Previous, since
from audit.targets import kind_of
from audit.translate import column_roles
from audit.wording import minimum_sentence, policy_sentences, rule_sentence, verdict_sentence
from concepts.records import ConceptResult, ConceptStage
from reports import evidence as documents
from reports.strings import ENGLISH, Catalogue
from slices.analysis import Analysis
from slices.counting.counted import MISSING_BASELINE
from slices.counts import CountedLog
from slices.records import Disparity, Estimate, Limits, Simultaneous, SliceRecord
from slices.roles import LogSpec
from slices.said import Said, Value
from slices.slicing import OVERALL

MOST_CONFUSED = 20  # classes of a confusion matrix


@dataclass(frozen=True, slots=True)
class Parts:
    """What the stages of a run found."""

    loaded: Loaded
    spec: LogSpec
    counted: CountedLog
    analysis: Analysis
    results: Results
    stage: ConceptStage | None
    findings: tuple[Judged, ...]
    associations: tuple[documents.Association, ...]
    logo: str | None
    catalogue: Catalogue
    lock: ReadLock | None = None
    previous: Previous | None = None
    failed_bounds: tuple[documents.FailedBounds, ...] = ()

    @property
    def lock_entry(self) -> dict[str, str] | None:
        """The policy's lock, held against the files that were read."""
        if self.lock is None:
            return None
        return self.lock.entry({file.sha256 for file in self.counted.inputs})


def to_evidence(parts: Parts) -> documents.Evidence:
    """The evidence of a run, with what changed since the previous release where one is given."""
    evidence = _of_this_release(parts)
    earlier: Mapping[str, documents.Text] = {}
    if parts.previous is not None:
        results = evidence.results.model_copy(update={"since": since(parts.previous, evidence)})
        evidence = evidence.model_copy(update={"results": results})
        earlier = parts.previous.evidence.texts
    return evidence.model_copy(update={"texts": texts(evidence, earlier)})


def texts(evidence: documents.Evidence, earlier: Mapping[str, documents.Text]) -> dict[str, documents.Text]:
    """What every generated sentence of the evidence was made of, by the sentence.

    ``earlier``: those of the previous release, whose rules are told beside this one's.
    """
    found: dict[str, documents.Text] = {}

    def note(text: str) -> str:
        if isinstance(text, Said):
            found[str(text)] = _text(text)
        elif text in earlier:
            found.setdefault(text, earlier[text])
        return text

    evidence.model_dump(context=note)
    return found


def _text(said: Said) -> documents.Text:
    def plain(value: Value) -> str | int | float | documents.Text | list[str | documents.Text]:
        if isinstance(value, Said):
            return _text(value)
        if isinstance(value, str | int | float):
            return value
        return [_text(part) if isinstance(part, Said) else part for part in value]

    return documents.Text(code=said.code, values={name: plain(value) for name, value in said.values.items()})


def _of_this_release(parts: Parts) -> documents.Evidence:
    config, counted = parts.loaded.config, parts.counted
    findings = [_finding(judged) for judged in parts.findings]
    bounds = missing_bounds(config, counted, parts.results)
    curves, curves_left = score_curves(counted, confidence=config.statistics.confidence)
    sweeps, unswept = threshold_sweeps(config, counted, confidence=config.statistics.confidence)
    breaking = breaking_points(counted, parts.findings, parts.results)
    return documents.Evidence(
        subject=documents.Subject(
            name=config.subject.name or PurePosixPath(config.log.path).name,
            version=config.subject.version,
            purpose=config.subject.purpose,
            date=provenance.stated_date(parts.loaded),
            card=config.card,
        ),
        run=documents.Run(
            xaudit_version=provenance.xaudit_version(),
            seed=config.statistics.seed,
            confidence=config.statistics.confidence,
            resamples=config.statistics.resamples,
            inputs=provenance.inputs(
                parts.loaded, counted.inputs, parts.stage, lock=parts.lock, previous=parts.previous
            ),
            environment=provenance.environment(with_model=parts.stage is not None),
            command=parts.loaded.command,
        ),
        data=_data(parts),
        results=documents.Results(
            overall=[_record(record) for record in parts.analysis.overall],
            confusion=_confusion(counted),
            slices=[_record(record) for record in parts.analysis.slices],
            concepts=[_concept(result) for result in parts.stage.results] if parts.stage else [],
            concept_method=_concept_method(parts.stage),
            curves=curves,
            sweeps=sweeps,
            sweeps_left_out=max(unswept, curves_left),
            worst_gaps=worst_gaps(config, parts.results),
            missing_bounds=bounds,
            failed_bounds=list(parts.failed_bounds),
            breaking_points=breaking,
            changes=changes(config, counted, parts.results),
            impacts=impacts(config, counted, parts.results),
            at_prevalence=at_prevalence(config, counted, parts.results),
            label_noise=label_noise(config, counted, parts.results, parts.findings),
        ),
        policy=_policy(parts),
        findings=findings,
        verdict=_verdict(parts.findings, rules=len(config.policy.rules)),
        limitations=limitations(
            config,
            counted,
            parts.stage,
            parts.findings,
            parts.associations,
            bounds,
            breaking,
            parts.failed_bounds,
            lock=parts.lock_entry,
        ),
        method=documents.Method(
            sentences=[*parts.analysis.method, *policy_sentences(config, parts.analysis.family)]
        ),
        report=documents.ReportOptions(
            formats=config.report.formats,
            organisation=config.report.organisation,
            accent=config.report.accent,
            paper=config.report.paper,
            sign_off=[documents.Signer(role=item.role, name=item.name) for item in config.report.sign_off],
            language=parts.catalogue.language,
            wording=None if parts.catalogue.language == ENGLISH else dict(parts.catalogue.texts),
            logo=parts.logo,
        ),
    )


def _data(parts: Parts) -> documents.Data:
    log, counted = parts.loaded.config.log, parts.counted
    names = {attribute.name: attribute.names for attribute in parts.loaded.config.attributes}
    return documents.Data(
        rows=counted.rows,
        rows_used=counted.rows_used,
        excluded=[
            documents.Exclusion(
                reason=item.reason,
                slice=item.slice.as_dict(),
                rows=item.rows,
                of="comparison" if item.reason == MISSING_BASELINE else "figures",
            )
            for item in counted.exclusions
        ],
        clusters=counted.clusters,
        attributes=[
            documents.AttributeData(
                name=summary.attribute.name,
                kind=summary.attribute.kind,
                missing=summary.missing,
                values=[
                    documents.AttributeValue(value=value, n=n)
                    for value, n in in_order(summary, names.get(summary.attribute.name, {}))
                ],
                bands=None if summary.attribute.bands is None else list(summary.attribute.bands),
                names=names.get(summary.attribute.name, {}),
            )
            for summary in counted.attributes
        ],
        task=counted.space.task,
        classes=sorted(
            (name for name in counted.space.classes if name is not None),
            key=lambda name: place(name, parts.loaded.config.classes.names),
        ),
        class_names=parts.loaded.config.classes.names,
        positive=counted.positive,
        threshold=log.threshold,
        tie=log.tie,
        cluster=log.cluster,
        unclustered=counted.unclustered,
        tied=counted.tied,
        ignored=list(counted.ignored),
        cluster_sizes=_cluster_sizes(counted),
        collected=log.collected,
        associations=list(parts.associations),
        unseen_pairs=list(unseen_pairs(counted)),
        name=log.name,
        small_slices=[
            documents.Exclusion(reason=item.reason, slice=item.slice.as_dict(), rows=item.rows)
            for item in counted.small
        ],
        roles=column_roles(log),
    )


def _cluster_sizes(counted: CountedLog) -> documents.ClusterSizes | None:
    """Rows of a cluster, from the one vector of counts that clusters alike share."""
    if counted.clusters is None or counted.patterns is None or counted.slices[0].weighted is not None:
        return None  # with weights the vectors are sums of weights, not rows
    patterns = counted.patterns(OVERALL)
    rows = patterns.totals[:, 0].sum(axis=(1, 2)).astype(np.int64)
    sizes = np.repeat(rows, patterns.multiplicity)
    sizes = sizes[sizes > 0]
    if sizes.size == 0:
        return None
    return documents.ClusterSizes(
        fewest=int(sizes.min()), median=float(np.median(sizes)), most=int(sizes.max())
    )


def _confusion(counted: CountedLog) -> documents.Confusion | None:
    """Labels against predictions over all counted rows of a multi-class log of few classes."""
    space = counted.space
    if space.task != "multiclass" or len(space.classes) > MOST_CONFUSED:
        return None
    classes = [name for name in space.classes if name is not None]
    table = counted.slices[0].inside.reshape(len(classes), len(classes) + 1)
    return documents.Confusion(
        classes=classes,
        counts=[[int(n) for n in row[:-1]] for row in table],
        other=[int(row[-1]) for row in table],
    )


def _record(record: SliceRecord) -> documents.SliceRecord:
    counts = None
    if record.counts is not None:
        tp, fp, fn, tn = record.counts
        counts = documents.Counts(tp=tp, fp=fp, fn=fn, tn=tn)
    return documents.SliceRecord(
        slice=record.slice.as_dict(),
        klass=record.klass,
        n=record.n,
        clusters=record.clusters,
        counts=counts,
        failed_predictions=record.failed_predictions,
        unlabelled=record.unlabelled,
        estimates=[_estimate(item) for item in record.estimates],
        disparities=[_disparity(item) for item in record.disparities],
        simultaneous=[_simultaneous(item) for item in record.simultaneous],
    )


def _estimate(item: Estimate) -> documents.Estimate:
    return documents.Estimate(
        metric=item.metric,
        value=item.value,
        low=item.low,
        high=item.high,
        support=item.support,
        method=item.method,
        undefined=item.undefined,
        effective=item.effective,
        design_effect=item.design_effect,
        clusters=item.clusters,
    )


def _disparity(item: Disparity) -> documents.Disparity:
    return documents.Disparity(
        metric=item.metric,
        against=item.against,
        difference=_limits(item.difference),
        ratio=_limits(item.ratio),
        p_value=item.p_value,
        p_adjusted=item.p_adjusted,
        method=item.method,
        ratio_method=item.ratio_method,
        p_bh=item.p_bh,
        undefined=item.undefined,
        detectable_gap=item.detectable_gap,
    )


def _limits(item: Limits) -> documents.Limits:
    return documents.Limits(value=item.value, low=item.low, high=item.high)


def _simultaneous(item: Simultaneous) -> documents.Simultaneous:
    return documents.Simultaneous(
        metric=item.metric,
        low=item.low,
        high=item.high,
        quantity=item.quantity,
        against=item.against,
        level=item.level,
        method=item.method,
    )


def _concept(result: ConceptResult) -> documents.ConceptRecord:
    return documents.ConceptRecord(
        concept=result.concept,
        klass=result.klass,
        layer=result.layer,
        slice=dict(result.slice),
        score=result.score,
        low=result.low,
        high=result.high,
        effect=documents.Limits(value=result.effect, low=result.effect_low, high=result.effect_high),
        p_value=result.p_value,
        p_adjusted=result.p_adjusted,
        p_holm=result.p_holm,
        p_bh=result.p_bh,
        smooth=result.smooth,
        magnitude=result.magnitude,
        zero_gradients=result.zero_gradients,
        images=result.images,
        clusters=result.clusters,
        cav=documents.Cav(**asdict(result.cav)),
        verdict=result.verdict,
        undefined=result.undefined,
        null_effects=list(result.null_effects),
        rest_effect=result.rest_effect,
        difference=_difference(result),
        difference_p_value=result.difference_p_value,
        difference_p_adjusted=result.difference_p_adjusted,
        difference_verdict=result.difference_verdict,
    )


def _difference(result: ConceptResult) -> documents.Limits | None:
    if not result.slice:
        return None
    return documents.Limits(value=result.difference, low=result.difference_low, high=result.difference_high)


def _concept_method(stage: ConceptStage | None) -> documents.ConceptMethod | None:
    if stage is None:
        return None
    return documents.ConceptMethod(
        method=stage.method,
        set_size=stage.set_size,
        pseudo_concepts=stage.pseudo_concepts,
        layers=dict(stage.layers),
        sets=[
            documents.ConceptSet(
                name=item.name, source=item.source, images=item.images, sha256=item.sha256, used=item.used
            )
            for item in stage.sets
        ],
        entanglement={layer: [list(row) for row in matrix] for layer, matrix in stage.entanglement.items()},
        notes=list(stage.notes),
        entangled_from=stage.entangled_from,
        unnamed_rows=stage.unnamed_rows,
    )


def _policy(parts: Parts) -> documents.Policy:
    policy = parts.loaded.config.policy
    return documents.Policy(
        sha256=policy_hash(policy) if policy.rules else None,
        rules=[
            documents.Rule(
                id=rule.id,
                kind=kind_of(rule)[0],
                metric=rule.metric,
                limit=kind_of(rule)[1],
                against=(rule.against or "complement") if kind_of(rule)[0] in ("gap", "ratio") else None,
                attributes=rule.attributes,
                intersections=rule.intersections,
                overall=rule.overall,
                classes=rule.classes,
                include_missing=rule.include_missing,
                concept=rule.concept,
                must_not_drive=rule.must_not_drive,
                sentence=rule_sentence(parts.loaded.config, rule, each_class=_each_class(rule, parts)),
            )
            for rule in policy.rules
        ],
        family=parts.analysis.family,
        minimum=minimum_sentence(policy),
        lock=parts.lock_entry,
    )


def _each_class(rule: Rule, parts: Parts) -> bool:
    """Whether a rule that names no class is applied to every class of the log."""
    if rule.metric is None or rule.classes is not None:
        return False
    return any(
        judged.rule == rule.id and judged.klass is not None and judged.metric == rule.metric
        for judged in parts.findings
    )


def _finding(judged: Judged) -> documents.Finding:
    return documents.Finding(
        rule=judged.rule,
        kind=judged.kind,
        slice=judged.slice.as_dict(),
        klass=judged.klass,
        metric=judged.metric,
        concept=judged.concept,
        layer=judged.layer,
        against=judged.against,
        limit=judged.limit,
        value=judged.value,
        low=judged.low,
        high=judged.high,
        interval=judged.interval,
        level=judged.level,
        outcome=judged.outcome,
        support=judged.support,
        needed_n=judged.needed_n,
        met_without_failed=judged.met_without_failed,
        needed_clusters=judged.needed_clusters,
        reason=judged.reason,
    )


def _verdict(findings: Sequence[Judged], *, rules: int) -> documents.Verdict:
    outcome = verdict_of(findings, rules=rules)
    counts = Counter(finding.outcome for finding in findings)
    undecided = counts["cannot_tell"] + counts["not_enough_data"] + counts["not_tested"]
    return documents.Verdict(
        outcome=outcome,
        meets=counts["meets"],
        fails=counts["fails"],
        cannot_tell=counts["cannot_tell"],
        not_enough_data=counts["not_enough_data"],
        not_tested=counts["not_tested"],
        sentence=verdict_sentence(outcome, counts["fails"], undecided, len(findings)),
    )
