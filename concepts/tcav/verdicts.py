"""From findings of all layers to results: p-values, their adjustment over the family, intervals, verdicts.

Three families, each adjusted by max-T: concept x class x layer; the same per slice; and the differences
slice minus rest, which are tested twice (against the pseudo-concepts, and with membership of the slice
permuted): a claim needs both, so its p-value is the larger one and the level needs no further correction
(intersection-union; Berger 1982). A family holds all that was tested, also what a gate then holds back:
the gates favour sets whose effect is large by chance, and of a family chosen by them too many would be
rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from concepts.records import ConceptResult, ConceptVerdict, DifferenceVerdict
from concepts.tcav.analysis import Finding, Measure
from concepts.tcav.testing import (
    can_survive_holm,
    max_t,
    p_values,
    share_as_far,
    share_of_largest,
    significance_level,
)
from slices.multiplicity import adjust

P = dict[int, tuple[float, float]]


def conclude(findings: Sequence[Finding], *, confidence: float) -> tuple[ConceptResult, ...]:
    """Results in the order of the findings; those not learnt have neither effect nor p-value."""
    whole = {i: f.effect for i, f in enumerate(findings) if f.effect is not None and not f.slice}
    sliced = {i: f.effect for i, f in enumerate(findings) if f.effect is not None and f.slice}
    gaps = {i: f.difference for i, f in enumerate(findings) if f.difference is not None}
    permuted = {i: f.membership for i, f in enumerate(findings) if f.membership is not None}
    main, by_slice, by_pseudo = (_test(measures) for measures in (whole, sliced, gaps))
    by_member = _test_membership(permuted)
    # A difference whose membership was not permuted has no p-value: one of the two says nothing alone.
    by_gap = {
        i: (max(by_pseudo[i][0], by_member[i][0]), max(by_pseudo[i][1], by_member[i][1]))
        for i in gaps
        if i in by_member
    }
    corrected = _step_down(main, next(iter(whole.values())).null.size if whole else 0)
    tested: P = {**main, **by_slice}
    return tuple(
        _result(finding, tested.get(i), by_gap.get(i), corrected.get(i), confidence=confidence)
        if finding.learnt
        else _result(
            replace(finding, effect=None, difference=None, membership=None),
            None,
            None,
            None,
            confidence=confidence,
        )
        for i, finding in enumerate(findings)
    )


def _test(measures: Mapping[int, Measure]) -> P:
    if not measures:
        return {}
    effects = np.array([one.value for one in measures.values()])
    nulls = np.stack([one.null for one in measures.values()])
    plain, adjusted = p_values(effects, nulls), max_t(effects, nulls)
    return {i: (float(p), float(q)) for i, p, q in zip(measures, plain, adjusted, strict=True)}


def _test_membership(measures: Mapping[int, Measure]) -> P:
    if not measures:
        return {}
    observed = np.array([one.value for one in measures.values()])
    permuted = np.stack([one.null for one in measures.values()])
    plain, adjusted = share_as_far(observed, permuted), share_of_largest(observed, permuted)
    return {i: (float(p), float(q)) for i, p, q in zip(measures, plain, adjusted, strict=True)}


def _step_down(main: P, pseudo_concepts: int) -> P:
    """Holm's and Benjamini-Hochberg's adjusted p-values, only where they could reject at all."""
    if not main or not can_survive_holm(pseudo_concepts, len(main)):
        return {}
    plain = np.array([p for p, _ in main.values()])
    pairs = zip(main, adjust(plain, "holm"), adjust(plain, "fdr_bh"), strict=True)
    return {i: (float(h), float(b)) for i, h, b in pairs}


def _result(
    finding: Finding,
    p: tuple[float, float] | None,
    gap_p: tuple[float, float] | None,
    corrected: tuple[float, float] | None,
    *,
    confidence: float,
) -> ConceptResult:
    effect, gap = finding.effect, finding.difference
    low, high = effect_limits(finding, confidence=confidence)
    gap_low, gap_high = difference_limits(finding, confidence=confidence)
    score_low, score_high = score_limits(finding, confidence=confidence)
    return ConceptResult(
        concept=finding.concept,
        klass=finding.klass,
        layer=finding.layer,
        slice=finding.slice,
        score=finding.score,
        low=score_low,
        high=score_high,
        effect=effect.value if effect else None,
        effect_low=low,
        effect_high=high,
        p_value=p[0] if p else None,
        p_adjusted=p[1] if p else None,
        smooth=finding.smooth,
        magnitude=finding.magnitude,
        zero_gradients=finding.zero_gradients,
        images=finding.images,
        cav=finding.cav,
        verdict=verdict_of(finding, p[1] if p else None, confidence=confidence),
        undefined=finding.undefined,
        null_effects=tuple(float(v) for v in np.sort(effect.null)) if effect and not finding.slice else (),
        p_holm=corrected[0] if corrected else None,
        p_bh=corrected[1] if corrected else None,
        rest_effect=finding.rest,
        difference=gap.value if gap else None,
        difference_low=gap_low,
        difference_high=gap_high,
        difference_p_value=gap_p[0] if gap_p else None,
        difference_p_adjusted=gap_p[1] if gap_p else None,
        difference_verdict=difference_verdict(finding, gap_p[1] if gap_p else None, confidence=confidence),
        clusters=finding.clusters or None,
    )


def verdict_of(finding: Finding, p_adjusted: float | None, *, confidence: float) -> ConceptVerdict:
    """Drives or opposes only where the concept is learnt, the adjusted p is small and the signs agree.

    An effect that is extreme because it lies nearer to zero than the pseudo-concepts' (their median need
    not be 0) shows nothing in either direction, nor does one whose interval holds 0: the p-value takes the
    scored images as they are, the interval asks whether other images and another set would say the same.
    """
    if not finding.learnt:
        return "not_learnt"
    if finding.effect is None or p_adjusted is None or p_adjusted >= significance_level(confidence):
        return "no_effect_shown"
    side = _side(finding.effect, effect_limits(finding, confidence=confidence))
    return "drives" if side > 0 else "opposes" if side < 0 else "no_effect_shown"


def difference_verdict(
    finding: Finding, p_adjusted: float | None, *, confidence: float
) -> DifferenceVerdict | None:
    """Whether the slice's effect is shown to lie above or below that of the class's other images.

    None where they were not compared.
    """
    if not finding.learnt or finding.difference is None or p_adjusted is None:
        return None
    if p_adjusted >= significance_level(confidence):
        return "not_shown"
    side = _side(finding.difference, difference_limits(finding, confidence=confidence))
    return "higher" if side > 0 else "lower" if side < 0 else "not_shown"


def _side(measure: Measure, interval: tuple[float | None, float | None]) -> int:
    """1 or -1 where interval and distance from the pseudo-concepts' median agree on a side of 0; else 0."""
    low, high = interval
    beyond = measure.value - float(np.median(measure.null))
    if low is not None and low > 0 and beyond > 0:
        return 1
    return -1 if high is not None and high < 0 and beyond < 0 else 0


def effect_limits(finding: Finding, *, confidence: float) -> tuple[float | None, float | None]:
    """Limits of the effect; degrees of freedom: the fewer of the set's images and the clusters, less 1."""
    units = min(finding.set_size, finding.clusters or finding.images)
    return limits(finding.effect, degrees=units - 1, confidence=confidence)


def difference_limits(finding: Finding, *, confidence: float) -> tuple[float | None, float | None]:
    """Limits of the difference; degrees of freedom: the fewest units of set, slice and rest, - 1."""
    units = min(finding.set_size, finding.clusters or finding.images, finding.rest_clusters or finding.images)
    return limits(finding.difference, degrees=units - 1, confidence=confidence)


def limits(measure: Measure | None, *, degrees: int, confidence: float) -> tuple[float | None, float | None]:
    """Value -/+ Student's t x the bootstrap standard error.

    The bootstrap's own quantiles are not used: 200 draws have too few in the tails.
    """
    from scipy.stats import t

    if measure is None:
        return None, None
    half = float(t.ppf((1 + confidence) / 2, degrees)) * measure.error
    return measure.value - half, measure.value + half


def score_limits(finding: Finding, *, confidence: float) -> tuple[float | None, float | None]:
    """Interval of the sign count: Clopper-Pearson at the effective number of images.

    The bootstrap's standard error over images and sets says how many independent images the score is
    worth, p (1 - p) / se^2, never more than there are (Korn & Graubard 1998). At 0 and 1 the standard
    error says nothing: there the set's images or the clusters are counted, the fewer.
    """
    from scipy.stats import beta

    if finding.score is None:
        return None, None
    p, counted = finding.score, finding.images - finding.zero_gradients
    variance = finding.score_error**2
    if 0 < p < 1 and variance > 0:
        effective = min(float(counted), p * (1 - p) / variance)
    else:
        effective = float(min(counted, finding.set_size, finding.clusters or counted))
    tail = (1 - confidence) / 2
    wins = p * effective
    low = 0.0 if wins <= 0 else float(beta.ppf(tail, wins, effective - wins + 1))
    high = 1.0 if wins >= effective else float(beta.ppf(1 - tail, wins + 1, effective - wins))
    return min(low, p), max(high, p)
