"""The model's insides: model loading, concept sources, activations, CAVs, TCAV.

The only room that imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concepts.recordings.recorder import ActivationRecorder

__all__ = ["ActivationRecorder"]


def __getattr__(name: str) -> object:
    """``concepts.ActivationRecorder``, imported when it is asked for: the room must stay cheap to import."""
    if name == "ActivationRecorder":
        from concepts.recordings.recorder import ActivationRecorder

        return ActivationRecorder
    raise AttributeError(f"module 'concepts' has no attribute {name!r}")
