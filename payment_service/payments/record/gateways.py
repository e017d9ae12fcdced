"""Data that a record keeps about an order that two gateways may take.

It names the leftovers at the open gateway, the capture at the gated one, and the witness of that
capture at the open one.
"""

from __future__ import annotations

from msgspec import Struct


class Leftover(Struct, frozen=True):
    """An attempt at an open gateway that another gateway took over (rule 17).

    The attempt may have made a payment, which the service gave to no client. `since`, `until` (Unix
    seconds): when its sends may have made one.
    """

    gateway: str
    attempt: int
    since: float
    until: float


class GatedCapture(Struct, frozen=True):
    """The capture of the recorded payment at a gated gateway (rule 18).

    `number`: the number of the capture that is claimed, or of the next one; it is part of the
    request id. `claimed_at`: when it was claimed (Unix seconds); None if no claim is open. `until`:
    when the time of its sender is over. `sent`: whether a send of this claim may have arrived
    without an answer. `declined`: whether the last capture was declined, so that only a request or
    an event, not a job, tries the next one. `doubt_until`: when a lost send of an earlier claim
    can no longer arrive, although that claim was taken back (Unix seconds).
    """

    number: int = 1
    claimed_at: float | None = None
    until: float = 0.0
    sent: bool = False
    declined: bool = False
    doubt_until: float = 0.0


class Witness(Struct, frozen=True):
    """The mark at the open gateway that the order is paid at a gated one (rule 22).

    `state`: `due`, `made`, `refused` by the open gateway, or `given_up`. `at`: when to make it, or
    to look once more for what has appeared late (Unix seconds); None: never. `until`: when the
    service sends no key any more.
    """

    state: str
    at: float | None
    until: float
