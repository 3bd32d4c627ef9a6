"""Property tests of this room: no deadlines, since a loaded machine is no defect of a formula."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("slices", deadline=None)
settings.load_profile("slices")
