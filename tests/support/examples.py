"""Profiles of hypothesis: `make test-unit` tries fewer examples than `make test`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

FULL, QUICK = 100, 20


def register_profiles() -> None:
    """Bound no example's time, and let `--hypothesis-profile=quick` try a fifth of them."""
    # On a busy machine any example may take long, and the first text of a process does: hypothesis
    # then sorts all of Unicode.
    settings.register_profile(
        "default", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.register_profile("quick", settings.get_profile("default"), max_examples=QUICK)


def examples(full: int) -> int:
    """Return `full`, or its share in the current profile."""
    return full * settings().max_examples // FULL
