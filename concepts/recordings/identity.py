"""Which images of a recording are one: by what the network was given, and by their names. No model here.

Images that train a vector are never scored, and an image is drawn once; so copies must be known. The recorded
activations do not tell: the last bits of a float depend on how many images ran beside it.
"""

from __future__ import annotations

from concepts.recordings.reader import Recording
from slices.said import say


def identify(recording: Recording) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A name for each image's content, equal for images that are one; and what is to be said of it.

    Two entries are one image where they have the same hash of their input, or the same id (the layout's
    contract: one image, one id, in whichever sets it stands), or are so by way of a third. Entries without a
    hash, as in layout 1, are also one where their activations are equal to the last bit.

    Returns
    -------
    contents : tuple of str, one an image
        The least hash among the entries that are one image.
    notes : tuple of str
        Sentences for the report: images without a hash; ids that stand for several inputs.
    """
    own = tuple(
        digest if given is None else given
        for given, digest in zip(recording.inputs, recording.digests, strict=True)
    )
    parent = list(range(len(own)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[tuple[str, str], int] = {}
    for kind, keys in (("content", own), ("id", recording.ids)):
        for row, key in enumerate(keys):
            parent[root(row)] = root(first.setdefault((kind, key), row))
    least: dict[int, str] = {}
    for row, key in enumerate(own):
        at = root(row)
        least[at] = min(key, least.get(at, key))
    return tuple(least[root(row)] for row in range(len(own))), _notes(recording)


def _notes(recording: Recording) -> tuple[str, ...]:
    notes = []
    without = sum(one is None for one in recording.inputs)
    if without:
        notes.append(
            say(
                "concepts.recording.without_hash",
                "{images} of the recording's {all} images have no hash of their input: a copy under another "
                "id, recorded in a batch of another size, is not recognised, and may be scored by a vector "
                "that it trained.",
                images=without,
                all=len(recording.inputs),
            )
        )
    given: dict[str, set[str]] = {}
    for name, one in zip(recording.ids, recording.inputs, strict=True):
        if one is not None:
            given.setdefault(name, set()).add(one)
    ambiguous = sorted(name for name, found in given.items() if len(found) > 1)
    if ambiguous:
        notes.append(
            say(
                "concepts.recording.ambiguous_ids",
                "{count} ids stand for different inputs in different sets of the recording (such as {name}); "
                "each counts as one image, so that none is scored by a vector that it trained. Where they "
                "are different images, record them under different ids.",
                count=len(ambiguous),
                name=ambiguous[0],
            )
        )
    return tuple(notes)
