"""What a report says that its concept tests do not show; in which slices they are made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from audit.limitations import _concept_limitations
from audit.run import slices_of
from concepts.records import ConceptStage
from slices.slicing import Slice


def _config(**concepts: Any) -> Any:
    return SimpleNamespace(concepts=SimpleNamespace(**concepts))


@pytest.mark.parametrize(
    ("solver", "size"),
    [
        ("ridge", "At a nominal 5%, 10 to 11% of single tests and of whole runs raised a false alarm."),
        ("logistic", "False alarms were not measured with it."),
        ("mean_difference", None),
    ],
)
def test_a_solver_whose_level_is_not_known_to_hold_is_a_limitation(solver: str, size: str | None) -> None:
    stage = ConceptStage((), ())
    found = [one for one in _concept_limitations(stage, _config(cav=solver)) if "vectors were" in one.what]
    assert [one.size for one in found] == ([] if size is None else [size])


def test_rows_without_an_image_are_a_limitation() -> None:
    found = _concept_limitations(ConceptStage((), (), unnamed_rows=1234), _config(cav="mean_difference"))
    (entry,) = (one for one in found if "name no image" in one.what)
    assert entry.size == "1,234 rows."


def test_concepts_are_tested_in_slices_of_one_attribute_and_in_those_that_rules_name() -> None:
    def counted(*slices: Slice) -> Any:
        attributes = [
            SimpleNamespace(attribute=SimpleNamespace(name=name)) for name in ("age", "sex", "site")
        ]
        return SimpleNamespace(attributes=attributes, slices=[SimpleNamespace(slice=one) for one in slices])

    everything, old = Slice(()), Slice((("age", "65+"),))
    both, other = Slice((("age", "65+"), ("sex", "F"))), Slice((("age", "65+"), ("site", "A")))
    log = counted(everything, old, both, other)
    named = {both.values, other.values}

    def asked(*names: str) -> Any:
        return SimpleNamespace(config=_config(slices=list(names)))

    assert slices_of(asked(), log, set()) == [old.values]
    assert slices_of(asked(), log, named) == [old.values, both.values, other.values]
    assert slices_of(asked("age", "sex"), log, named) == [old.values, both.values]
