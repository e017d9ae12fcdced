"""Data that a record keeps about gateways: what was left at one, and a capture at a gated one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leftover:
    """An attempt at an open gateway that another gateway took over (rule 17).

    It may have made a payment that nobody was given. `since`, `until` (Unix seconds): when its
    sends may have made one.
    """

    gateway: str
    attempt: int
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class GatedCapture:
    """The capture of the recorded payment at a gated gateway (rule 18).

    `number`: the number of the capture that is claimed, or of the next one; it is part of the
    request id. `claimed_at`: when it was claimed (Unix seconds); None if no claim is open. `until`:
    when the time of its sender is over. `sent`: whether a send of this claim may have arrived
    without an answer. `declined`: whether the last capture was declined, so that only a request or
    an event, not a chore, tries the next one. `doubt_until`: when a lost send of an earlier claim
    can no longer arrive, although that claim was taken back (Unix seconds).
    """

    number: int = 1
    claimed_at: float | None = None
    until: float = 0.0
    sent: bool = False
    declined: bool = False
    doubt_until: float = 0.0
