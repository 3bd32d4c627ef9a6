"""Calls into the user's code (a factory, a model, a transformation): whatever it raises becomes one line.

``SystemExit`` is among it. A training script without a main guard, named as the factory's module, calls
``sys.exit(0)`` when it is imported; let through, it would end a run with exit code 0 and no report, which a
release pipeline reads as a pass. An interrupt from the keyboard is nobody's failure and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from concepts.errors import ConceptError, ModelError


@contextmanager
def foreign(
    words: str, kind: type[ConceptError] | type[ModelError] = ModelError, *, fix: str = ""
) -> Iterator[None]:
    """Turn what the block raises into an error of ours: "<words> failed with <reason><fix>".

    Raises
    ------
    ConceptError, ModelError
        Of the ``kind`` asked for; those that the block raises itself pass unchanged.
    torch.OutOfMemoryError
        Unchanged: whoever chose the batch says what to do.
    """
    try:
        yield
    except (ConceptError, ModelError):
        raise
    except (Exception, SystemExit) as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's; not imported for its name
            raise
        raise kind(f"{words} failed with {one_line(error)}{fix}") from error


def one_line(error: BaseException) -> str:
    """An error's type and text, without line breaks and not longer than a few lines of a terminal."""
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"SystemExit ({text or 0}): it ends the process"
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
