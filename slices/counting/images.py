"""Images: file, label and attributes of each row, as text, for the stage that looks into the model."""

from __future__ import annotations

from dataclasses import dataclass

from slices.counting.outcomes import DEFAULT_POSITIVE, Text, comparison
from slices.errors import LogError
from slices.reading.bands import band_names
from slices.reading.coding import band_column
from slices.reading.sources import Source, open_source
from slices.reading.text import texts_of
from slices.roles import Attribute, LogSpec


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Row-level text, sorted by file and label, so that the order of rows changes nothing.

    Attributes
    ----------
    files : tuple of str
        As written in the image column.
    labels : tuple of (str or None)
        The class of the row; multi-label logs: the class where the label is positive, else None.
    attributes : dict of str to tuple of (str or None)
        Values of each attribute, banded where bands are stated; None is missing.
    clusters : tuple of (str or None), or None
        The cluster of each row (None: on its own); None where the log's roles name no cluster.
    unnamed : int
        Rows without a file name: they are not here.
    """

    files: tuple[str, ...]
    labels: tuple[Text, ...]
    attributes: dict[str, tuple[Text, ...]]
    clusters: tuple[Text, ...] | None = None
    unnamed: int = 0


def read_images(spec: LogSpec, image_column: str) -> ImageRows:
    """Read the image files that a log names, with their labels and attributes.

    Rows without a file name are left out, and counted.

    Raises
    ------
    LogError
        A column is missing, or no row names a file.
    """
    source = open_source(spec.path, spec.root)
    roles = [(image_column, "image column"), *((a.column, f"attribute '{a.name}'") for a in spec.attributes)]
    named = ((spec.label, "label"), (spec.klass, "class"), (spec.cluster, "cluster"))
    roles += [(c, r) for c, r in named if c is not None]
    source.require(roles)
    files = _texts(source, image_column, spec)
    labels = _labels(source, spec, len(files))
    attributes = {a.name: _attribute(source, a, spec) for a in spec.attributes}
    clusters = None if spec.cluster is None else _texts(source, spec.cluster, spec)
    order = sorted(
        (row for row, name in enumerate(files) if name is not None),
        key=lambda row: (files[row], labels[row] is not None, labels[row] or ""),
    )
    if not order:
        raise LogError(f"Column '{image_column}' (image column) names no file in any row; fill it in.")
    return ImageRows(
        tuple(str(files[row]) for row in order),
        tuple(labels[row] for row in order),
        {name: tuple(values[row] for row in order) for name, values in attributes.items()},
        None if clusters is None else tuple(clusters[row] for row in order),
        len(files) - len(order),
    )


def _texts(source: Source, column: str, spec: LogSpec) -> list[Text]:
    gone = set(spec.missing)
    return [
        None if text in gone else text
        for part in source.parts()
        for batch in part.batches([column])
        for text in texts_of(batch.column(0), column)
    ]


def _labels(source: Source, spec: LogSpec, rows: int) -> list[Text]:
    if spec.label is None:
        return [None] * rows
    labels = _texts(source, spec.label, spec)
    if spec.klass is None:
        return labels
    positive = DEFAULT_POSITIVE if spec.positive is None else spec.positive
    same = comparison([positive, *labels])
    classes = _texts(source, spec.klass, spec)
    return [
        name if label is not None and same(label) == same(positive) else None
        for name, label in zip(classes, labels, strict=True)
    ]


def _attribute(source: Source, attribute: Attribute, spec: LogSpec) -> list[Text]:
    if attribute.bands is None:
        return _texts(source, attribute.column, spec)
    coder = band_column(attribute.column, attribute.bands, spec.missing)()
    codes = [
        code
        for part in source.parts()
        for batch in part.batches([attribute.column])
        for code in coder.codes([batch.column(0)]).tolist()
    ]
    names = (*band_names(attribute.bands, whole=coder.whole), None)
    return [names[code] for code in codes]
