"""The analysis as a whole: selection, disparities, simultaneous limits, clusters, classes, threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slices.analysis import Analysis, analyse
from slices.counts import OutcomeSpace
from slices.errors import LogError
from slices.estimates.replication import replicate
from slices.intervals import clopper_pearson, koopman, miettinen_nurminen
from slices.records import SliceRecord
from slices.records import Tested as Asked
from tests.slices.tables import binary, clustered, counted, one_way

ALL = (
    "precision",
    "recall",
    "fpr",
    "fnr",
    "specificity",
    "npv",
    "f1",
    "accuracy",
    "balanced_accuracy",
    "selection_rate",
    "prevalence",
    "mcc",
)


def run(log, metrics=tuple(ALL), **options) -> Analysis:
    return analyse(log, **({"metrics": tuple(metrics), "resamples": 4000, "seed": 5} | options))


def found(analysis: Analysis, value: str, klass: str | None = None) -> SliceRecord:
    wanted = one_way("group", value)
    return next(r for r in analysis.slices if r.slice == wanted and r.klass == klass)


def estimate(record: SliceRecord, metric: str):
    return next(e for e in record.estimates if e.metric == metric)


def disparity(record: SliceRecord, metric: str, against: str = "complement"):
    return next(d for d in record.disparities if (d.metric, d.against) == (metric, against))


LOG = binary(a=(600, 30, 90, 700), b=(80, 9, 12, 90), c=(9, 1, 3, 20), d=(5, 0, 0, 0))


def test_the_interval_follows_the_support():
    analysis = run(LOG)
    assert estimate(found(analysis, "a"), "f1").method == "bootstrap, BCa"
    methods = {value: estimate(found(analysis, value), "recall").method for value in "abcd"}
    assert methods == {
        "a": "Wilson and Jeffreys, the wider",
        "b": "Wilson and Jeffreys, the wider",
        "c": "Clopper-Pearson",
        "d": "Clopper-Pearson",
    }
    c = estimate(found(analysis, "c"), "recall")
    assert (c.low, c.high) == pytest.approx(tuple(map(float, clopper_pearson(9, 12, 0.05))))
    assert c.support == 12


def test_undefined_is_a_reason_and_never_a_number():
    record = found(run(LOG), "d")
    fpr = estimate(record, "fpr")
    assert (fpr.value, fpr.low, fpr.high, fpr.support) == (None, None, None, 0)
    assert fpr.undefined == "no row with a negative label"
    assert disparity(record, "fpr").difference.value is None
    assert disparity(record, "fpr").undefined == "the slice: no row with a negative label"
    mcc = estimate(record, "mcc")
    assert mcc.value is None
    assert mcc.undefined == "labels or predictions are all of one class"


def test_mcc_at_the_boundary_has_no_limits_and_says_why():
    mcc = estimate(found(run(binary(a=(20, 0, 0, 30), b=(20, 5, 5, 30))), "a"), "mcc")
    assert mcc.value == pytest.approx(1)
    assert mcc.low is None
    assert "no interval" in str(mcc.undefined)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 40)] * 4), min_size=2, max_size=4))
def test_no_interval_is_of_zero_width_or_outside_the_range(tables):
    if not any(map(sum, tables)):
        return
    log = binary(**{f"v{k}": table for k, table in enumerate(tables)})
    analysis = run(log, resamples=200)
    for record in analysis.overall + analysis.slices:
        for item in record.estimates:
            if item.low is not None:
                lowest = -1 if item.metric == "mcc" else 0
                assert lowest <= item.low < item.high <= 1
                assert item.low - 1e-9 <= item.value <= item.high + 1e-9
            else:
                assert item.undefined
        for item in record.disparities:
            if item.difference.low is not None:
                assert -2 <= item.difference.low < item.difference.high <= 2
            if item.ratio.low is not None and item.ratio.high is not None:
                assert 0 <= item.ratio.low < item.ratio.high


@pytest.mark.parametrize("n", [12, 45, 110])
def test_limits_are_monotone_in_the_count(n):
    log = binary(**{f"v{k:03d}": (k, 0, n - k, 50) for k in range(n + 1)})
    analysis = run(log, ["recall"], resamples=100)
    lows, highs = zip(*((e.low, e.high) for r in analysis.slices for e in r.estimates), strict=True)
    assert np.all(np.diff(lows) >= -1e-12)
    assert np.all(np.diff(highs) >= -1e-12)


def test_bootstrap_limits_are_monotone_in_the_count_beyond_monte_carlo_noise():
    log = binary(**{f"v{k:03d}": (k, 0, 600 - k, 50) for k in range(0, 601, 20)})
    lows, highs = zip(
        *((e.low, e.high) for r in run(log, ["recall"]).slices for e in r.estimates), strict=True
    )
    assert np.all(np.diff(lows) > 0)
    assert np.all(np.diff(highs) >= 0)


def test_small_gaps_use_the_score_intervals_and_their_p_value():
    log = binary(a=(30, 4, 10, 40), b=(70, 9, 10, 90))
    gap = disparity(found(run(log), "a"), "recall")
    assert gap.method == "score (Miettinen-Nurminen, Koopman)"
    expected = miettinen_nurminen(30, 40, 70, 80, 0.05)
    assert (gap.difference.low, gap.difference.high) == pytest.approx(tuple(map(float, expected)))
    expected = koopman(30, 40, 70, 80, 0.05)
    assert (gap.ratio.low, gap.ratio.high) == pytest.approx(tuple(map(float, expected)))
    assert gap.ratio.value == pytest.approx((30 / 40) / (70 / 80))
    assert gap.comparator is not None
    assert (gap.comparator.value, gap.comparator.support) == (70 / 80, 80)


@pytest.mark.parametrize("log", [LOG, binary(a=(30, 4, 10, 40), b=(70, 9, 10, 90))])
def test_p_values_are_dual_to_the_difference(log):
    for record in run(log).slices:
        for gap in record.disparities:
            if gap.p_value is not None and gap.difference.low is not None and abs(gap.p_value - 0.05) > 0.004:
                excludes = gap.difference.low > 0 or gap.difference.high < 0
                assert (gap.p_value < 0.05) == excludes, (gap.metric, gap.method)


def test_the_overall_slice_has_no_disparity():
    assert run(LOG).overall[0].disparities == ()


def test_a_slice_and_its_complement_mirror_each_other():
    log = binary(a=(600, 30, 90, 700), b=(580, 45, 70, 690))
    analysis = run(log, resamples=20_000)
    one, other = (disparity(found(analysis, v), "recall").difference for v in "ab")
    assert one.value == pytest.approx(-other.value)
    assert one.low == pytest.approx(-other.high, abs=0.004)


def test_reference_values_are_compared_where_a_rule_asks():
    tested = (Asked(one_way("group", "b"), None, "tpr", "difference", "a"),)
    record = found(run(LOG, tested=tested), "b")
    gap = disparity(record, "recall", "a")
    assert gap.difference.value == pytest.approx(80 / 92 - 600 / 690)
    assert [s.against for s in record.simultaneous] == ["a"]
    assert not any(d.against == "a" for d in found(run(LOG), "b").disparities)


def test_simultaneous_limits_are_exact_and_wider():
    tested = tuple(
        Asked(one_way("group", v), None, "recall", q, a)
        for v in "abc"
        for q, a in (("value", None), ("difference", "complement"), ("ratio", "complement"))
    )
    analysis = run(LOG, tested=tested)
    assert analysis.family == 9
    assert 0.95 < analysis.level < 1
    for value, table in (("a", (600, 690)), ("b", (80, 92)), ("c", (9, 12))):
        record = found(analysis, value)
        item = next(s for s in record.simultaneous if s.quantity == "value")
        expected = clopper_pearson(*table, 1 - analysis.level)
        assert (item.low, item.high) == pytest.approx(tuple(map(float, expected)))
        point = estimate(record, "recall")
        assert item.low < point.low
        assert item.high >= point.high
        assert {s.quantity for s in record.simultaneous} == {"value", "difference", "ratio"}


def test_what_the_log_does_not_hold_is_not_in_the_family():
    tested = (
        Asked(one_way("group", "a"), None, "recall", "value", None),
        Asked(one_way("group", "zzz"), None, "recall", "value", None),
        Asked(one_way("group", "a"), "cat", "recall", "value", None),
    )
    assert run(LOG, tested=tested).family == 1


def test_an_unknown_metric_is_refused():
    with pytest.raises(LogError, match="Metric 'nonsense' is not known"):
        run(LOG, ["nonsense"])


def test_threads_change_no_byte_and_seeds_do():
    one, two = run(LOG, threads=1), run(LOG, threads=2)
    assert one == two
    assert run(LOG, seed=6) != one


def test_the_order_of_slices_changes_nothing():
    shuffled = replace(LOG, slices=(LOG.slices[0], *reversed(LOG.slices[1:])))
    forwards, backwards = run(LOG), run(shuffled)
    assert set(map(repr, forwards.slices)) == set(map(repr, backwards.slices))


def test_renaming_a_group_changes_its_name_and_monte_carlo_noise_only():
    first = binary(a=(600, 30, 90, 700), b=(300, 30, 400, 500))
    second = binary(z=(600, 30, 90, 700), b=(300, 30, 400, 500))
    one, two = (found(run(log, resamples=20_000), name) for log, name in ((first, "a"), (second, "z")))
    for left, right in zip(one.estimates, two.estimates, strict=True):
        assert (left.metric, left.value, left.support, left.method) == (
            right.metric,
            right.value,
            right.support,
            right.method,
        )
        assert left.low == pytest.approx(right.low, abs=0.003)


def test_over_one_percent_undefined_replicates_means_the_small_sample_interval(monkeypatch):
    import slices.estimates.selection as selection

    monkeypatch.setattr(selection, "BOOTSTRAP_FROM", 2)
    monkeypatch.setattr(selection, "BOOTSTRAP_RARER", 1)
    record = found(run(binary(a=(3, 1, 1, 300), b=(300, 40, 60, 500)), ["balanced_accuracy"]), "a")
    item = estimate(record, "balanced_accuracy")
    assert item.method.startswith("MOVER; undefined in ")
    assert item.method.endswith("% of the replicates")


def test_method_sentences_say_unit_draws_and_family():
    tested = (Asked(one_way("group", "a"), None, "recall", "value", None),) * 2
    text = " ".join(run(LOG, tested=tested).method)
    assert "The unit that is resampled is the row" in text
    assert "4,000 draws" in text
    assert "The policy tests 1 quantit" in text


def test_progress_is_told():
    told = []
    run(LOG, progress=lambda what, done, total: told.append((what, done, total)))
    assert ("resampling", 1) in {(what, done) for what, done, _ in told}
    assert told[-1][1] == told[-1][2]


def patients(count: int, images: int, seed: int, icc: float = 0.5):
    rng = np.random.default_rng(seed)
    shape = (1 - icc) / icc
    share = rng.beta(0.85 * shape, 0.15 * shape, count)
    right = rng.binomial(images, share)
    sick = rng.random(count) < 0.5
    tables = np.zeros((count, 4), dtype=np.int64)
    tables[sick, 0], tables[sick, 2] = right[sick], images - right[sick]
    tables[~sick, 3], tables[~sick, 1] = right[~sick], images - right[~sick]
    return tables, rng.random(count) < 0.4


def test_clusters_widen_the_interval_and_are_told():
    tables, group = patients(600, 4, 1)
    with_clusters = found(run(clustered(tables, group)), "a")
    parts = {"a": tables[group].sum(0), "b": tables[~group].sum(0)}
    without = found(run(binary(**{k: tuple(v) for k, v in parts.items()})), "a")
    ours, naive = estimate(with_clusters, "recall"), estimate(without, "recall")
    assert ours.value == naive.value
    assert ours.method == "logit-t over clusters"
    assert ours.clusters == int((tables[group][:, [0, 2]].sum(1) > 0).sum())
    assert 1.8 < ours.design_effect < 3.2
    assert ours.effective == pytest.approx(ours.support / ours.design_effect)
    assert ours.high - ours.low > 1.3 * (naive.high - naive.low)


def test_linearised_error_against_the_textbook_ratio_estimator():
    tables, group = patients(80, 3, 2)
    item = estimate(found(run(clustered(tables, group)), "a"), "recall")
    y, x = tables[group][:, 0], tables[group][:, [0, 2]].sum(1)
    y, x = y[x > 0].astype(float), x[x > 0].astype(float)
    ratio, m = y.sum() / x.sum(), x.size
    variance = m / (m - 1) * np.sum((y - ratio * x) ** 2) / x.sum() ** 2
    assert item.effective == pytest.approx(ratio * (1 - ratio) / variance)


def test_degrees_of_freedom_are_those_of_few_bad_patients():
    from slices.estimates.degrees import satterthwaite_degrees
    from slices.intervals import logit_t

    tables, group = patients(150, 8, 6)
    item = estimate(found(run(clustered(tables, group)), "a"), "recall")
    y, x = tables[group][:, 0], tables[group][:, [0, 2]].sum(1)
    y, x = y[x > 0].astype(float), x[x > 0].astype(float)
    df = satterthwaite_degrees(y - item.value * x)
    assert df < x.size - 2
    error = np.sqrt(item.value * (1 - item.value) / item.effective)
    assert (item.low, item.high) == pytest.approx(tuple(map(float, logit_t(item.value, error, df, 0.05))))


def test_many_clusters_are_bootstrapped_and_agree_with_the_linearised_limits(monkeypatch):
    import slices.estimates.selection as selection

    monkeypatch.setattr(selection, "BOOTSTRAP_CLUSTERS", 500)
    tables, group = patients(3000, 4, 3)
    analysis = run(clustered(tables, group), ["recall", "balanced_accuracy"])
    record = found(analysis, "a")
    assert estimate(record, "recall").method == "logit-t over clusters"
    assert disparity(record, "recall").method == "bootstrap, BCa"
    item = estimate(record, "balanced_accuracy")
    assert item.method == "bootstrap, BCa"
    monkeypatch.setattr(selection, "BOOTSTRAP_CLUSTERS", 5000)
    linearised = estimate(found(run(clustered(tables, group), ["balanced_accuracy"]), "a"), item.metric)
    assert item.high - item.low == pytest.approx(linearised.high - linearised.low, rel=0.06)
    assert "The unit that is resampled is the cluster" in analysis.method[0]


def test_at_one_the_interval_is_that_of_the_clusters():
    tables = np.zeros((10, 4), dtype=np.int64)
    tables[:, 0] = 6
    log = clustered(tables, np.arange(10) < 7)
    item = estimate(found(run(log), "a"), "recall")
    assert item.method == "Clopper-Pearson, n = clusters"
    assert (item.value, item.clusters, item.support) == (1.0, 7, 42)
    assert item.low == pytest.approx(float(clopper_pearson(7, 7, 0.05)[0]))


def test_clusters_of_one_row_give_the_intervals_of_rows():
    tables = np.repeat(np.eye(4, dtype=np.int64), [40, 5, 8, 47], axis=0)
    group = np.arange(100) % 2 == 0
    parts = {"a": tables[group].sum(0), "b": tables[~group].sum(0)}
    ours = found(run(clustered(tables, group)), "a")
    rows = found(run(binary(**{k: tuple(v) for k, v in parts.items()})), "a")
    for name in ("recall", "fpr", "accuracy"):
        assert estimate(ours, name).low == pytest.approx(estimate(rows, name).low)
        assert estimate(ours, name).high == pytest.approx(estimate(rows, name).high)


def test_simultaneous_limits_of_clusters_are_korn_graubard():
    tables, group = patients(120, 4, 4)
    tested = tuple(Asked(one_way("group", "a"), None, name, "value", None) for name in ("recall", "fpr"))
    record = found(run(clustered(tables, group), tested=tested), "a")
    item = record.simultaneous[0]
    assert item.method.startswith("Korn-Graubard")
    assert item.low < estimate(record, "recall").low


def several_classes(seed: int = 1) -> tuple[OutcomeSpace, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    space = OutcomeSpace("multiclass", ("cat", "dog", "eel"), 1, 12)
    chances = np.full((3, 4), 0.03)
    chances[range(3), range(3)] = 0.25
    chances /= chances.sum()
    return space, {name: rng.multinomial(n, chances.ravel())[None] for name, n in (("a", 900), ("b", 60))}


def test_classes_have_records_of_their_own_and_one_over_all():
    space, parts = several_classes()
    analysis = run(counted(space, parts), ["recall", "precision"])
    assert [r.klass for r in analysis.overall] == [None, "cat", "dog", "eel"]
    matrix = parts["a"].reshape(3, 4)
    cat = found(analysis, "a", "cat")
    assert cat.counts == (
        matrix[0, 0],
        matrix[1:, 0].sum(),
        matrix[0, 1:].sum(),
        matrix[1:, 1:].sum(),
    )
    over = found(analysis, "a")
    assert over.counts is None
    accuracy = estimate(over, "accuracy")
    assert accuracy.value == pytest.approx(np.trace(matrix[:, :3]) / matrix.sum())
    assert accuracy.support == matrix.sum()
    assert accuracy.method == "Wilson and Jeffreys, the wider"
    assert estimate(over, "mcc").method == "bootstrap, BCa"
    macro = estimate(over, "macro_recall")
    assert macro.value == pytest.approx(np.mean(np.diag(matrix[:, :3]) / matrix.sum(1)))
    assert macro.support == 3
    small = found(analysis, "b")
    assert estimate(small, "macro_recall").method == "MOVER"
    assert estimate(small, "mcc").method == "Fisher's z, linearised"


def test_pooled_accuracy_of_few_rows_is_a_proportion_of_rows():
    space, parts = several_classes()
    matrix = parts["b"].reshape(3, 4)
    small = estimate(found(run(counted(space, parts), ["recall"]), "b"), "micro_recall")
    assert small.method == "Wilson and Jeffreys, the wider"
    errors = estimate(found(run(counted(space, parts), ["recall"]), "b"), "micro_fpr")
    wrong = matrix[:, :3].sum() - np.trace(matrix[:, :3])
    assert errors.value == pytest.approx(wrong / (2 * matrix.sum()))
    assert errors.low > 0


def test_classes_of_a_multi_label_log_are_drawn_by_themselves():
    space = OutcomeSpace("multilabel", ("x", "y"), 2, 4)
    parts = {
        "a": np.array([[300, 20, 40, 640], [250, 9, 30, 711]]),
        "b": np.array([[200, 20, 40, 640], [290, 9, 30, 711]]),
    }
    analysis = run(counted(space, parts), ["recall"])
    assert [r.klass for r in analysis.overall] == [None, "x", "y"]
    assert found(analysis, "a", "y").counts == (250, 9, 30, 711)
    over = found(analysis, "a")
    assert {e.metric for e in over.estimates} == {
        f"{how}_{name}" for how in ("macro", "micro") for name in ("precision", "recall", "fpr", "f1")
    }
    assert estimate(over, "micro_recall").value == pytest.approx(550 / 620)


def test_one_pair_is_one_joint_draw_whatever_else_is_asked():
    alone = run(LOG, ["recall"])
    among = run(LOG)
    assert estimate(found(alone, "a"), "recall") == estimate(found(among, "a"), "recall")
    assert replicate.__module__ == "slices.estimates.replication"


def with_weights(log, weights):
    """The log with a weight for every row of a group's outcome: (groups, 4) weights."""
    from slices.counts import WeightedCells

    made = []
    for counts, w in zip(log.slices[1:], weights, strict=True):
        others = [k for k, other in enumerate(log.slices[1:]) if other is not counts]
        sums = []
        for power in (1, 2, 4):
            sums.append(counts.inside * w[None] ** power)
            sums.append(sum(log.slices[1 + k].inside * weights[k][None] ** power for k in others))
        made.append(replace(counts, weighted=WeightedCells(*sums)))
    sums = []
    for name in ("inside", "inside_squares", "inside_fourths"):
        total = sum(getattr(m.weighted, name) for m in made)
        sums += [total, np.zeros_like(total)]
    overall = replace(log.slices[0], weighted=WeightedCells(*sums))
    return replace(log, slices=(overall, *made))


def test_equal_weights_change_no_value_and_no_limit():
    log = binary(a=(80, 9, 12, 90), b=(200, 20, 30, 300))
    plain, equal = run(log), run(with_weights(log, [np.full(4, 3.0)] * 2))
    for metric in ("recall", "fpr", "f1", "accuracy"):
        one, two = (estimate(found(analysis, "a"), metric) for analysis in (plain, equal))
        assert two.value == pytest.approx(one.value)
        assert two.support == one.support
        assert two.effective == pytest.approx(two.support, rel=0.02)
        assert (two.low, two.high) == pytest.approx((one.low, one.high))
        assert two.method == one.method
    assert "weighted by the log's weights" in " ".join(equal.method)


def test_weighted_values_errors_and_effective_rows_by_hand():
    log = binary(a=(60, 10, 20, 80), b=(100, 20, 30, 150))
    weights = np.array([1.0, 2.0, 4.0, 0.5])
    item = estimate(found(run(with_weights(log, [weights, np.ones(4)])), "a"), "recall")
    rows = np.repeat([1.0, 4.0], [60, 20])
    right = np.repeat([1.0, 0.0], [60, 20])
    share = np.average(right, weights=rows)
    assert item.value == pytest.approx(share)
    assert item.support == 80
    variance = 80 / 79 * np.sum((rows * (right - share)) ** 2) / rows.sum() ** 2
    # Sums of weights are scaled to 1 a row over the log: the share of 1 - share over variance is not.
    assert item.effective == pytest.approx(share * (1 - share) / variance, rel=1e-6)
    assert item.low < share < item.high


def test_weighted_logs_are_never_drawn_by_counts():
    log = binary(a=(2000, 300, 300, 2000), b=(2000, 200, 300, 3000))
    analysis = run(with_weights(log, [np.array([1.0, 2, 3, 1]), np.ones(4)]))
    assert not any("bootstrap" in e.method for r in analysis.slices for e in r.estimates)


def with_scores(log, cluster=False):
    from slices.counts import ScoreRows

    rng = np.random.default_rng(8)
    rows = {}
    for counts in log.slices[1:]:
        positive = rng.random(200) < 0.4
        scores = 1 / (1 + np.exp(-(rng.normal(size=200) + 1.5 * positive - 0.7)))
        rows[counts.slice] = ScoreRows(scores, positive, np.arange(200) // 4 if cluster else None, None)

    def scores_of(slice_, stratum=0, outside=False):
        names = [s for s in rows if (s == slice_) != outside] if slice_.order else list(rows)
        parts = [rows[name] for name in names]
        together = [np.concatenate([getattr(p, field) for p in parts]) for field in ("scores", "positive")]
        codes = np.concatenate([p.cluster for p in parts]) if cluster else None
        return ScoreRows(together[0], together[1], codes, None)

    return replace(log, scores=scores_of)


@pytest.mark.parametrize("cluster", [False, True])
def test_score_metrics_enter_estimates_disparities_and_simultaneous_limits(cluster):
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    log = with_scores(binary(a=(40, 9, 12, 90), b=(60, 20, 30, 100)), cluster)
    tested = (
        Asked(one_way("group", "a"), None, "auroc", "value", None),
        Asked(one_way("group", "a"), None, "auroc", "difference", "complement"),
    )
    analysis = run(log, ["recall", "auroc", "auprc", "brier", "ece"], tested=tested)
    record = found(analysis, "a")
    rows = log.scores(one_way("group", "a"))
    for name, oracle in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        assert estimate(record, name).value == pytest.approx(oracle(rows.positive, rows.scores))
    assert estimate(record, "brier").value == pytest.approx(brier_score_loss(rows.positive, rows.scores))
    gap = disparity(record, "auroc")
    assert gap.difference.low < gap.difference.value < gap.difference.high
    assert analysis.family == 2
    value, difference = record.simultaneous
    assert value.low < estimate(record, "auroc").low
    assert difference.low < gap.difference.low


def test_a_log_without_scores_says_so():
    item = estimate(found(run(LOG, ["auroc"]), "a"), "auroc")
    assert (item.value, item.undefined) == (None, "the log has no score column")


def test_metrics_that_need_true_negatives_are_undefined_where_there_are_none():
    log = binary(a=(400, 30, 60, 0), b=(80, 9, 12, 0))
    log = replace(log, space=replace(log.space, task="detection", negatives=False))
    tested = tuple(Asked(one_way("group", "a"), None, name, "value", None) for name in ("recall", "fpr"))
    analysis = run(log, tested=tested)
    record = found(analysis, "a")
    defined = {e.metric for e in record.estimates if e.value is not None}
    assert defined == {"precision", "recall", "fnr", "f1"}
    assert estimate(record, "fpr").undefined == "true negatives are not known in this log"
    assert disparity(record, "accuracy").difference.value is None
    assert analysis.family == 1


def test_every_comparison_says_the_gap_it_could_have_shown():
    gap = disparity(found(run(LOG), "b"), "recall")
    assert 0 < gap.detectable_gap < 0.5
    from slices.estimates.power import Arm, detectable_gap

    arms = [
        Arm(item.value, item.support) for item in (estimate(found(run(LOG), "b"), "recall"), gap.comparator)
    ]
    assert gap.detectable_gap == pytest.approx(detectable_gap(*arms))


def test_a_wide_gap_in_a_large_log_stays_certain_among_thousands_of_comparisons():
    """33,280 rows in 60 groups, 50 points of recall between one of them and the others."""
    groups = {f"v{k:02d}": (232, 17, 25, 253) for k in range(60)} | {"worst": (370, 30, 560, 700)}
    log = binary(**groups)
    assert log.rows == 33_280
    analysis = run(log, ["recall"])
    gap = disparity(found(analysis, "worst"), "recall")
    assert gap.method == "bootstrap, BCa"
    assert gap.difference.value == pytest.approx(370 / 930 - 232 / 257, abs=1e-9)
    assert 0 < gap.p_adjusted < 1e-6
    assert gap.p_bh < 1e-6


def test_p_values_are_adjusted_metric_by_metric():
    from slices.multiplicity import adjust

    analysis = run(LOG)
    by_metric: dict[str, list] = {}
    for record in analysis.slices:
        for gap in record.disparities:
            by_metric.setdefault(gap.metric, []).append(gap)
    for gaps in by_metric.values():
        p = [np.nan if gap.p_value is None else gap.p_value for gap in gaps]
        for method, field in (("holm", "p_adjusted"), ("fdr_bh", "p_bh")):
            expected = adjust(p, method)
            ours = [np.nan if getattr(gap, field) is None else getattr(gap, field) for gap in gaps]
            np.testing.assert_allclose(ours, expected)
    assert "each metric's family is all slices and classes compared in it" in " ".join(analysis.method)


def test_too_few_draws_mean_the_closed_form_and_a_sentence():
    analysis = run(LOG, ["f1"], resamples=1000)
    assert estimate(found(analysis, "a"), "f1").method == "Wilson and Jeffreys, the wider"
    assert "fewer than 50 of the 1,000 draws lay beyond" in " ".join(analysis.method)
    enough = run(LOG, ["f1"])
    assert estimate(found(enough, "a"), "f1").method == "bootstrap, BCa"
    assert "lay beyond a bootstrap limit" not in " ".join(enough.method)


@pytest.mark.parametrize("share", [(7, 3), (10, 0)])
def test_patients_of_one_and_the_same_share_are_worth_one_row_each(share):
    right, wrong = share
    tables = np.tile(np.array([right, 3, wrong, 7]), (120, 1))
    for log in (clustered(tables, np.arange(120) < 60), clustered(tables, np.arange(120) < 1)):
        analysis = run(log, resamples=400)
        for record in analysis.overall + analysis.slices:
            for item in [*record.estimates, *(gap.comparator for gap in record.disparities)]:
                if item.value is None:
                    continue
                assert item.effective == item.clusters == record_clusters(record, item)
                assert item.design_effect == pytest.approx(item.support / item.clusters)
                if item.metric == "mcc":
                    assert item.low is None or item.high - item.low > 0.01
                else:
                    assert item.high - item.low > 0.01, item
            for gap in record.disparities:
                if gap.difference.low is not None:
                    assert gap.difference.high - gap.difference.low > 0.01


def record_clusters(record, item) -> int:
    """Every patient has rows of all four outcomes here: all of a side contribute."""
    inside = record.clusters
    if any(item is gap.comparator for gap in record.disparities):
        return 120 - inside
    return inside


def test_the_worst_gap_of_such_patients_has_a_width():
    from slices.supplements.composed import worst_gaps

    tables = np.tile(np.array([7, 3, 3, 7]), (120, 1))
    analysis = run(clustered(tables, np.arange(120) < 60), ["recall"], resamples=400)
    gaps = worst_gaps(analysis.slices, ["recall"], confidence=0.95)
    assert gaps
    for found_gap in gaps:
        assert found_gap.gap.high - found_gap.gap.low > 0.05


def test_weighted_rows_are_no_clusters():
    log = with_weights(binary(a=(60, 10, 20, 80), b=(100, 20, 30, 150)), [np.array([1.0, 2, 4, 0.5])] * 2)
    tested = (Asked(one_way("group", "a"), None, "recall", "value", None),)
    record = found(run(log, ["recall"], tested=tested), "a")
    item = estimate(record, "recall")
    assert item.clusters is None
    assert item.method == "logit-t, linearised for weights"
    assert record.simultaneous[0].method.startswith("Korn-Graubard, linearised for weights")
    assert not any("cluster" in e.method for e in record.estimates)
    perfect = with_weights(binary(a=(60, 0, 0, 80), b=(100, 20, 30, 150)), [np.array([1.0, 2, 4, 0.5])] * 2)
    record = found(run(perfect, ["recall", "accuracy"]), "a")
    item = estimate(record, "recall")
    assert (item.method, item.clusters) == ("Clopper-Pearson", None), "of one weight all"
    assert item.effective == pytest.approx(60)
    item = estimate(record, "accuracy")
    assert (item.method, item.clusters) == ("Clopper-Pearson, n = effective rows (Kish)", None)
    assert item.effective == pytest.approx(100**2 / (60 + 80 / 4))


def test_weights_that_sum_to_0_are_the_reason():
    log = binary(a=(60, 10, 20, 80), b=(100, 20, 30, 150), c=(30, 0, 3, 50))
    none = np.zeros(4)
    no_positives = np.array([0.0, 1, 0, 1])
    analysis = run(with_weights(log, [none, np.ones(4), no_positives]))
    for metric in ("precision", "recall", "accuracy", "mcc", "balanced_accuracy"):
        assert estimate(found(analysis, "a"), metric).undefined == "weights sum to 0"
        assert disparity(found(analysis, "a"), metric).undefined == "the slice: weights sum to 0"
    record = found(analysis, "c")
    assert estimate(record, "recall").undefined == "weights sum to 0"
    assert estimate(record, "fpr").value == 0
    rows = binary(a=(0, 0, 4, 9), b=(100, 20, 30, 150))
    item = estimate(found(run(with_weights(rows, [none, np.ones(4)])), "a"), "precision")
    assert item.undefined == "no positive prediction"


def test_a_log_whose_weights_sum_to_0_is_refused():
    log = with_weights(binary(a=(60, 10, 20, 80), b=(10, 2, 3, 15)), [np.zeros(4)] * 2)
    with pytest.raises(LogError, match="The weights of all 200 counted rows sum to 0; give at least one"):
        run(log)


def test_images_are_the_unit_of_figures_over_all_labels():
    from slices.counts import ClusterPatterns

    space = OutcomeSpace("multilabel", ("x", "y"), 2, 4)
    rng = np.random.default_rng(4)
    outcome = rng.integers(0, 4, (300, 2))
    each = np.eye(4, dtype=np.int64)[outcome]  # (images, strata, cells)
    group = np.arange(300) < 120
    log = counted(space, {"a": each[group].sum(0), "b": each[~group].sum(0)})

    def patterns(slice_, against=None):
        here = np.full(300, True) if slice_.order == 0 else group == (slice_.values[0][1] == "a")
        sides = np.stack([each * here[:, None, None], each * ~here[:, None, None]], axis=1)
        return ClusterPatterns(sides, np.ones(300, dtype=np.int64))

    analysis = run(replace(log, patterns=patterns), ["recall"])
    item = estimate(found(analysis, "a"), "micro_recall")
    assert item.method == "logit-t over images (ids)"
    assert item.clusters is None
    assert not any("cluster" in e.method for r in analysis.slices for e in r.estimates)


def test_simultaneous_gaps_are_never_inside_the_pointwise_kind_at_their_level():
    tested = tuple(
        Asked(one_way("group", v), None, "recall", q, "complement")
        for v in "abcd"
        for q in ("difference", "ratio")
    )
    log = binary(a=(600, 30, 90, 700), b=(80, 9, 12, 90), c=(1, 1, 40, 20), d=(29, 0, 1, 3))
    analysis = run(log, tested=tested)
    totals = {"a": (600, 690), "b": (80, 92), "c": (1, 41), "d": (29, 30)}
    whole = (710, 853)
    alpha = 1 - analysis.level
    for value, (x, n) in totals.items():
        difference, ratio = found(analysis, value).simultaneous
        table = (x, n, whole[0] - x, whole[1] - n, alpha)
        for item, kind in ((difference, miettinen_nurminen), (ratio, koopman)):
            low, high = map(float, kind(*table))
            assert item.low <= low + 1e-12
            assert item.high is None or item.high >= high - 1e-12
            assert item.method.startswith("MOVER and score, the wider at the joint level")
    text = " ".join(analysis.method)
    assert "limits at that level are exact" not in text
    assert "Clopper-Pearson's exact limits" in text
    assert "never narrower than those of the pointwise kind" in text


def test_the_method_names_neither_patients_nor_one_groups():
    tables, group = patients(60, 3, 2)
    tested = tuple(Asked(one_way("group", "a"), None, m, "value", None) for m in ("recall", "fpr"))
    text = " ".join(run(clustered(tables, group), ["recall", "fpr"], tested=tested).method)
    assert "patient" not in text
    assert "max-T over 2 quantities in 1 group)" in text
    assert "Korn and Graubard's limits" in text
