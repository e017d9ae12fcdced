"""The verdict of the judges."""

from __future__ import annotations


class Broken(Exception):
    """The promise is broken; the message names the invariant."""
