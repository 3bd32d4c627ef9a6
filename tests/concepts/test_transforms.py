"""Named transformations: what they do, and what the user's own may not do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from concepts.errors import ConceptError
from concepts.images import Pixels
from concepts.transforms import BUILT_IN, find_transform

IMAGE = np.random.default_rng(0).random((3, 8, 12), dtype=np.float32)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_keeps_shape_and_range_and_leaves_its_argument(name: str) -> None:
    before = IMAGE.copy()
    changed = find_transform(name)(IMAGE)
    np.testing.assert_array_equal(IMAGE, before)
    assert changed.shape == IMAGE.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not np.array_equal(changed, IMAGE)


def test_what_the_built_ins_do() -> None:
    np.testing.assert_allclose(find_transform("darken")(IMAGE), IMAGE / 2)
    np.testing.assert_allclose(find_transform("brighten")(IMAGE), np.minimum(2 * IMAGE, 1))
    np.testing.assert_allclose(find_transform("grey")(IMAGE)[1], IMAGE.mean(0), rtol=1e-6)
    low = find_transform("lower_contrast")(IMAGE)
    assert low.mean() == pytest.approx(IMAGE.mean(), rel=1e-5)
    assert low.std() == pytest.approx(IMAGE.std() / 2, rel=1e-5)
    blurred = find_transform("blur")(IMAGE)
    assert blurred[0, 3, 4] == pytest.approx(IMAGE[0, 2:5, 3:6].mean(), rel=1e-5)
    assert blurred[0, 0, 4] == pytest.approx(np.concatenate([IMAGE[0, [0, 0, 1], 3:6]]).mean(), rel=1e-5)
    marked = find_transform("corner_mark")(IMAGE)
    assert (marked[:, -1:, -1:] == 1).all()
    np.testing.assert_array_equal(marked[:, :-1], IMAGE[:, :-1])


def narrower(image: np.ndarray) -> np.ndarray:
    return image[:, :, 1:]


def too_bright(image: np.ndarray) -> np.ndarray:
    return image + 1


def writes_to_its_argument(image: np.ndarray) -> np.ndarray:
    image[:] = 0
    return image


def raises(image: Pixels) -> Pixels:
    raise ValueError("boom\nsecond line")


def leaves(image: Pixels) -> Pixels:
    raise SystemExit(0)


def text(image: Pixels) -> str:
    return "hello"


HERE = "tests.concepts.test_transforms"


def test_a_function_of_the_users_own_cannot_change_the_image_it_gets() -> None:
    before = IMAGE.copy()
    assert not find_transform(f"{HERE}:writes_to_its_argument")(IMAGE).any()
    np.testing.assert_array_equal(IMAGE, before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("darke", r"Transformation 'darke' is unknown; built in are darken, .*Did you mean 'darken'\?"),
        ("nowhere.at_all:f", "'nowhere.at_all:f' cannot be imported: No module named 'nowhere'"),
        (f"{HERE}:absent", "cannot be imported: .*no attribute 'absent'"),
        (f"{HERE}:HERE", "is not a function"),
        (f"{HERE}:narrower", r"returned shape \(3, 8, 11\) for an image of shape \(3, 8, 12\)"),
        (f"{HERE}:raises", f"'{HERE}:raises' failed with ValueError: boom second line"),
        (f"{HERE}:leaves", r"failed with SystemExit \(0\): it ends the process"),
        (f"{HERE}:text", "returned str, expected an array of floats"),
        ("os:getpid", "'os:getpid' failed with TypeError"),
        (".x:f", "is not of the form 'package.module:function'"),
        (":f", "is not of the form"),
        ("os:", "is not of the form"),
        (f"{HERE}:too_bright", r"returned values outside \[0, 1\]"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConceptError, match=message) as caught:
        find_transform(name)(IMAGE)
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_read_or_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "transform_of_no_syntax.py").write_text("def f(:\n")
    (tmp_path / "transform_that_leaves.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(ConceptError, match="'transform_of_no_syntax:f' failed with SyntaxError"):
        find_transform("transform_of_no_syntax:f")
    with pytest.raises(ConceptError, match=r"'transform_that_leaves:f' failed with SystemExit \(0\)"):
        find_transform("transform_that_leaves:f")
