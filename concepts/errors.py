"""The errors of this room: bad input, told in one line (what, where, found, fix)."""


class ConceptError(ValueError):
    """A concept source or a concept configuration that cannot be used."""


class ModelError(ValueError):
    """A model, its weights or one of its layers that cannot be used, or is refused as unsafe."""
