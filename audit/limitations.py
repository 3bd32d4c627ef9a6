"""Limitations: what a report does not show, as typed entries made from the run's own facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.config import Config
from audit.group_words import group_words
from audit.policy import Judged
from audit.wording import metric_key
from concepts.records import ConceptStage
from reports.evidence import Association, BreakingPoint, FailedBounds, Limitation, MissingBounds
from slices.counts import CountedLog
from slices.said import Said, say, sentence_pair
from slices.supplements.composed import NO_GAP

#: The solver whose level was measured to hold.
DEFAULT_SOLVER = "mean_difference"


def limitations(
    config: Config,
    counted: CountedLog,
    stage: ConceptStage | None,
    findings: Sequence[Judged],
    associations: Sequence[Association],
    bounds: Sequence[MissingBounds],
    breaking: Sequence[BreakingPoint],
    failures: Sequence[FailedBounds] = (),
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
                    what=say(
                        "limitation.missing.what",
                        "The attribute “{name}” is missing in part of the log.",
                        name=summary.attribute.name,
                    ),
                    who=say(
                        "limitation.missing.who",
                        "Cases without it: reported as a slice of their own, in no other slice of this "
                        "attribute.",
                    ),
                    size=_with_bounds(
                        config,
                        say(
                            "limitation.share",
                            "{rows:,} of {all:,} rows ({share:.1%}).",
                            rows=summary.missing,
                            all=counted.rows,
                            share=share,
                        ),
                        summary.attribute.name,
                        bounds,
                    ),
                    how_known=say("limitation.known.counted", "Counted in the log."),
                    what_to_do=say(
                        "limitation.missing.do",
                        "Collect the attribute, or let a rule judge the cases without it as well.",
                    ),
                )
            )
    failed = int(counted.slices[0].failed.sum()) if counted.slices else 0
    if failed:
        found.append(
            Limitation(
                what=say("limitation.failed.what", "The model gave no prediction for some rows."),
                who=say(
                    "limitation.failed.who", "Cases without a prediction: they are in no headline figure."
                ),
                size=_with_failures(
                    config,
                    say(
                        "limitation.share",
                        "{rows:,} of {all:,} rows ({share:.1%}).",
                        rows=failed,
                        all=counted.rows,
                        share=failed / counted.rows,
                    ),
                    counted,
                    failures,
                ),
                how_known=say("limitation.known.counted_slices", "Counted in the log, for each slice."),
                what_to_do=say(
                    "limitation.failed.do",
                    "Read the count in each group; a rule can limit the share of failed predictions.",
                ),
            )
        )
    unlabelled = counted.slices[0].unlabelled if counted.slices else 0
    if unlabelled:
        found.append(
            Limitation(
                what=say("limitation.unlabelled.what", "Some rows have no label."),
                who=say(
                    "limitation.unlabelled.who",
                    "Cases without a label: nothing is known of how the model did there.",
                ),
                size=say(
                    "limitation.share",
                    "{rows:,} of {all:,} rows ({share:.1%}).",
                    rows=unlabelled,
                    all=counted.rows,
                    share=unlabelled / counted.rows,
                ),
                how_known=say("limitation.known.counted_slices", "Counted in the log, for each slice."),
                what_to_do=say(
                    "limitation.unlabelled.do", "Label them, or show that they are missing at random."
                ),
            )
        )
    if config.log.cluster is None and counted.clusters is None:
        found.append(
            Limitation(
                what=say(
                    "limitation.cluster.what",
                    "No column names which rows belong together (patient, video, site visit).",
                ),
                who=say("limitation.cluster.who", "Every interval, if one patient has several rows."),
                size=say(
                    "limitation.cluster.size",
                    "With 4 rows a patient and an intra-class correlation of 0.5 a nominal 95% "
                    "interval covers about 78%.",
                ),
                how_known=say("limitation.cluster.known", "The configuration names no cluster column."),
                what_to_do=say(
                    "limitation.cluster.do",
                    "Name in the configuration the column that tells which rows belong together, or state in "
                    "the model card that the rows are independent.",
                ),
            )
        )
    found += _reading_limitations(counted)
    found += [
        Limitation(
            what=item.sentence,
            who=say(
                "limitation.association.who",
                "Slices by {one} and by {other}.",
                one=item.attributes[0],
                other=item.attributes[1],
            ),
            size=say(
                "limitation.association.size",
                "Cramér’s V {strength:.2f} (bias-corrected; 0: independent, 1: one tells the other).",
                strength=item.cramers_v,
            ),
            how_known=say("limitation.association.known", "Computed from the log's joint counts."),
            what_to_do=say("limitation.association.do", "Collect cases in which the two differ."),
        )
        for item in associations
    ]
    if counted.small:
        found.append(
            Limitation(
                what=say("limitation.small.what", "Slices below the minimum size are listed, not computed."),
                who=say("limitation.small.who", "The groups listed under small slices."),
                size=say(
                    "limitation.small.size",
                    "{slices:,} slices, the largest with {rows:,} rows.",
                    slices=len(counted.small),
                    rows=max(item.rows for item in counted.small),
                ),
                how_known=say("limitation.known.counted", "Counted in the log."),
                what_to_do=say("limitation.small.do", "Collect more cases there."),
            )
        )
    not_tested = [item for item in findings if item.outcome == "not_tested"]
    found += [
        Limitation(
            what=say("limitation.untested.what", "Rule “{rule}” could not be tested.", rule=item.rule),
            who=say("limitation.untested.who", "The group that the rule names."),
            size=say("limitation.untested.size", "No row of the log."),
            how_known=item.reason,
            what_to_do=say("limitation.untested.do", "Add the attribute or the cases to the log."),
        )
        for item in not_tested
    ]
    without = sorted({item.metric for item in findings if item.metric and _no_largest_gap(item)})
    crossed = any(item.slice.order > 1 and item.metric for item in findings)
    if without or crossed:
        left_out = [metric_key(name) for name in without]
        if crossed:
            left_out.append(say("limitation.gaps.crossed", "groups of several attributes"))
        found.append(
            Limitation(
                what=say(
                    "limitation.gaps.what",
                    "The largest gap among groups leaves out: {names:and}.",
                    names=left_out,
                ),
                who=say("limitation.gaps.who", "Their groups: each is held against its comparator alone."),
                size=say("limitation.size_unknown", "Unknown."),
                how_known=say("limitation.known.construction", "By construction."),
                what_to_do=say(
                    "limitation.gaps.do", "Read the gap of each group to its comparator, with its limits."
                ),
            )
        )
    if counted.slices[0].weighted is not None and any(item.outcome == "meets" for item in findings):
        found.append(
            Limitation(
                what=say("limitation.labels.what", "The labels are taken as right."),
                who=say("limitation.weighted_labels.who", "Every figure and every check that is met."),
                size=say("limitation.size_unknown", "Unknown."),
                how_known=say(
                    "limitation.weighted_labels.known",
                    "Rows have weights, so that wrong labels differ in what they move: how many would undo a "
                    "check is not worked out.",
                ),
                what_to_do=say(
                    "limitation.weighted_labels.do",
                    "Have a part of the labels read again, those of large weight first.",
                ),
            )
        )
    if breaking:
        first = breaking[0]
        if first.wrong_labels == 1:
            size = say(
                "limitation.labels.one",
                "1 wrong label among its {rows:,} rows, placed in the worst way.",
                rows=first.rows,
            )
        else:
            size = say(
                "limitation.labels.several",
                "{labels:,} wrong labels among its {rows:,} rows, placed in the worst way.",
                labels=first.wrong_labels,
                rows=first.rows,
            )
        found.append(
            Limitation(
                what=say("limitation.labels.what", "The labels are taken as right."),
                who=say(
                    "limitation.labels.who",
                    "Every figure; the check that the fewest wrong labels undo is “{rule}”, {metric} in "
                    "{group}.",
                    rule=first.rule,
                    metric=metric_key(first.metric),
                    group=group_words(config, first.slice, first.klass),
                ),
                size=size,
                how_known=say(
                    "limitation.labels.known",
                    "Computed from the limits that the verdict was read from, for every check of a "
                    "share, gap or ratio that is met.",
                ),
                what_to_do=say(
                    "limitation.labels.do",
                    "Have a part of the labels read again, and hold the error rate against this number.",
                ),
            )
        )
    if config.policy.rules and (lock is None or lock["log"] == "seen"):
        found.append(
            Limitation(
                what=say("limitation.lock.what", "The release rule is not shown to predate the data."),
                who=say("limitation.lock.who", "The verdict."),
                size=say("limitation.size_unknown", "Unknown."),
                how_known=say("limitation.lock.none", "No signed lock of the policy came with the run.")
                if lock is None
                else say(
                    "limitation.lock.seen",
                    "The policy was locked on {date} by {by}, with this log at hand.",
                    date=lock["date"],
                    by=lock["signed_by"],
                ),
                what_to_do=say(
                    "limitation.lock.do", "Fix the policy, with a date, before the test data are seen."
                ),
            )
        )
    if stage is not None:
        found += _concept_limitations(stage, config)
    found.append(
        Limitation(
            what=say("limitation.log_only.what", "The audit measures behaviour on this log only."),
            who=say("limitation.log_only.who", "Groups and conditions that no column of the log names."),
            size=say("limitation.size_unknown", "Unknown."),
            how_known=say("limitation.known.construction", "By construction."),
            what_to_do=say(
                "limitation.log_only.do",
                "Monitor the model in use, and audit again when the population or the equipment changes.",
            ),
        )
    )
    return found


def _no_largest_gap(finding: Judged) -> bool:
    """Whether its metric has no largest gap among groups: correlations, calibration, means over classes."""
    name = finding.metric or ""
    averaged = name.startswith(("macro_", "micro_")) or (finding.klass is None and name == "mcc")
    return averaged or name in NO_GAP


def _reading_limitations(counted: CountedLog) -> list[Limitation]:
    """What the reading of the log decided: rows without a cluster, ties of scores, files left aside."""
    found = []
    if counted.unclustered:
        found.append(
            Limitation(
                what=say("limitation.unclustered.what", "Some rows name no cluster."),
                who=say(
                    "limitation.unclustered.who",
                    "Rows that belong to one patient and do not say so: their intervals are too narrow.",
                ),
                size=_share_of_rows(counted.unclustered, counted),
                how_known=say(
                    "limitation.unclustered.known",
                    "Counted in the log: each such row counts as a cluster of its own.",
                ),
                what_to_do=say("limitation.unclustered.do", "Fill in the cluster column."),
            )
        )
    if counted.tied:
        found.append(
            Limitation(
                what=say("limitation.tied.what", "In some rows two or more classes share the largest score."),
                who=say(
                    "limitation.tied.who",
                    "These rows count as the first of the tied classes in the order of their names.",
                ),
                size=_share_of_rows(counted.tied, counted),
                how_known=say("limitation.known.counted", "Counted in the log."),
                what_to_do=say(
                    "limitation.tied.do",
                    "Log the scores with more digits, or log the class that the model gave as prediction.",
                ),
            )
        )
    if counted.ignored:
        shown = list(counted.ignored[:5])
        found.append(
            Limitation(
                what=say(
                    "limitation.ignored.what", "The log's folder holds files that are no part of the log."
                ),
                who=say("limitation.ignored.who", "Rows in them, if there are any."),
                size=say(
                    "limitation.ignored.size", "Number of files: {files:,}.", files=len(counted.ignored)
                ),
                how_known=say(
                    "limitation.ignored.known",
                    "Their endings name no format of a log: {names:, }.",
                    names=shown,
                )
                if len(shown) == len(counted.ignored)
                else say(
                    "limitation.ignored.first",
                    "Their endings name no format of a log; the first: {names:, }.",
                    names=shown,
                ),
                what_to_do=say("limitation.ignored.do", "Move them away, or give the log as a glob."),
            )
        )
    return found


def _share_of_rows(rows: int, counted: CountedLog) -> Said:
    return say(
        "limitation.share",
        "{rows:,} of {all:,} rows ({share:.1%}).",
        rows=rows,
        all=counted.rows,
        share=rows / counted.rows,
    )


def _with_bounds(config: Config, size: Said, name: str, bounds: Sequence[MissingBounds]) -> Said:
    """The size, and how far the missing rows could move the figure that they could move most."""
    known = [
        (item.highest - item.lowest, item.lowest, item.highest, item)
        for item in bounds
        if name in item.slice and item.lowest is not None and item.highest is not None
    ]
    if not known:
        return size
    _, lowest, highest, item = max(known, key=lambda entry: entry[0])
    hidden = say(
        "limitation.missing.bounds",
        "Wherever they belong, {metric} of {group} lies between {lowest:.1%} and {highest:.1%} of these "
        "cases.",
        metric=metric_key(item.metric),
        group=group_words(config, {name: item.slice[name]}, item.klass),
        lowest=lowest,
        highest=highest,
    )
    return sentence_pair(size, hidden)


def _with_failures(config: Config, size: Said, counted: CountedLog, failures: Sequence[FailedBounds]) -> Said:
    """The size, and how far the failed predictions move a figure where they count as errors."""
    if counted.failed_as_errors is None:
        return sentence_pair(
            size,
            say(
                "limitation.failed.objects",
                "What the images held is not known: no figure counts them as errors.",
            ),
        )
    known = [
        (abs(item.as_errors - item.value), item.as_errors, item)
        for item in failures
        if item.as_errors is not None and item.value is not None
    ]
    if not known:
        return size
    _, worst, item = max(known, key=lambda entry: entry[0])
    return sentence_pair(
        size,
        say(
            "limitation.failed.moves",
            "Counted as errors, they move {metric} of {group} most: from {value:.1%} to {worst:.1%}.",
            metric=metric_key(item.metric),
            group=group_words(config, item.slice, item.klass),
            value=item.value or 0.0,
            worst=worst,
        ),
    )


def _concept_limitations(stage: ConceptStage, config: Config) -> list[Limitation]:
    found = [
        Limitation(
            what=say(
                "limitation.concepts.what", "Concept tests show association inside the model, not cause."
            ),
            who=say("limitation.concepts.who", "Every concept result."),
            size=say(
                "limitation.concepts.size",
                "{tests:,} tests of concept, class, layer and slice.",
                tests=len(stage.results),
            ),
            how_known=say(
                "limitation.concepts.known", "By construction: a direction in a layer stands for the concept."
            ),
            what_to_do=say(
                "limitation.concepts.do",
                "Confirm what matters by changing the images (add or remove the mark) and running the model.",
            ),
        )
    ]
    solver = config.concepts.cav if config.concepts is not None else DEFAULT_SOLVER
    if solver != DEFAULT_SOLVER:
        found.append(
            Limitation(
                what=say(
                    "limitation.solver.what",
                    "The concept tests' vectors were made by '{solver}', which is not the default.",
                    solver=solver,
                ),
                who=say("limitation.concepts.who", "Every concept result."),
                size=say(
                    "limitation.solver.ridge",
                    "At a nominal 5%, 10 to 11% of single tests and of whole runs raised a false alarm.",
                )
                if solver == "ridge"
                else say("limitation.solver.unmeasured", "False alarms were not measured with it."),
                how_known=say(
                    "limitation.solver.known",
                    "Measured where the truth is known by construction (docs/validation-concepts.md).",
                ),
                what_to_do=say(
                    "limitation.solver.do",
                    "Take cav = 'mean_difference', the default, for what a decision rests on.",
                ),
            )
        )
    if stage.unnamed_rows:
        found.append(
            Limitation(
                what=say("limitation.unnamed.what", "Some rows of the log name no image."),
                who=say("limitation.unnamed.who", "Their images: they are in no concept test."),
                size=say("limitation.rows", "{rows:,} rows.", rows=stage.unnamed_rows),
                how_known=say("limitation.known.counted", "Counted in the log."),
                what_to_do=say(
                    "limitation.unnamed.do", "Fill the image column in, or say why these rows have none."
                ),
            )
        )
    unlearnt = sorted({result.concept for result in stage.results if result.verdict == "not_learnt"})
    if unlearnt:
        found.append(
            Limitation(
                what=say(
                    "limitation.not_learnt.what",
                    "Not learnt at one or more layers: {concepts:and}.",
                    concepts=unlearnt,
                ),
                who=say("limitation.not_learnt.who", "Claims on these concepts there, in either direction."),
                size=say(
                    "limitation.not_learnt.size",
                    "{unlearnt:,} of {tests:,} tests.",
                    unlearnt=sum(result.verdict == "not_learnt" for result in stage.results),
                    tests=len(stage.results),
                ),
                how_known=say(
                    "limitation.not_learnt.known",
                    "The concept's activation vectors did not beat those of random images on "
                    "held-out images.",
                ),
                what_to_do=say("limitation.not_learnt.do", "Give more, or clearer, images of the concept."),
            )
        )
    return found
