"""The whole stage on a network whose truth is planted: what it finds, what it keeps silent about."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from concepts.errors import ConceptError
from concepts.recordings.recorder import ActivationRecorder
from concepts.records import ConceptResult, ConceptSpec, ConceptStage, LogImages
from concepts.sources import TrainingTable, _one_a_cluster, plan_concepts
from concepts.stage import consistency_notes, entanglement_notes, run_concepts
from concepts.tcav.analysis import Finding, _resampled_clusters
from concepts.tcav.verdicts import conclude
from tests.concepts.conftest import FORM, World


@pytest.fixture(scope="module")
def stage(world: World) -> ConceptStage:
    spec = world.spec(
        world.folder("spot"),
        world.folder("frame"),
        world.folder("null"),
        classes=("yes", "no"),
        slices=((("site", "north"),), (("site", None),), (("tint", "A"), ("site", "south"))),
    )
    return run_concepts(spec)


def _of(stage: ConceptStage, concept: str, klass: str = "yes") -> list[ConceptResult]:
    return [r for r in stage.results if r.concept == concept and r.klass == klass and not r.slice]


def test_the_planted_concept_drives_its_class_and_opposes_the_other(stage: ConceptStage) -> None:
    assert {r.verdict for r in _of(stage, "spot", "yes")} == {"drives"}
    assert {r.verdict for r in _of(stage, "spot", "no")} == {"opposes"}
    for r in _of(stage, "spot"):
        assert r.p_adjusted is not None
        assert r.p_adjusted < 0.05
        assert r.effect is not None
        assert r.effect_low is not None
        assert r.effect_low > 0
        assert r.score is not None
        assert r.score > 0.5
        assert r.cav.auc is not None
        assert r.cav.auc > 0.8
        assert len(r.null_effects) == 99
        assert list(r.null_effects) == sorted(r.null_effects)


def test_no_claim_about_the_null_concept_and_the_unused_one(stage: ConceptStage) -> None:
    for name in ("null", "frame"):
        for klass in ("yes", "no"):
            assert {r.verdict for r in _of(stage, name, klass)} <= {"not_learnt", "no_effect_shown"}


def test_a_concept_that_is_not_learnt_has_a_reason_and_no_figure(stage: ConceptStage) -> None:
    missed = [r for r in stage.results if r.verdict == "not_learnt" and not r.slice]
    assert missed
    for r in missed:
        assert r.undefined is not None
        assert r.undefined.startswith("not learnt here: ")
        assert (r.score, r.effect, r.p_value, r.p_adjusted, r.difference) == (None,) * 5
        assert r.cav.auc is not None


def test_a_concept_that_is_not_learnt_counts_in_its_families(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Finding] = []

    def conclude_and_keep(findings: Sequence[Finding], *, confidence: float) -> tuple[ConceptResult, ...]:
        seen.extend(findings)
        return conclude(findings, confidence=confidence)

    monkeypatch.setattr("concepts.stage.conclude", conclude_and_keep)
    run_concepts(world.spec(world.folder("null"), slices=((("site", "north"),),)))
    missed = [one for one in seen if not one.learnt]
    assert missed
    for one in missed:
        assert one.undefined is not None
        assert one.effect is not None
        assert one.effect.null.shape == (99,)
        assert (one.difference is not None) == bool(one.slice)
        assert one.score is None


def test_results_stand_in_the_order_of_the_specification(stage: ConceptStage) -> None:
    seen = list(dict.fromkeys((r.concept, r.klass, r.layer) for r in stage.results))
    expected = [
        (c, k, layer)
        for c in ("spot", "frame", "null")
        for k in ("yes", "no")
        for layer in ("features.2", "features.5")
    ]
    assert seen == expected
    assert len(stage.results) == len(expected) * 4


def test_a_slice_is_compared_with_the_rest_of_its_class(stage: ConceptStage, world: World) -> None:
    whole = _of(stage, "spot")[0]
    north = next(r for r in stage.results if r.slice == (("site", "north"),))
    labels, site = np.array(world.log.labels), np.array(world.log.attributes["site"], dtype=object)
    inside = int(((labels == "yes") & (site == "north")).sum())
    assert (whole.images, north.images) == (int((labels == "yes").sum()), inside)
    assert north.difference is not None
    assert north.effect is not None
    assert north.rest_effect is not None
    assert north.difference == pytest.approx(north.effect - north.rest_effect)
    # The class's effect is the mean of its parts.
    share = inside / whole.images
    assert whole.effect == pytest.approx(share * north.effect + (1 - share) * north.rest_effect)
    assert north.difference_low is not None
    assert north.difference_low < north.difference < (north.difference_high or 0)
    missing = next(r for r in stage.results if r.slice == (("site", None),))
    assert missing.images == int(((labels == "yes") & np.array([s is None for s in site])).sum())


def test_adjusted_p_values_are_never_below_the_plain_ones(stage: ConceptStage) -> None:
    for r in stage.results:
        if r.p_value is not None:
            assert r.p_adjusted is not None
            assert r.p_adjusted >= r.p_value
        if r.difference_p_value is not None:
            assert r.difference_p_adjusted is not None
            assert r.difference_p_adjusted >= r.difference_p_value
    # 99 pseudo-concepts cannot survive Holm in a family of 6 or more.
    assert all(r.p_holm is None and r.p_bh is None for r in stage.results)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(world: World) -> None:
    first, again = (repr(run_concepts(world.spec())) for _ in range(2))
    assert first == again
    assert repr(run_concepts(world.spec(seed=8))) != first


def test_company_and_order_of_concepts_change_no_effect_and_no_plain_p_value(
    world: World, stage: ConceptStage
) -> None:
    alone = run_concepts(world.spec(world.folder("null"), world.folder("spot"), classes=("no", "yes")))
    for ours, theirs in zip(_of(alone, "spot"), _of(stage, "spot"), strict=True):
        assert ours.effect == pytest.approx(theirs.effect, rel=1e-9)
        assert ours.p_value == theirs.p_value
        assert ours.score == theirs.score


def test_the_order_of_the_logs_rows_changes_nothing(world: World) -> None:
    order = np.random.default_rng(0).permutation(len(world.log.files))
    log = world.log
    shuffled = LogImages(
        log.root,
        tuple(log.files[i] for i in order),
        tuple(log.labels[i] for i in order),
        {name: tuple(values[i] for i in order) for name, values in log.attributes.items()},
    )
    concepts = (ConceptSpec("tinted", where={"tint": "B"}), world.folder("spot"))
    one = run_concepts(world.spec(*concepts, minimum_images=12))
    other = run_concepts(world.spec(*concepts, minimum_images=12, log=shuffled))
    assert repr(one.results) == repr(other.results)
    assert all(r.cav.auc is not None for r in one.results)


def test_images_that_train_a_vector_are_not_scored(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "spot"
    shutil.copytree(world.root / "spot", folder)
    yes = [f for f, label in zip(world.log.files, world.log.labels, strict=True) if label == "yes"]
    for name in yes[:9]:
        shutil.copy(world.root / "log" / name, folder / f"copy-{name}")
    with_copies = run_concepts(world.spec(ConceptSpec("spot", folder=folder)))
    without = run_concepts(world.spec(world.folder("spot")))
    assert without.results[0].images == len(yes)
    # The set takes 42 of the 49 images; those that it leaves out train nothing, and are scored.
    assert len(yes) - 9 <= with_copies.results[0].images < len(yes)


def test_a_concept_from_the_logs_metadata_is_matched_and_scored_elsewhere(world: World) -> None:
    stage = run_concepts(
        world.spec(ConceptSpec("tinted", where={"tint": "B"}), random=None, minimum_images=12)
    )
    (described,) = stage.sets
    assert "with tint = B against" in described.source
    assert described.source.endswith("matched on label, site")
    assert described.used is not None
    assert 12 <= described.used < described.images
    assert all(r.verdict in ("not_learnt", "no_effect_shown") for r in stage.results)
    yes = sum(label == "yes" for label in world.log.labels)
    assert 20 <= stage.results[0].images < yes
    coarse = run_concepts(world.spec(ConceptSpec("tinted", where={"tint": "B"}), minimum_images=17))
    assert coarse.sets[0].source.endswith("matched on label (not on site: too few images)")
    (result, _) = run_concepts(
        world.spec(ConceptSpec("tinted", where={"tint": "B"}), minimum_images=40)
    ).results
    assert result.undefined is not None
    assert result.undefined.endswith("have 4 others of the same label to match them; at least 40 are needed")


def test_a_cluster_gives_one_image_to_a_set_and_is_scored_nowhere_it_trains(world: World) -> None:
    """Patients of 3 images; the tint is the patient's, so that sets of images would be sets of patients."""
    import concepts.stage as module

    patient = np.arange(300) // 3
    tint = np.where(patient % 7 == 0, "B", "A")
    log = replace(
        world.log,
        attributes={"tint": tuple(tint.tolist())},
        clusters=tuple(f"p{one}" for one in patient.tolist()),
        labels=tuple("yes" if one % 2 else "no" for one in patient.tolist()),
    )
    spec = world.spec(
        ConceptSpec("tinted", where={"tint": "B"}),
        ConceptSpec("dark", transform="darken"),
        random=None,
        log=log,
        minimum_images=4,
        slices=((("tint", "A"),),),
    )
    library = module.open_library(spec, progress=lambda *_: None)
    table = TrainingTable()
    planned = plan_concepts(spec, library, table)
    logged = library.logged()
    units = np.array(module.units_of(log, logged))
    unit_of = {one.name: unit for one, unit in zip(logged, units.tolist(), strict=True)}
    (yes,) = module.images_of_classes(log, ("yes",), world.model.outputs)
    scored = module._who_is_scored(yes, planned, logged, units)
    for concept in planned:
        assert concept.design is not None
        rows = np.unique(np.concatenate([concept.design.pool, concept.design.positives]))
        trained = {table.images[row].name for row in rows.tolist()}
        assert len({unit_of[name] for name in trained}) == len(trained)
        mine = set(units[np.array(yes.rows)[scored[concept.spec.name]]].tolist())
        assert not mine & {unit_of[name] for name in trained}
        assert concept.described.source.endswith(", one image a cluster")
    stage = run_concepts(spec)
    whole = stage.results[0]
    assert whole.clusters is not None
    assert whole.images == 3 * whole.clusters
    assert "no cluster both trains a vector" in stage.method
    short = run_concepts(replace(spec, minimum_images=30)).results[0].undefined
    assert short is not None
    assert short.endswith("at least 30 are needed, one image a cluster")
    few = replace(log, clusters=tuple(f"p{one % 24}" for one in patient.tolist()))
    assert run_concepts(world.spec(world.folder("spot"), log=few)).results[0].undefined == (
        "150 images of class yes to score are of 12 clusters; at least 20 clusters are needed"
    )


def test_images_of_one_cluster_are_resampled_together() -> None:
    """The error of a mean over 30 patients of 5 equal images is that of 30 values, with 29 degrees."""
    values = np.random.default_rng(0).standard_normal(30)
    draws = _resampled_clusters(np.repeat(np.arange(30), 5), resamples=4000, rng=np.random.default_rng(1))
    means = draws @ np.repeat(values, 5) / draws.sum(1)
    assert means.std(ddof=1) == pytest.approx(values.std(ddof=1) / np.sqrt(30), rel=0.05)


def test_a_mixed_cluster_gives_what_its_label_lacks() -> None:
    log = LogImages(Path(), tuple("abcdefghij"), ("yes",) * 10, {})
    units = list("ppqrstuvww")
    has = dict(enumerate([True, False, False, False, False, False, False, False, True, False]))
    chosen = _one_a_cluster(range(10), has, units, log, np.random.default_rng(0))
    assert len(chosen) == 8
    # Six without it: one with it is wanted, and then one more (0 x 4 < 6, 1 x 4 < 6).
    assert sum(has[row] for row in chosen) == 2


def test_so_few_pairs_that_no_pattern_is_rare_are_a_reason(world: World) -> None:
    log = world.log
    spec = world.spec(ConceptSpec("dark", transform="darken"), random=None, minimum_images=4)
    reasons = []
    for seed in range(4):
        part = LogImages(log.root, log.files[:10], log.labels[:10], {})
        reasons += [run_concepts(replace(spec, log=part, seed=seed)).results[0].undefined or ""]
    assert any("no p-value falls below 0.125" in one for one in reasons)


def test_a_transformation_is_a_paired_concept(world: World) -> None:
    darken = ConceptSpec("dark", transform="darken")
    stamp = ConceptSpec("stamp", transform="tests.concepts.test_stage:add_spot")
    stage = run_concepts(world.spec(darken, stamp, random=None))
    assert {r.verdict for r in _of(stage, "stamp")} == {"drives"}
    assert stage.sets[1].source.endswith("each against itself unchanged")
    assert all(r.cav.auc is not None for r in stage.results)


def add_spot(image: np.ndarray) -> np.ndarray:
    """The planted spot, at one place."""
    row, column = np.mgrid[0:16, 0:16]
    return np.clip(image + 0.4 * ((row - 8) ** 2 + (column - 8) ** 2 <= 6), 0, 1)


def test_a_relative_concept_is_tested_against_the_others(world: World) -> None:
    spot = ConceptSpec("spot against null", folder=world.root / "spot", relative_to=("null", "frame"))
    stage = run_concepts(world.spec(spot, world.folder("null"), world.folder("frame")))
    assert {r.verdict for r in _of(stage, "spot against null")} == {"drives"}
    assert stage.sets[0].source == "40 images against 80 images of null, frame"
    assert stage.sets[0].used == 20


def test_a_recording_gives_what_the_model_gives(world: World, tmp_path: Path) -> None:
    from concepts.images import list_images, read_batch
    from concepts.model.loading import load_model

    loaded = load_model(world.model)
    with ActivationRecorder(
        loaded.module,
        tmp_path / "recording",
        layers=world.model.layers,
        outputs=world.model.outputs,
        classes=["yes"],
        weights_sha256=loaded.sha256,
    ) as recorder:
        paths = [world.root / "log" / name for name in world.log.files]
        recorder.record(read_batch(paths, FORM), world.log.files, world.log.labels)
        for name in ("spot", "null", "random"):
            files = list_images(world.root / name)
            recorder.record_set(name, read_batch(files, FORM), [f"{name}/{path.name}" for path in files])
    direct = run_concepts(world.spec())
    recorded = run_concepts(
        world.spec(ConceptSpec("spot"), ConceptSpec("null"), recorded=tmp_path / "recording", random=None)
    )
    assert recorded.weights_sha256 == direct.weights_sha256
    for ours, theirs in zip(recorded.results, direct.results, strict=True):
        assert (ours.verdict, ours.images, ours.p_value) == (theirs.verdict, theirs.images, theirs.p_value)
        if theirs.effect is not None:
            assert ours.effect == pytest.approx(theirs.effect, rel=1e-4)
    with pytest.raises(ConceptError, match="was made with weights"):
        run_concepts(world.spec(recorded=tmp_path / "recording", model=replace(world.model, sha256="0" * 64)))
    with pytest.raises(ConceptError, match=r"made with pooling 'flatten', but .* pooling is 'mean'"):
        run_concepts(world.spec(recorded=tmp_path / "recording", model=replace(world.model, pooling="mean")))
    with pytest.raises(ConceptError, match=r"made with outputs no, yes, but .* names yes, no"):
        run_concepts(
            world.spec(recorded=tmp_path / "recording", model=replace(world.model, outputs=("yes", "no")))
        )
    with pytest.raises(ConceptError, match=r"Layer 'features\.8' is not in recording"):
        run_concepts(
            world.spec(recorded=tmp_path / "recording", model=replace(world.model, layers=("features.8",)))
        )
    with pytest.raises(ConceptError, match="holds no gradients for class 'no'"):
        run_concepts(world.spec(recorded=tmp_path / "recording", classes=("no",)))
    with pytest.raises(
        ConceptError, match="holds no images of concept 'frame'; its sets: null, random, spot"
    ):
        run_concepts(world.spec(ConceptSpec("frame"), recorded=tmp_path / "recording"))
    with pytest.raises(ConceptError, match="Transformation 'darken' needs the model"):
        run_concepts(world.spec(ConceptSpec("dark", transform="darken"), recorded=tmp_path / "recording"))
    manifest = tmp_path / "recording" / "recording.json"
    manifest.write_text(manifest.read_text().replace(f'"{loaded.sha256}"', "null"))
    with pytest.raises(ConceptError, match="does not say from which weights"):
        run_concepts(world.spec(recorded=tmp_path / "recording", model=replace(world.model, sha256="0" * 64)))


def test_too_few_images_are_a_reason(world: World, tmp_path: Path) -> None:
    few, small = tmp_path / "few", tmp_path / "small"
    for folder, source, count in ((few, "spot", 12), (small, "random", 60)):
        folder.mkdir()
        for path in sorted((world.root / source).iterdir())[:count]:
            shutil.copy(path, folder)
    (result, _) = run_concepts(world.spec(ConceptSpec("few", folder=few))).results
    assert result.undefined == "12 images of the concept; at least 20 are needed"
    assert (result.verdict, result.score, result.cav.auc) == ("not_learnt", None, None)
    (result, _) = run_concepts(world.spec(world.folder("spot"), random=small)).results
    assert result.undefined == ("60 random images are fewer than 4 times a set of 20; at least 80 are needed")
    (result, _) = run_concepts(world.spec(world.folder("spot"), minimum_images=28)).results
    assert result.undefined is None
    log = LogImages(world.log.root, world.log.files[:30], world.log.labels[:30], {})
    result = run_concepts(world.spec(world.folder("spot"), log=log)).results[0]
    yes = world.log.labels[:30].count("yes")
    assert result.undefined == f"{yes} images of class yes to score; at least 20 are needed"
    assert result.verdict == "no_effect_shown"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concepts": ()}, "names no concept"),
        ({"concepts": (ConceptSpec("random", folder=Path("x")),)}, "named 'random', which is the pool"),
        ({"classes": ()}, "classes is empty"),
        (
            {"classes": ("maybe",)},
            "classes names 'maybe', which is not an output of the model; its outputs: no, yes",
        ),
        ({"pseudo_concepts": 19}, "pseudo_concepts = 19 cannot reject at confidence 0.95: .* at least 20 "),
        ({"minimum_images": 2}, "minimum_images = 2 is too few"),
        ({"log": None}, "has no images to score"),
        ({"random": None}, "random is missing"),
        ({"slices": ((("ward", "3"),),)}, "Slice on 'ward'"),
    ],
)
def test_what_cannot_be_used_is_refused(world: World, changes: dict[str, object], message: str) -> None:
    spec = world.spec(world.folder("spot"), world.folder("null"))
    with pytest.raises(ConceptError, match=message) as caught:
        run_concepts(replace(spec, **changes))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("concept", "message"),
    [
        (ConceptSpec("c"), "needs exactly one of folder, where, transform; found none"),
        (ConceptSpec("c", folder=Path("x"), where={"tint": "B"}), "found folder and where"),
        (ConceptSpec("c", where={}), "empty where"),
        (
            ConceptSpec("c", where={"tin": "B"}),
            "where names 'tin', .* it has: tint, site. Did you mean 'tint'?",
        ),
        (
            ConceptSpec("c", where={"site": "nord"}),
            "has site = 'nord'; its values: north, south. Did you mean 'north'?",
        ),
        (ConceptSpec("c", transform="darken", relative_to=("null",)), "with relative_to needs a folder"),
        (
            ConceptSpec("c", folder=Path("x"), relative_to=("nul",)),
            "relative to 'nul', .* such concepts are: null",
        ),
        (
            ConceptSpec("c", transform="darker"),
            "Transformation 'darker' is unknown; .* Did you mean 'darken'?",
        ),
        (ConceptSpec("null", folder=Path("x")), "names concept 'null' twice"),
    ],
)
def test_sources_that_cannot_be_used_are_refused(world: World, concept: ConceptSpec, message: str) -> None:
    with pytest.raises(ConceptError, match=message) as caught:
        run_concepts(world.spec(concept, world.folder("null")))
    assert "\n" not in str(caught.value)


def test_notes_on_layers_and_on_entangled_concepts(stage: ConceptStage) -> None:
    one = _of(stage, "spot")[0]
    both = (one, replace(one, layer="deep", verdict="opposes"))
    (note,) = consistency_notes(both, layers=2)
    assert note == "spot drives yes at features.2 but opposes it at deep: the layers contradict each other."
    part = (one, replace(one, layer="deep", verdict="no_effect_shown"))
    assert consistency_notes(part, layers=2) == ("spot drives yes at features.2 only, of 2 layers tested.",)
    assert consistency_notes((one, replace(one, layer="deep")), layers=2) == ()
    matrix = {"deep": ((1.0, -0.8, 0.1), (-0.8, 1.0, 0.2), (0.1, 0.2, 1.0))}
    (note,) = entanglement_notes(("a", "b", "c"), matrix)
    assert note.startswith("a and b are entangled at deep (cosine −0.80)")


def test_the_method_says_the_numbers_of_the_run(stage: ConceptStage) -> None:
    assert "one set of 40 images was taken, and 99 sets of the same size" in stage.method
    assert stage.set_size == 40
    assert stage.layers == {
        "features.2": "flattened: 8 x 8 x 8 = 512 values",
        "features.5": "flattened: 16 x 4 x 4 = 256 values",
    }
    assert [s.name for s in stage.sets] == ["spot", "frame", "null", "random"]
