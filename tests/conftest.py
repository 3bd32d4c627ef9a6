"""One hypothesis profile for all tests: no deadline (machines are noisy), the same examples every run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "xaudit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("xaudit")
