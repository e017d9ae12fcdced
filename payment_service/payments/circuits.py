"""A circuit per gateway: whether a new attempt should wait for a gateway that does not answer.

Per process and in memory. The order's record decides what becomes of an attempt, so processes may
differ about a gateway's health (rule 20).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from msgspec import Struct, field

# A single lost answer says nothing. Five creations that fail in a row within ten seconds, without a
# success between them, are an outage.
FAILURES, WITHIN_SECONDS = 5, 10.0

# Probes are real orders that wait for the gateway's share of the time, so they are few.
PROBE_EVERY_SECONDS = 1.0

Change = Literal["circuit_opened", "circuit_closed"]


def _ignore(gateway: str, change: Change) -> None:
    """Ignore the change."""


class _Circuit(Struct):
    """`failures`: when the last creations failed, without an answer after them."""

    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    is_open: bool = False
    probed_at: float = 0.0


class Circuits:
    """The circuits of a process; shared by its threads."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        report: Callable[[str, Change], None] = _ignore,
    ) -> None:
        """`report` is called with a gateway's name when its circuit opens or closes."""
        self._monotonic, self._report = monotonic, report
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def is_open(self, gateway: str) -> bool:
        """Whether new attempts should go elsewhere."""
        with self._lock:
            return self._circuit(gateway).is_open

    def lets_through(self, gateway: str) -> bool:
        """Whether the next new attempt should go there; an open circuit lets a probe through."""
        with self._lock:
            circuit, now = self._circuit(gateway), self._monotonic()
            if not circuit.is_open:
                return True
            if now - circuit.probed_at < PROBE_EVERY_SECONDS:
                return False
            circuit.probed_at = now
            return True

    def note(self, gateway: str, *, failed: bool) -> None:
        """Count the outcome of a creation. `failed`: no answer came, or the gateway failed."""
        with self._lock:
            change = self._noted(self._circuit(gateway), failed=failed)
        if change is not None:
            self._report(gateway, change)

    def _noted(self, circuit: _Circuit, *, failed: bool) -> Change | None:
        now = self._monotonic()
        if not failed:
            was_open, circuit.is_open = circuit.is_open, False
            circuit.failures.clear()
            return "circuit_closed" if was_open else None
        circuit.failures.append(now)
        enough = len(circuit.failures) == FAILURES and now - circuit.failures[0] <= WITHIN_SECONDS
        if circuit.is_open or not enough:
            return None
        circuit.is_open, circuit.probed_at = True, now
        return "circuit_opened"

    def _circuit(self, gateway: str) -> _Circuit:
        return self._circuits.setdefault(gateway, _Circuit())
