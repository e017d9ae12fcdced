"""Data that a record keeps about its order after creation: one JSON text in `KeyRecord.follow_up`.

    history    the steps of the order so far, see payments.record.history
    webhooks   ids of the gateways' events that the service has applied
    told       names of the shop's events that are sent or queued
    queue      events on their way to the shop: the outbox
    price      amount and currency when last seen
    changes    updates of the PaymentIntent: the last one, those before it, the pending one
    refused    an attempt whose key may hold Stripe's rejection of other parameters
    looks      when to look for a PaymentIntent that an abandoned attempt may have created late
    ending     PaymentIntents that the service cancels as not the order's; none is recorded again
    capture, refunds, disputes, received, refunded, capture_before
               the money after the payment, see payments.record.money
    leftovers, gated_capture, paid_before, approval_look, approval_looks, witness, void_marks
               an order that changed its gateway, see payments.record.gateways

The names above are those of the stored text; two attributes have other names, see _STORED_NAMES.

One KeyStore.replace writes the follow-up together with the state that it follows from: that is
the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from msgspec import Struct
from msgspec.structs import fields, replace

from payment_service.gateways.sent_params import SentParams
from payment_service.payments.record.gateways import GatedCapture, Leftover, Witness
from payment_service.payments.record.history import Entry, noted
from payment_service.payments.record.money import (
    CaptureEntry,
    DisputeEntry,
    RefundEntry,
    of_json,
    to_json,
)

_to_json = json.JSONEncoder(separators=(",", ":")).encode

# Stripe retries an event for three days; an order has a handful of events.
MAX_WEBHOOKS = 20

# Besides the names of paid events, which are kept permanently.
MAX_TOLD = 20

# A cancellation takes seconds, and an order rarely has more than one stray.
MAX_ENDING = 20

# An order rarely has more than one payment that is denied after it was taken.
MAX_VOID_MARKS = 20

# The service recognises a late copy of any of this many recent updates.
MAX_CHANGES = 20


class OrderEvent(Struct, frozen=True):
    """One event for the shop. `facts` is the payload's object; instants are in Unix seconds.

    At `until` the outbox gives up and sets `parked`; then a person must look.
    """

    id: str
    type: str
    at: float
    facts: Mapping[str, Any]
    tries: int = 0
    next_at: float = 0.0
    until: float = 0.0
    parked: bool = False


class Change(Struct, frozen=True):
    """An update of the PaymentIntent that the service has sent, or may have sent.

    `until` is when its sender's lock expires.
    """

    revision: int
    attempt: int
    fingerprint: str
    sent: SentParams
    key: str
    at: float
    until: float


class FollowUp(Struct, frozen=True, dict=True):
    """The follow-up of a record, parsed from the text that the store keeps."""

    webhooks: tuple[str, ...] = ()
    event_names: tuple[str, ...] = ()
    queue: tuple[OrderEvent, ...] = ()
    amount: int | None = None
    currency: str | None = None
    revision: int = 0
    """The last update that Stripe has applied; 0 before the first."""
    last_revision: int = 0
    """The number of the newest update, applied or not."""
    sent: tuple[str, ...] = ()
    """Fingerprints of the updates sent, newest last."""
    pending: Change | None = None
    history: tuple[Entry, ...] = ()
    refused: int = 0
    """The attempt that Stripe rejected and that was then sent again with other parameters."""
    look_ups: tuple[float, ...] = ()
    """When to take the late look-ups, the next one first."""
    look_since: float = 0.0
    """When the earliest abandoned attempt was first sent."""
    ending: tuple[str, ...] = ()
    """Recorded before the first of them is canceled, so that no request adopts one meanwhile."""
    look_until: float = 0.0
    """When the latest abandoned attempt was given up."""
    capture: CaptureEntry | None = None
    refunds: tuple[RefundEntry, ...] = ()
    disputes: tuple[DisputeEntry, ...] = ()
    received: int | None = None
    """The amount that was captured, if it differs from `amount`."""
    refunded: int = 0
    """The sum of the refunds that the gateway last showed and that have not failed."""
    capture_before: int | None = None
    """When the authorization lapses, Unix seconds; None if it was not fetched."""
    leftovers: tuple[Leftover, ...] = ()
    """The leftovers of earlier attempts at another gateway (rule 17), the oldest first."""
    gated_capture: GatedCapture | None = None
    """The capture of the recorded payment at a gated gateway (rule 18)."""
    paid_before: bool = False
    """The gateway has taken a payment with this order's name, which the record has forgotten.

    Nothing is sent for the order until a person has looked (rule 21).
    """
    approval_look: float | None = None
    """When to ask next whether the shopper has approved; None if there is nothing to ask."""
    approval_looks: int = 0
    """How often the service has asked."""
    witness: Witness | None = None
    """The mark at the open gateway that this payment took the order's money (rule 22)."""
    void_marks: tuple[str, ...] = ()
    """The marks of payments that ended without the money, the newest last (rule 22)."""
    # Not a field, so that a copy has none: `parse` sets it on the instance.
    stored: ClassVar[Mapping[str, Any] | None] = None
    """The stored object, with the fields of a newer version of the service.

    A change of the history keeps them. Any other change drops them, because they may contradict it.
    """

    @property
    def due_at(self) -> float | None:
        """When the next event, late look-up, look for an approval or witness is due."""
        if not self.queue and not self.look_ups and not self.approval_look and not self.witness:
            return None
        waiting, approval = self.next_event, self.approval_look
        instants = [*self.look_ups[:1], *([waiting.next_at] if waiting else [])]
        marks = [approval, self.witness.at if self.witness else None]
        return min([*instants, *(each for each in marks if each is not None)], default=None)

    @property
    def next_event(self) -> OrderEvent | None:
        """The event to deliver next: the events of one order go out in sequence."""
        return next((event for event in self.queue if not event.parked), None)

    def noted(self, at: float, what: str, **facts: Any) -> FollowUp:
        """Return the follow-up with one more history entry; see payments.record.history."""
        return self.with_history(noted(self.history, at, what, **facts))

    def with_history(self, history: tuple[Entry, ...]) -> FollowUp:
        """Return the follow-up with another history, and with all its other fields."""
        # An empty one is not copied: each request begins with a claim that has one entry.
        changed = FollowUp(history=history) if self.stored == {} else replace(self, history=history)
        if self.stored is not None:
            vars(changed)["stored"] = {**self.stored, "history": changed.history}
        return changed

    def text(self) -> str:
        """Return the JSON text; one that was not read from a store has no empty fields."""
        return _to_json(self._filled() if self.stored is None else self.stored)

    def _filled(self) -> dict[str, Any]:
        """Return the fields that are not empty, in JSON types."""
        kept = {name: value for name, value in _fields_of(self).items() if value}
        if self.queue:
            kept["queue"] = [_fields_of(event) for event in self.queue]
        if self.pending:
            kept["pending"] = {**_fields_of(self.pending), "sent": self.pending.sent.text()}
        if self.capture:
            kept["capture"] = to_json(self.capture)
        if self.gated_capture:
            kept["gated_capture"] = to_json(self.gated_capture)
        if self.witness:
            kept["witness"] = to_json(self.witness)
        for name in ("refunds", "disputes", "leftovers"):
            if name in kept:
                kept[name] = [to_json(each) for each in kept[name]]
        return kept

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a stored text. Ignore fields that a newer version of the service has added."""
        given: dict[str, Any] = json.loads(text) if text else {}
        kept: dict[str, Any] = {
            _FOLLOW_UP[name]: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
            if name in _FOLLOW_UP
        }
        if "queue" in kept:
            kept["queue"] = tuple(OrderEvent(**_known(OrderEvent, each)) for each in kept["queue"])
        if "pending" in kept:
            kept["pending"] = _change(kept["pending"]) if kept["pending"] else None
        if kept.get("capture"):
            kept["capture"] = of_json(CaptureEntry, kept["capture"])
        if "refunds" in kept:
            kept["refunds"] = tuple(of_json(RefundEntry, each) for each in kept["refunds"])
        if "disputes" in kept:
            kept["disputes"] = tuple(of_json(DisputeEntry, each) for each in kept["disputes"])
        if "leftovers" in kept:
            kept["leftovers"] = tuple(of_json(Leftover, each) for each in kept["leftovers"])
        if kept.get("gated_capture") is not None:
            kept["gated_capture"] = of_json(GatedCapture, kept["gated_capture"])
        if kept.get("witness"):
            kept["witness"] = of_json(Witness, kept["witness"])
        parsed = cls(**kept)
        vars(parsed)["stored"] = given
        return parsed


# The names in stored texts that differ from those of the attributes.
_STORED_NAMES = {"event_names": "told", "look_ups": "looks"}

# By kind: the attribute of each stored name.
_ATTRIBUTES: dict[type, dict[str, str]] = {
    kind: {_STORED_NAMES.get(each.name, each.name): each.name for each in fields(kind)}
    for kind in (FollowUp, Change, OrderEvent)
}
_FOLLOW_UP = _ATTRIBUTES[FollowUp]


def _change(given: Mapping[str, Any]) -> Change:
    known = _known(Change, given)
    return Change(**{**known, "sent": SentParams.parse(known["sent"])})


def _fields_of(part: FollowUp | OrderEvent | Change) -> dict[str, Any]:
    return {name: getattr(part, attribute) for name, attribute in _ATTRIBUTES[type(part)].items()}


def _known(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    names = _ATTRIBUTES[kind]
    return {names[name]: value for name, value in given.items() if name in names}
