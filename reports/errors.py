"""The errors of this room: bad input, told in one line (what, where, found, fix)."""


class EvidenceError(ValueError):
    """An evidence document that does not follow its schema, or cannot be read."""


class RenderError(ValueError):
    """A document that cannot be rendered as asked (unknown format, missing system library)."""
