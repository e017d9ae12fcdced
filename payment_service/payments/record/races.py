"""A record that changed since it was read, and the repetition of what met it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from payment_service.errors import InFlight

T = TypeVar("T")

# How often an operation is repeated that calls the gateway each time.
MAX_TRIES = 5


class RecordChanged(InFlight):
    """The record is no longer the one that was read. A request answers InFlight."""

    def __init__(self) -> None:
        super().__init__("This order is being changed by other requests right now.")


def retry_on_race(once: Callable[[], T]) -> T:
    """Return the result of `once`, which reads the record; repeat it if the record has changed.

    Raises RecordChanged after MAX_TRIES tries.
    """
    for _ in range(MAX_TRIES - 1):
        try:
            return once()
        except RecordChanged:
            continue
    return once()
