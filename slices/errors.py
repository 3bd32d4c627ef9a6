"""The errors of this room: bad input, told in one line (what, where, found, fix)."""


class LogError(ValueError):
    """A prediction log, or a role given to one of its columns, that cannot be used.

    The message is one line: what is wrong, where, what was found, how to mend it.
    """


class EmptyLogError(LogError):
    """No row is left to count."""
