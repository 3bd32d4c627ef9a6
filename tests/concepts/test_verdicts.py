"""Verdicts and intervals from findings: by hand, and by coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from concepts.records import Cav, ConceptResult
from concepts.tcav.analysis import Finding, Measure
from concepts.tcav.testing import max_t, p_values
from concepts.tcav.verdicts import conclude, limits, score_limits, verdict_of

CAV = Cav(0.9, 0.9, 0.8, 0.95, 0.6, 0.7)
NULL = np.linspace(-1, 1, 399)


def _finding(value: float, **changes: object) -> Finding:
    base = Finding(
        concept="ruler",
        klass="yes",
        layer="deep",
        slice=(),
        images=200,
        cav=CAV,
        learnt=True,
        undefined=None,
        score=0.8,
        score_error=0.05,
        effect=Measure(value, 0.2, NULL),
        set_size=40,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("effect", "p", "verdict"),
    [
        (3.0, 0.01, "drives"),
        (-3.0, 0.01, "opposes"),
        (3.0, 0.05, "no_effect_shown"),
        (0.1, 0.8, "no_effect_shown"),
    ],
)
def test_the_verdict_takes_the_adjusted_p_and_the_sign(effect: float, p: float, verdict: str) -> None:
    assert verdict_of(_finding(effect), p, confidence=0.95) == verdict


def test_an_effect_nearer_to_zero_than_the_pseudo_concepts_is_no_claim() -> None:
    shifted = _finding(1.0, effect=Measure(1.0, 0.1, NULL + 5.0))
    assert verdict_of(shifted, 0.001, confidence=0.95) == "no_effect_shown"


def test_what_is_not_learnt_yields_no_claim_in_either_direction() -> None:
    assert verdict_of(_finding(9.0, learnt=False), 0.001, confidence=0.95) == "not_learnt"


def test_limits_are_students_t_times_the_bootstrap_error() -> None:
    low, high = limits(Measure(1.0, 0.2, NULL), degrees=39, confidence=0.95)
    half = stats.t.ppf(0.975, 39) * 0.2
    assert (low, high) == (pytest.approx(1 - half), pytest.approx(1 + half))
    assert limits(None, degrees=39, confidence=0.95) == (None, None)


def test_score_limits_are_exact_at_the_effective_number_of_images() -> None:
    low, high = score_limits(_finding(1.0), confidence=0.95)
    effective = 0.8 * 0.2 / 0.05**2  # 64
    expected = stats.binomtest(round(0.8 * effective), round(effective)).proportion_ci(0.95, "exact")
    assert low == pytest.approx(expected.low, abs=0.005)
    assert high == pytest.approx(expected.high, abs=0.005)
    # At the boundary the set's images count, and never more images than there are.
    low, high = score_limits(_finding(1.0, score=1.0, score_error=0.0), confidence=0.95)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 40)), 1.0)
    low, high = score_limits(_finding(1.0, score=0.0, score_error=0.0, images=25), confidence=0.95)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 25)))
    precise, _ = score_limits(_finding(1.0, score_error=1e-9), confidence=0.95)
    assert precise == pytest.approx(stats.binomtest(160, 200).proportion_ci(0.95, "exact").low, abs=1e-6)


def _share_as_far(value: float) -> float:
    every = np.append(NULL, value)
    away = np.abs(every - np.median(every))
    return float((away >= away[-1] - 1e-9).mean())


def test_families_are_adjusted_apart_and_undefined_findings_stay_out() -> None:
    sliced = _finding(1.2, slice=(("site", "a"),), rest=0.5, difference=Measure(0.7, 0.1, NULL), images=50)
    sliced = replace(sliced, membership=Measure(5.0, 0.0, np.abs(NULL)))
    missed = _finding(0.0, undefined="17 images", effect=None, score=None, concept="null")
    whole, part, absent = conclude([_finding(0.97), sliced, missed], confidence=0.95)
    assert whole.p_value == whole.p_adjusted == pytest.approx(_share_as_far(0.97))
    # A family of one: Holm and Benjamini-Hochberg leave the p-value as it is.
    assert whole.p_holm == whole.p_bh == whole.p_value
    assert part.p_holm is None
    assert part.p_value == pytest.approx(1 / 400)
    assert part.difference == 0.7
    assert part.difference_p_value == pytest.approx(_share_as_far(0.7))
    assert part.null_effects == ()
    assert (absent.p_value, absent.effect, absent.low, absent.effect_low) == (None,) * 4
    assert absent.undefined == "17 images"


def test_what_a_gate_holds_back_counts_in_its_family_and_is_not_reported() -> None:
    rng = np.random.default_rng(0)
    nulls = rng.standard_normal((2, 99))
    shown = _finding(2.2, effect=Measure(2.2, 0.1, nulls[0]))
    held = _finding(0.3, concept="null", learnt=False, undefined="not learnt here", score=None)
    held = replace(held, effect=Measure(0.3, 0.0, nulls[1]), difference=Measure(9.0, 0.0, nulls[1]))
    one, none = conclude([shown, held], confidence=0.95)
    both = max_t(np.array([2.2, 0.3]), nulls)
    assert one.p_adjusted == both[0]
    assert one.p_adjusted > p_values(np.array([2.2]), nulls[:1])[0] == one.p_value
    assert none.verdict == "not_learnt"
    assert none.undefined == "not learnt here"
    assert (none.effect, none.effect_low, none.p_value, none.p_adjusted, none.p_holm) == (None,) * 5
    assert (none.difference, none.difference_low, none.difference_p_value) == (None,) * 3
    assert none.null_effects == ()


def test_a_gate_that_favours_large_effects_raises_no_alarms() -> None:
    """The stage's level under the worst gate: learnt only where the effect is large by chance.

    The control beside it: in a family of what passed, the level is lost.
    """
    rng = np.random.default_rng(1)
    runs, alarms, chosen = 300, 0, 0
    for _ in range(runs):
        every = rng.standard_normal((12, 60)) + 0.5 * rng.standard_normal((1, 60))
        learnt = np.abs(every[:, 0]) > np.quantile(np.abs(every), 0.8)
        findings = [
            _finding(row[0], effect=Measure(row[0], 0.1, row[1:]), learnt=bool(passed), score=None)
            for row, passed in zip(every, learnt, strict=True)
        ]
        for family in (findings, [one for one in findings if one.learnt]):
            claims = [one.verdict for one in conclude(family, confidence=0.95)]
            found = bool({"drives", "opposes"} & set(claims))
            alarms, chosen = (alarms + found, chosen) if family is findings else (alarms, chosen + found)
    # The largest p-value below 5% that 59 pseudo-concepts can give is 2 / 60.
    assert abs(alarms / runs - 2 / 60) < 4 * np.sqrt(2 / 60 * 58 / 60 / runs)
    assert chosen / runs > 0.09


def test_an_effect_whose_interval_holds_zero_is_no_claim() -> None:
    assert verdict_of(_finding(1.0, effect=Measure(1.0, 0.6, NULL)), 0.001, confidence=0.95) == (
        "no_effect_shown"
    )
    # 40 images of a set, but 6 clusters to score: the interval is that of 5 degrees of freedom.
    few = _finding(1.0, effect=Measure(1.0, 0.45, NULL))
    assert verdict_of(few, 0.001, confidence=0.95) == "drives"
    assert verdict_of(replace(few, clusters=6), 0.001, confidence=0.95) == "no_effect_shown"


def _compared(value: float, error: float, pseudo: np.ndarray, away: float) -> ConceptResult:
    sliced = _finding(
        2.0,
        slice=(("site", "a"),),
        difference=Measure(value, error, pseudo),
        membership=Measure(away, 0.0, np.linspace(0, 3, 399)),
    )
    return conclude([sliced], confidence=0.95)[0]


def test_a_difference_needs_both_tests_and_its_interval() -> None:
    near = NULL / 100
    both = _compared(1.0, 0.2, near, 9.0)
    assert (both.difference_verdict, both.difference_p_adjusted) == ("higher", pytest.approx(1 / 400))
    assert _compared(-1.0, 0.2, near, 9.0).difference_verdict == "lower"
    random_slice = _compared(1.0, 0.2, near, 1.5)
    assert random_slice.difference_verdict == "not_shown"
    assert random_slice.difference_p_value == pytest.approx(0.5, abs=0.01)
    as_the_pseudo_concepts = _compared(1.0, 0.2, 2 * NULL, 9.0)
    assert as_the_pseudo_concepts.difference_verdict == "not_shown"
    assert _compared(1.0, 0.6, near, 9.0).difference_verdict == "not_shown"
