"""The errors of this room: bad input, told in one line (what, where, found, fix)."""


class InputError(ValueError):
    """A configuration, a path or a combination of options that cannot be used: exit code 2."""
