"""Profiles of hypothesis: `make test-unit` tries fewer examples than `make test`."""

from __future__ import annotations

from hypothesis import settings

FULL, QUICK = 100, 20


def register_profiles() -> None:
    """Bound no example's time, and let `--hypothesis-profile=quick` try a fifth of them."""
    settings.register_profile("default", deadline=None)  # on a busy machine any takes long
    settings.register_profile("quick", max_examples=QUICK)


def examples(full: int) -> int:
    """Return `full`, or its share in the current profile."""
    return full * settings().max_examples // FULL
