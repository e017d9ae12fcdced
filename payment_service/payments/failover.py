"""Whether and when an order may begin at the second gateway."""

from __future__ import annotations

from msgspec import Struct

from payment_service.payments.circuits import Circuits


class Failover(Struct, frozen=True):
    """The terms of a switch.

    `after_seconds`: the part of a request's time that the first gateway gets, where the second one
    can step in. `capture_waits`: a capture waits until the first gateway has said what the order
    has there (rule 19). `circuits`: they decide where a new attempt begins.
    """

    after_seconds: float
    capture_waits: bool
    circuits: Circuits
