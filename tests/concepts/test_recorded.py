"""The stage from a recording: what trains a vector is never scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from concepts.images import list_images, read_batch
from concepts.model.loading import load_model
from concepts.recordings.recorder import ActivationRecorder
from concepts.records import ConceptSpec
from concepts.stage import run_concepts
from tests.concepts.conftest import FORM, World


def test_a_recording_never_scores_what_trained_whatever_the_batches(world: World, tmp_path: Path) -> None:
    """The concept's images are the log's own, recorded in batches of another size under other names."""
    module = load_model(world.model).module
    names = [name for name, label in zip(world.log.files, world.log.labels, strict=True) if label == "yes"][
        :40
    ]
    images = read_batch([world.root / "log" / name for name in world.log.files], FORM)
    own = read_batch([world.root / "log" / name for name in names], FORM)
    pool = read_batch(list_images(world.root / "random"), FORM)
    scored = {}
    for step in (1, 40):
        folder = tmp_path / f"{step}"
        with ActivationRecorder(
            module, folder, layers=world.model.layers[:1], outputs=world.model.outputs, classes=["yes"]
        ) as recorder:
            recorder.record(images, world.log.files, world.log.labels)
            for start in range(0, 40, step):
                part = own[start : start + step]
                recorder.record_set("spot", part, [f"spot/{start + i}" for i in range(len(part))])
            recorder.record_set("random", pool, [f"random/{i}" for i in range(len(pool))])
        model = replace(world.model, layers=world.model.layers[:1], sha256=None)
        found = run_concepts(world.spec(ConceptSpec("spot"), recorded=folder, random=None, model=model))
        (overall,) = (one for one in found.results if not one.slice)
        scored[step] = overall.images
    assert scored == {1: world.log.labels.count("yes") - 40, 40: world.log.labels.count("yes") - 40}
