"""The money of a paid order in its record: the capture, the refunds and the disputes.

An entry is stored before its request is sent. It holds what a later process needs to continue: the
parameters byte for byte, the generation of the key, and the times of its sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import fields

from payment_service.gateways.sent_params import SentParams

# Refunds that callers may ask for. Each adds about 300 bytes to a record that every replay reads.
MAX_REFUNDS = 50

# Refunds made elsewhere, such as in the gateway's dashboard, that a record describes one by one.
# Further ones count only in the total.
MAX_OTHER_REFUNDS = 50

# A payment seldom has a second dispute.
MAX_DISPUTES = 10

# How long before its end an authorization is reported as one that may lapse.
LAPSES_WITHIN_SECONDS = 86_400.0

FIRST_GENERATION = 1

EntryState = Literal["pending", "made", "rejected"]


class RefundEntry(Struct, frozen=True):
    """One refund. Instants are in Unix seconds.

    `refund_id`: the caller's name, None for a refund made elsewhere. `amount`: the caller's, or
    what was left at the claim. `sent`: the parameters, until the refund is made. `generation`: of
    the idempotency key. `first_sent_at`: when that key may have been sent first. `sent_until`: when
    its last send had ended. `spent`: the key is not sent again. `owner`, `until`: the lease of the
    request that works on it. `id`, `status`: the gateway's, once it is made. `told`: the order
    events that it has caused. `is_double`: whether the gateway made it although another refund has
    the same refund_id.
    """

    refund_id: str | None
    amount: int
    at: float
    state: EntryState = "pending"
    fingerprint: str = ""
    intent_id: str = ""
    sent: SentParams | None = None
    generation: int = FIRST_GENERATION
    first_sent_at: float = 0.0
    sent_until: float = 0.0
    spent: bool = False
    owner: str = ""
    until: float = 0.0
    id: str | None = None
    status: str | None = None
    updated_at: float = 0.0
    told: tuple[str, ...] = ()
    is_double: bool = False


class CaptureEntry(Struct, frozen=True):
    """The capture of a PaymentIntent; fields as those of RefundEntry.

    `amount`: what is to be captured. `authorized`: all that could be captured at the first
    claim; None in an entry of an earlier version.
    """

    intent_id: str
    amount: int
    at: float
    state: EntryState = "pending"
    sent: SentParams | None = None
    generation: int = FIRST_GENERATION
    first_sent_at: float = 0.0
    spent: bool = False
    owner: str = ""
    until: float = 0.0
    authorized: int | None = None


class DisputeEntry(Struct, frozen=True):
    """A dispute, as it was last seen; fields as those of gateways.dispute.Dispute."""

    id: str
    amount: int
    status: str
    reason: str
    created: int
    respond_by: int | None = None
    is_inquiry: bool = False
    is_open: bool = True
    told: tuple[str, ...] = ()


E = TypeVar("E", bound=Struct)


def to_json(entry: Struct) -> dict[str, Any]:
    """Return the fields that differ from their defaults, in JSON types."""
    found = {
        each.name: getattr(entry, each.name)
        for each in fields(entry)
        if each.required or getattr(entry, each.name) != each.default
    }
    if isinstance(found.get("sent"), SentParams):
        found["sent"] = found["sent"].text()
    return found


def of_json(kind: type[E], given: Mapping[str, Any]) -> E:
    """Parse an entry; ignore fields that a newer version of the service has added."""
    known = {each.name: given[each.name] for each in fields(kind) if each.name in given}
    # A capture at a gated gateway has a field of this name that says only whether it was sent.
    if isinstance(known.get("sent"), str):
        known["sent"] = SentParams.parse(known["sent"])
    if "told" in known:
        known["told"] = tuple(known["told"])
    return kind(**known)
