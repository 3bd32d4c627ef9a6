"""Coding: columns of a record batch become small integers through tables that grow.

A table (``Vocabulary``) is shared by the threads; a coder belongs to one thread and keeps
what it has translated. Codes follow the order of discovery, so they mean nothing outside
one scan: ``slices.counting.rollup`` renumbers them by sorted text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from slices.errors import LogError
from slices.reading.arrays import filled, numpy_of, sorted_distinct
from slices.reading.bands import band_of
from slices.reading.text import like_column, numbers_of, texts_of
from slices.roles import Decision, DetectionColumns

MOST_VALUES = 1 << 16
EXACT = 1 << 53  # below it float64 holds every whole number
# Between them, squares and fourth powers of weights over their mean stay finite.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-50, 1e50
_INTEGER_SPAN = 1 << 16
_UNKNOWN = -1


class Vocabulary:
    """Text to code, growing while the log is read; safe to share between threads."""

    def __init__(self, column: str, values: Iterable[str | None] = ()) -> None:
        self.column = column
        self.values: list[str | None] = list(values)
        self._codes: dict[str | None, int] = {value: code for code, value in enumerate(self.values)}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.values)

    def codes_of(self, texts: Iterable[str | None]) -> NDArray[np.int32]:
        """Codes of texts, new ones for texts not met before.

        Raises
        ------
        LogError
            More than 65,536 distinct values: an identifier or a measurement, not a category.
        """
        wanted = list(texts)
        known = self._codes
        if any(text not in known for text in wanted):
            with self._lock:
                for text in wanted:
                    if text not in known:
                        # The value is there before its code is: readers never see a code without a value.
                        self.values.append(text)
                        known[text] = len(self.values) - 1
                if len(self.values) > MOST_VALUES:
                    raise LogError(
                        f"Column '{self.column}' has more than {MOST_VALUES:,} distinct values; "
                        "give bands for a measurement, or leave out an identifier."
                    )
        return np.fromiter((known[text] for text in wanted), dtype=np.int32, count=len(wanted))


class Coder(Protocol):
    """One thread's translator of one or several columns to codes."""

    columns: tuple[str, ...]
    vocabulary: Vocabulary

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        """Codes of the rows, shape (rows,), of the smallest type that holds them."""


class TextCoder:
    """Values of a column as text, those listed as missing as None."""

    def __init__(self, column: str, vocabulary: Vocabulary, missing: Sequence[str]) -> None:
        self.columns: tuple[str, ...] = (column,)
        self.vocabulary = vocabulary
        self._missing = frozenset(missing)
        self._dictionary: pa.Array | None = None
        self._table: NDArray[np.integer] = np.empty(0, np.int32)
        self._lowest = 0
        self._by_integer: NDArray[np.int32] | None = None
        self._narrow: NDArray[np.integer] | None = None
        self._unknown = 0

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        (values,) = arrays
        if pa.types.is_integer(values.type) and values.null_count == 0 and len(values):
            codes = self._integer_codes(values)
            if codes is not None:
                return codes
        if not pa.types.is_dictionary(values.type):
            values = _dictionary_encoded(values, self.columns[0])
        return self._dictionary_codes(values)

    def _dictionary_codes(self, values: pa.DictionaryArray) -> NDArray[np.integer]:
        dictionary = values.dictionary
        # Dictionaries differ between row groups and repeat within one: translate each once.
        if self._dictionary is None or not (
            dictionary is self._dictionary or dictionary.equals(self._dictionary)
        ):
            self._table = self._translated(texts_of(dictionary, self.columns[0]))
            self._dictionary = dictionary
        indices = values.indices
        if indices.null_count:
            none = self.vocabulary.codes_of([None])[0]
            table = _narrowed(np.append(self._table, none), len(self.vocabulary))
            places = filled(indices, len(dictionary))
            return np.asarray(table.take(places, mode="clip"))
        return np.asarray(self._table.take(numpy_of(indices), mode="clip"))

    def _translated(self, texts: Sequence[str | None]) -> NDArray[np.integer]:
        # A dictionary may name values that no row has; the roll-up drops values without rows.
        codes = self.vocabulary.codes_of(None if text in self._missing else text for text in texts)
        return _narrowed(codes, len(self.vocabulary))

    def _integer_codes(self, values: pa.Array) -> NDArray[np.integer] | None:
        """Codes of integers within a narrow span by a direct table; None where the span is wide."""
        ends = pc.min_max(values)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if self._by_integer is not None:
            low, high = min(low, self._lowest), max(high, self._lowest + len(self._by_integer) - 1)
        if high - low >= _INTEGER_SPAN or (low < 0 and pa.types.is_uint64(values.type)):
            return None
        if self._by_integer is None or low < self._lowest or high - low >= len(self._by_integer):
            table = np.full(high - low + 1, _UNKNOWN, np.int32)
            if self._by_integer is not None:
                start = self._lowest - low
                table[start : start + len(self._by_integer)] = self._by_integer
            self._by_integer, self._lowest = table, low
            self._narrow = None
        numbers = numpy_of(values)
        # A difference of two numbers of one or two bytes may not fit in them.
        wide = numbers if low == 0 or numbers.itemsize == 8 else numbers.astype(np.int64)
        places = wide - low if low else wide
        if self._narrow is None or (codes := self._narrow.take(places, mode="clip")).max() == self._unknown:
            met = sorted_distinct(places)
            new = met[self._by_integer[met] == _UNKNOWN]
            texts = [None if str(v) in self._missing else str(v) for v in (new.astype(object) + low)]
            self._by_integer[new] = self.vocabulary.codes_of(texts)
            # The largest code of the narrow table stands for values not met yet.
            self._unknown = len(self.vocabulary)
            self._narrow = _narrowed(
                np.where(self._by_integer == _UNKNOWN, self._unknown, self._by_integer), self._unknown + 1
            )
            codes = self._narrow.take(places, mode="clip")
        return np.asarray(codes)


class BandCoder:
    """A numeric column cut into bands: codes 0 to len(cuts) are the bands, one more is missing.

    ``whole`` stays True while every value met is a whole number.
    """

    def __init__(
        self, column: str, vocabulary: Vocabulary, cuts: Sequence[float], missing: Sequence[str]
    ) -> None:
        self.columns: tuple[str, ...] = (column,)
        self.vocabulary = vocabulary
        self.whole = True
        self._cuts = tuple(cuts)
        self._missing = tuple(missing)

    @property
    def none(self) -> int:
        """Code of a missing value."""
        return len(self._cuts) + 1

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        numbers = numbers_of(arrays[0], self.columns[0], self._missing)
        gone = np.isnan(numbers)
        present = numbers[~gone] if gone.any() else numbers
        if self.whole and not np.array_equal(np.floor(present), present):
            self.whole = False
        codes = band_of(numbers, [like_column(cut, arrays[0].type) for cut in self._cuts])
        codes[gone] = self.none
        return _narrowed(codes, len(self.vocabulary))


class ThresholdCoder:
    """A score against its threshold: codes 0 negative, 1 positive, 2 missing."""

    def __init__(self, decision: Decision, vocabulary: Vocabulary, missing: Sequence[str]) -> None:
        assert decision.score is not None
        assert decision.threshold is not None
        self.columns: tuple[str, ...] = (decision.score,)
        self.vocabulary = vocabulary
        self._threshold = decision.threshold
        self._over = decision.tie == ">"
        self._missing = tuple(missing)

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        numbers = numbers_of(arrays[0], self.columns[0], self._missing)
        threshold = like_column(self._threshold, arrays[0].type)
        codes = (numbers > threshold if self._over else numbers >= threshold).astype(np.uint8)
        codes[np.isnan(numbers)] = 2
        return codes


class LargestScoreCoder:
    """One score column a class: the class with the largest score; the first in order of names on a tie.

    ``tied`` counts the rows in which two or more classes share the largest score.
    """

    def __init__(self, decision: Decision, vocabulary: Vocabulary, missing: Sequence[str]) -> None:
        assert decision.scores is not None
        names = sorted(decision.scores)
        self.tied = 0
        self.columns = tuple(decision.scores[name] for name in names)
        self.vocabulary = vocabulary
        self._missing = tuple(missing)

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        columns = zip(arrays, self.columns, strict=True)
        scores = np.stack([numbers_of(values, name, self._missing) for values, name in columns])
        codes = np.argmax(scores, axis=0)
        # A missing score is NaN, which equals nothing: its row has no largest score and no tie.
        self.tied += int(((scores == scores.max(axis=0)).sum(axis=0) > 1).sum())
        codes[np.isnan(scores).any(axis=0)] = len(self.columns)
        return _narrowed(codes, len(self.vocabulary))


class WeightCoder:
    """Whether a row has a weight: codes 0 stated, 1 missing."""

    def __init__(self, column: str, vocabulary: Vocabulary, missing: Sequence[str]) -> None:
        self.columns: tuple[str, ...] = (column,)
        self.vocabulary = vocabulary
        self._missing = tuple(missing)

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        weights = numbers_of(arrays[0], self.columns[0], self._missing)
        if (weights < 0).any() or np.isinf(weights).any():
            bad = float(weights[(weights < 0) | np.isinf(weights)][0])
            raise LogError(
                f"Column '{self.columns[0]}' (weight) holds {bad:g}; weights are finite and not negative."
            )
        extreme = weights[(weights > LARGEST_WEIGHT) | ((weights > 0) & (weights < SMALLEST_WEIGHT))]
        if len(extreme):
            raise LogError(
                f"Column '{self.columns[0]}' (weight) holds {extreme[0]:g}; weights are 0, or from "
                f"{SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}: scale them all by one factor."
            )
        return np.isnan(weights).astype(np.uint8)


AMOUNTS = ("tp", "fp", "fn", "tn", "image", None)


class AmountCoder:
    """Counts of an image: each row becomes six entries, one for each of ``AMOUNTS``, with its number.

    The entry ``image`` counts the row itself where its counts are all there, the entry None
    where one is missing.
    """

    def __init__(self, columns: DetectionColumns, vocabulary: Vocabulary, missing: Sequence[str]) -> None:
        self._total = 0.0
        named = (columns.tp, columns.fp, columns.fn, columns.tn)
        self.columns: tuple[str, ...] = tuple(column for column in named if column is not None)
        self.vocabulary = vocabulary
        self._missing = tuple(missing)

    def codes(self, arrays: Sequence[pa.Array]) -> NDArray[np.integer]:
        """The entries' kinds, shape (6 * rows,): all true positives, then all false positives, ..."""
        return np.repeat(np.arange(len(AMOUNTS), dtype=np.uint8), len(arrays[0]))

    def amounts(self, arrays: Sequence[pa.Array]) -> NDArray[np.int64]:
        """The entries' numbers, shape (6 * rows,).

        Raises
        ------
        LogError
            A count that is negative or no whole number.
        """
        counts = np.zeros((len(AMOUNTS), len(arrays[0])))
        for place, (values, column) in enumerate(zip(arrays, self.columns, strict=True)):
            counts[place] = numbers_of(values, column, self._missing)
            present = counts[place][~np.isnan(counts[place])]
            bad = present[(present < 0) | (present != np.floor(present)) | (present >= EXACT)]
            if len(bad) and EXACT <= bad[0] < np.inf:
                raise too_large(float(bad[0]))
            if len(bad):
                raise LogError(
                    f"Column '{column}' (counts of an image) holds {bad[0]:g}; give whole numbers from 0 on."
                )
        gone = np.isnan(counts).any(axis=0)
        counts[:, gone] = 0
        counts[AMOUNTS.index("image"), ~gone] = 1
        counts[AMOUNTS.index(None), gone] = 1
        self._total += float(counts.sum())
        if self._total >= EXACT:
            raise too_large(self._total)
        return counts.astype(np.int64).ravel()


def too_large(total: float) -> LogError:
    """Counts whose total float64 would round, and with it every figure."""
    return LogError(
        f"The counts of the images (tp, fp, fn) sum to {total:.3g} and more; sums are exact below 2^53 only "
        "(about 9.01e+15): are these columns counts?"
    )


CoderMaker = Callable[[], Coder]


def text_column(column: str, missing: Sequence[str]) -> CoderMaker:
    """A maker of coders of one text column, all sharing one vocabulary."""
    vocabulary = Vocabulary(column)
    return lambda: TextCoder(column, vocabulary, missing)


def band_column(column: str, cuts: Sequence[float], missing: Sequence[str]) -> Callable[[], BandCoder]:
    """A maker of coders of one banded column; the values are ``band 0``, ``band 1``, ..., None."""
    vocabulary = Vocabulary(column, [*(f"band {place}" for place in range(len(cuts) + 1)), None])
    return lambda: BandCoder(column, vocabulary, cuts, missing)


def weight_column(column: str, missing: Sequence[str]) -> CoderMaker:
    """A maker of coders that tell whether a row has a weight."""
    vocabulary = Vocabulary(column, ["stated", None])
    return lambda: WeightCoder(column, vocabulary, missing)


def amount_columns(columns: DetectionColumns, missing: Sequence[str]) -> CoderMaker:
    """A maker of coders of the counts of an image."""
    vocabulary = Vocabulary("counts", AMOUNTS)
    return lambda: AmountCoder(columns, vocabulary, missing)


def decision_column(decision: Decision, missing: Sequence[str]) -> CoderMaker:
    """A maker of coders of what the model decided, by prediction, by score or by largest score."""
    if decision.prediction is not None:
        return text_column(decision.prediction, missing)
    if decision.score is not None:
        thresholded = Vocabulary(decision.score, ["negative", "positive", None])
        return lambda: ThresholdCoder(decision, thresholded, missing)
    assert decision.scores is not None
    largest = Vocabulary("scores", [*sorted(decision.scores), None])
    return lambda: LargestScoreCoder(decision, largest, missing)


def _dictionary_encoded(values: pa.Array, column: str) -> pa.DictionaryArray:
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    try:
        return values.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise LogError(
            f"Column '{column}' is of type {values.type}; a role needs text, numbers, booleans or dates."
        ) from None


def _narrowed(codes: NDArray[np.integer], size: int) -> NDArray[np.integer]:
    """The same codes in the smallest unsigned type: what the counting loop reads most."""
    kind = np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.int32
    return codes.astype(kind, copy=False)
