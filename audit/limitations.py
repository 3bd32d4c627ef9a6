"""Limitations: what a report does not show, as typed entries made from the run's own facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.config import Config
from audit.policy import Judged
from audit.wording import listed
from concepts.records import ConceptStage
from reports.evidence import Association, BreakingPoint, Limitation, MissingBounds
from slices.counts import CountedLog


def limitations(
    config: Config,
    counted: CountedLog,
    stage: ConceptStage | None,
    findings: Sequence[Judged],
    associations: Sequence[Association],
    bounds: Sequence[MissingBounds],
    breaking: Sequence[BreakingPoint],
    *,
    lock: Mapping[str, str] | None = None,
) -> list[Limitation]:
    """What this report does not show, as typed entries made from the run's own facts."""
    found: list[Limitation] = []
    for summary in counted.attributes:
        if summary.missing:
            share = summary.missing / counted.rows if counted.rows else 0.0
            found.append(
                Limitation(
                    what=f"The attribute '{summary.attribute.name}' is missing in part of the log.",
                    who="Cases without it: reported as a slice of their own, in no other slice of this "
                    "attribute.",
                    size=f"{summary.missing:,} of {counted.rows:,} rows ({share:.1%})."
                    + _hidden(summary.attribute.name, bounds),
                    how_known="Counted in the log.",
                    what_to_do="Collect the attribute, or gate the missing slice with include_missing = "
                    "true.",
                )
            )
    failed = int(counted.slices[0].failed.sum()) if counted.slices else 0
    if failed:
        found.append(
            Limitation(
                what="The model gave no prediction for some rows.",
                who="Cases without a prediction: they are in no headline figure.",
                size=f"{failed:,} of {counted.rows:,} rows ({failed / counted.rows:.1%}).",
                how_known="Counted in the log, for each slice.",
                what_to_do="Read the count in each slice; gate it with max_missing_predictions.",
            )
        )
    unlabelled = counted.slices[0].unlabelled if counted.slices else 0
    if unlabelled:
        found.append(
            Limitation(
                what="Some rows have no label.",
                who="Cases without a label: nothing is known of how the model did there.",
                size=f"{unlabelled:,} of {counted.rows:,} rows ({unlabelled / counted.rows:.1%}).",
                how_known="Counted in the log, for each slice.",
                what_to_do="Label them, or show that they are missing at random.",
            )
        )
    if config.log.cluster is None and counted.clusters is None:
        found.append(
            Limitation(
                what="No column names which rows belong together (patient, video, site visit).",
                who="Every interval, if one patient has several rows.",
                size="With 4 rows a patient and an intra-class correlation of 0.5 a nominal 95% interval "
                "covers about 78%.",
                how_known="The configuration names no cluster column.",
                what_to_do="Name the column as [log] cluster, or state in the card that rows are "
                "independent.",
            )
        )
    found += [
        Limitation(
            what=item.sentence,
            who=f"Slices by {item.attributes[0]} and by {item.attributes[1]}.",
            size=f"Cramer's V {item.cramers_v:.2f} (bias-corrected; 1: one tells the other).",
            how_known="Computed from the log's joint counts.",
            what_to_do="Collect cases in which the two differ.",
        )
        for item in associations
    ]
    if counted.small:
        found.append(
            Limitation(
                what="Slices below the minimum size are listed, not computed.",
                who="The groups listed under small slices.",
                size=f"{len(counted.small):,} slices, the largest with "
                f"{max(item.rows for item in counted.small):,} rows.",
                how_known="Counted in the log.",
                what_to_do="Collect more cases there.",
            )
        )
    not_tested = [item for item in findings if item.outcome == "not_tested"]
    found += [
        Limitation(
            what=f"Rule '{item.rule}' could not be tested.",
            who="The group that the rule names.",
            size="No row of the log.",
            how_known=item.reason,
            what_to_do="Add the attribute or the cases to the log.",
        )
        for item in not_tested
    ]
    if breaking:
        first = breaking[0]
        where = ", ".join(f"{name} = {value}" for name, value in first.slice.items()) or "all cases"
        of_class = f" [{first.klass}]" if first.klass is not None else ""
        labels = "wrong label" if first.wrong_labels == 1 else "wrong labels"
        found.append(
            Limitation(
                what="The labels are taken as right.",
                who=f"Every figure; the check that the fewest wrong labels undo is '{first.rule}', "
                f"{first.metric} in {where}{of_class}.",
                size=f"{first.wrong_labels:,} {labels} among its {first.rows:,} rows, placed in the "
                f"worst way.",
                how_known="Computed from the limits that the verdict was read from, for every check of a "
                "floor or ceiling that is met.",
                what_to_do="Have a part of the labels read again, and hold the error rate against this "
                "number.",
            )
        )
    if config.policy.rules and (lock is None or lock["log"] == "seen"):
        found.append(
            Limitation(
                what="The release rule is not shown to predate the data.",
                who="The verdict.",
                size="Unknown.",
                how_known="No signed lock of the policy came with the run."
                if lock is None
                else f"The policy was locked on {lock['date']} by {lock['signed_by']}, with this log "
                "at hand.",
                what_to_do="Fix the policy, with a date, before the test data are seen.",
            )
        )
    if stage is not None:
        found += _concept_limitations(stage)
    found.append(
        Limitation(
            what="The audit measures behaviour on this log only.",
            who="Groups and conditions that no column of the log names.",
            size="Unknown.",
            how_known="By construction.",
            what_to_do="Monitor the model in use, and audit again when the population or the equipment "
            "changes.",
        )
    )
    return found


def _hidden(name: str, bounds: Sequence[MissingBounds]) -> str:
    """How far the missing rows could move the figure that they could move most."""
    known = [
        (item.highest - item.lowest, item)
        for item in bounds
        if name in item.slice and item.lowest is not None and item.highest is not None
    ]
    if not known:
        return ""
    _, item = max(known, key=lambda pair: pair[0])
    of_class = f" [{item.klass}]" if item.klass is not None else ""
    return (
        f" Wherever they belong, {item.metric} of {name} = {item.slice[name]}{of_class} lies between "
        f"{item.lowest:.1%} and {item.highest:.1%} of these cases."
    )


def _concept_limitations(stage: ConceptStage) -> list[Limitation]:
    found = [
        Limitation(
            what="Concept tests show association inside the model, not cause.",
            who="Every concept result.",
            size=f"{len(stage.results):,} tests of concept, class, layer and slice.",
            how_known="By construction: a direction in a layer stands for the concept.",
            what_to_do="Confirm what matters by changing the images (add or remove the mark) and running "
            "the model.",
        )
    ]
    unlearnt = sorted({result.concept for result in stage.results if result.verdict == "not_learnt"})
    if unlearnt:
        found.append(
            Limitation(
                what=f"Not learnt at one or more layers: {listed(unlearnt)}.",
                who="Claims on these concepts there, in either direction.",
                size=f"{sum(result.verdict == 'not_learnt' for result in stage.results):,} of "
                f"{len(stage.results):,} tests.",
                how_known="The concept's activation vectors did not beat those of random images on "
                "held-out images.",
                what_to_do="Give more, or clearer, images of the concept.",
            )
        )
    return found
