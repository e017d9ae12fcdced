"""The life of a record: what the next request does with it, and how each step writes it.

                 ┌────────── lock expired, or released without an answer ─────────┐
                 ▼                                                                │
    (none) → in flight ──→ created ──(canceled)──→ in flight, attempt + 1         │
                 │  └────→ rejected ─────────────→ in flight, the same attempt    │
                 └──────────────────────────────────────────────────────────── unknown

Pure functions: every decision about a record is made here, once, whatever the store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.intent import CANCELED, OVER, TAKEN, Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.idempotency_key import FIRST_ATTEMPT
from payment_service.payments.record.follow_up import MAX_ENDING, follow_up_of, with_follow_up
from payment_service.payments.record.history import noted

# The fingerprint of an adopted PaymentIntent whose request was lost with the store: whether a
# request is the same is then told from amount and currency.
LOST_FINGERPRINT = ""


# No lock lasts longer: the longest budget that the settings allow (120 s), the lock's margin of
# 10 s, and as much again for two clocks that differ.
LONGEST_LOCK_SECONDS = 140.0

# An attempt that was given up may have its object all the same, moments or an hour after a 500
# (docs.stripe.com/error-low-level: the outcome of a 500 is indeterminate).
LOOKS_AFTER_SECONDS = (15.0, 120.0, 3600.0)


class Step(Enum):
    """What a request does about its order's record."""

    WAIT = auto()
    TAKE_OVER = auto()
    SERVE = auto()
    BEGIN_NEXT = auto()
    ASK_AGAIN = auto()
    REFUSE = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for: its order, its fingerprint, and what would be sent for it."""

    order: Order
    fingerprint: str
    params: str


@dataclass(frozen=True, slots=True)
class Lease:
    """Who claims, when (Unix seconds) and for how long; `owner` is never used for two claims."""

    owner: str
    now: float
    seconds: float


def next_step(record: KeyRecord, fingerprint: str, now: float) -> Step:
    """Decide what a request with this fingerprint does: the table of states of the rules."""
    if record.state == "rejected":
        return Step.ASK_AGAIN
    if record.state == "pending":
        return Step.WAIT if holds(record.locked_until, now) else Step.TAKE_OVER
    if record.fingerprint in (fingerprint, LOST_FINGERPRINT):
        return Step.SERVE
    return Step.BEGIN_NEXT if record.payment_status == CANCELED else Step.REFUSE


def holds(until: float, now: float) -> bool:
    """Whether a lock that was written with this end still holds.

    An end further ahead than any lock lasts was written by a clock that ran ahead: the lock is
    over, because its owner may be dead and nobody could wait for it. Rule 2 makes that safe.
    """
    return now < until <= now + LONGEST_LOCK_SECONDS


def earliest_use(record: KeyRecord, gateway: GatewayFacts) -> float:
    """When the attempt's key may have been used first (Unix seconds), by a lost record too.

    A key that the gateway still answers may have been used by a record that the store has lost
    since, so a look-up reaches back by the whole life of a key.
    """
    return record.first_sent_at - gateway.key_life_seconds


def must_look_up(record: KeyRecord, now: float, gateway: GatewayFacts) -> bool:
    """Whether the key must not be sent blind: too old, or it only replays a 5xx."""
    return record.saved_5xx or now - record.first_sent_at >= gateway.key_is_safe_seconds


def first_claim(wanted: Wanted, lease: Lease) -> KeyRecord:
    """The record of an order that has none."""
    return KeyRecord(
        order=wanted.order,
        attempt=FIRST_ATTEMPT,
        fingerprint=wanted.fingerprint,
        params=wanted.params,
        state="pending",
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
        first_sent_at=lease.now,
        updated_at=lease.now,
        follow_up=noted("", lease.now, "claimed", attempt=FIRST_ATTEMPT),
    )


def taken_over(record: KeyRecord, lease: Lease) -> KeyRecord:
    """The same attempt, key and params under a new owner (rule 2)."""
    return replace(
        record,
        **_written(record, lease.now, "taken over"),
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
    )


def asked_again(record: KeyRecord, wanted: Wanted, lease: Lease) -> KeyRecord:
    """The same attempt and key, with the parameters of whoever asks after the no (rule 2).

    Whether Stripe saved that no under the key is not known. If it did, it says so, and the next
    attempt begins. If not, a key that was passed over would be unused: were the record lost, it
    would make a second PaymentIntent.
    """
    claimed = _next_version(record, lease.now, "claimed", attempt=record.attempt)
    return replace(
        with_follow_up(claimed, refused=record.attempt),
        fingerprint=wanted.fingerprint,
        params=wanted.params,
        state="pending",
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
    )


def was_refused(record: KeyRecord) -> bool:
    """Whether Stripe said no under this attempt's key, so that nobody was given anything of it."""
    return follow_up_of(record).refused == record.attempt


def next_attempt(record: KeyRecord, wanted: Wanted, lease: Lease) -> KeyRecord:
    """A new attempt: a new key, and the parameters of the request that begins it (rule 3).

    The record may have gone back to an older version (a failover, a restored backup), so that its
    lost versions may have sent the new key already, at any time since the record's own key. The
    age of the new key is therefore counted from there, until a look-up has shown that nothing was
    made since (`looked_up`).
    """
    attempt = record.attempt + 1
    claimed = _next_version(record, lease.now, "claimed", attempt=attempt)
    if record.state == "pending":
        claimed = _to_be_looked_at(claimed, lease.now)
    return replace(
        with_follow_up(claimed, amount=None, currency=None, pending=None),
        attempt=attempt,
        fingerprint=wanted.fingerprint,
        params=wanted.params,
        state="pending",
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
        first_sent_at=min(record.first_sent_at, lease.now),
        saved_5xx=False,
        payment_intent_id=None,
        payment_status=None,
    )


def looked_up(begun: KeyRecord, now: float) -> KeyRecord:
    """An attempt that sent nothing yet, once a look-up has found nothing of its order: its key is
    new from now on.
    """
    return replace(_next_version(begun, now, "looked up"), first_sent_at=now)


def put_off(begun: KeyRecord, now: float) -> KeyRecord:
    """An attempt that begins with nobody at it: the next request is the first to send its key."""
    return replace(begun, locked_until=now)


def created(record: KeyRecord, intent: Intent, now: float, what: str = "created") -> KeyRecord:
    """The order's PaymentIntent is known."""
    return replace(
        record,
        **_written(record, now, what, payment_intent_id=intent.id, status=intent.status),
        state="created",
        locked_until=now,
        payment_intent_id=intent.id,
        payment_status=intent.status,
    )


def found(order: Order, intent: Intent, params: str, lease: Lease) -> KeyRecord:
    """The record of an order that the store has lost and Stripe still has."""
    record = first_claim(Wanted(order, LOST_FINGERPRINT, params), lease)
    record = replace(record, version=0, first_sent_at=float(intent.created), follow_up="")
    return adopted(record, intent, lease.now)


def adopted(record: KeyRecord, intent: Intent, now: float, what: str = "adopted") -> KeyRecord:
    """The order's PaymentIntent is one that was asked for with parameters that nobody knows."""
    known = created(replace(record, fingerprint=LOST_FINGERPRINT), intent, now, what)
    return with_follow_up(known, amount=intent.amount, currency=intent.currency)


def recorded(record: KeyRecord, intent: Intent, now: float, what: str) -> KeyRecord:
    """The order's PaymentIntent is the one that the owner of the attempt made or found.

    A paid one of another price was asked for by a request whose record the store lost, and must
    not pass for what the attempt's own request asks for.
    """
    own = intent.costs(SentParams.parse(record.params).params)
    return (created if own else adopted)(record, intent, now, what)


def seen(
    record: KeyRecord, intent: Intent, now: float, what: str = "seen", **facts: str | int
) -> KeyRecord:
    """The recorded PaymentIntent as it is now. What says otherwise of one that is over is older.

    Where it asks for something else than the record's parameters, it was updated without the
    record's knowledge (by hand, or the record went back): its own price tells from then on
    whether a creation is the same.
    """
    updated = intent.asks_otherwise(SentParams.parse(record.params).params)
    over = record.payment_status in OVER and record.payment_intent_id == intent.id
    status = record.payment_status if over else intent.status
    noted_now = _next_version(record, now, what, status=intent.status, **facts)
    return with_follow_up(
        replace(
            noted_now,
            payment_status=status,
            fingerprint=LOST_FINGERPRINT if updated else record.fingerprint,
        ),
        amount=intent.amount,
        currency=intent.currency,
    )


def is_news(record: KeyRecord, intent: Intent) -> bool:
    """Whether the recorded PaymentIntent shows another status or price than the record."""
    kept, params = follow_up_of(record), SentParams.parse(record.params).params
    known = {
        "amount": params.get("amount") if kept.amount is None else kept.amount,
        "currency": kept.currency or params.get("currency"),
    }
    return intent.status != record.payment_status or intent.shows_otherwise(known)


def rejected(record: KeyRecord, code: str, now: float, *, in_doubt: bool = False) -> KeyRecord:
    """Stripe's no to this attempt is definitive (rule 8).

    `in_doubt`: it is the look-up that says so, so that it is looked at again.
    """
    over = replace(
        record,
        **_written(record, now, "rejected", code=code),
        state="rejected",
        locked_until=now,
    )
    return _to_be_looked_at(over, now) if in_doubt else over


def released(record: KeyRecord, code: str, now: float, *, saved_5xx: bool = False) -> KeyRecord:
    """The outcome is unknown and nobody is at it: the next request resolves it."""
    return replace(
        record,
        **_written(record, now, "unknown", code=code),
        locked_until=now,
        saved_5xx=record.saved_5xx or saved_5xx,
    )


def touched(record: KeyRecord, now: float, what: str, **facts: str | int) -> KeyRecord:
    """Something happened beside the creation: only the follow-up changes."""
    return _next_version(record, now, what, **facts)


def ending(record: KeyRecord, stray_id: str, now: float) -> KeyRecord:
    """A PaymentIntent that is not the recorded one is about to be canceled."""
    noted_now = _next_version(record, now, "ending", payment_intent_id=stray_id)
    return _with_ending(noted_now, stray_id)


def replaced(adopted: KeyRecord, former_id: str, now: float) -> KeyRecord:
    """What was recorded before is about to be canceled, because the adopted one is paid.

    It is looked at later, too, in case whoever is to cancel it dies.
    """
    return _to_be_looked_at(_with_ending(adopted, former_id), now)


def _with_ending(record: KeyRecord, intent_id: str) -> KeyRecord:
    others = tuple(each for each in follow_up_of(record).ending if each != intent_id)
    return with_follow_up(record, ending=(*others, intent_id)[-MAX_ENDING:])


def is_ending(record: KeyRecord, intent: Intent) -> bool:
    """Whether somebody cancels it, so that it must not be given out; one that is taken is not."""
    return intent.status not in TAKEN and intent.id in follow_up_of(record).ending


def _to_be_looked_at(record: KeyRecord, now: float) -> KeyRecord:
    kept = follow_up_of(record)
    since = min(kept.look_since or record.first_sent_at, record.first_sent_at)
    looks = tuple(now + seconds for seconds in LOOKS_AFTER_SECONDS)
    return with_follow_up(record, looks=looks, look_since=since, look_until=now)


def _next_version(record: KeyRecord, now: float, what: str, **facts: str | int) -> KeyRecord:
    return replace(record, **_written(record, now, what, **facts))


def _written(record: KeyRecord, now: float, what: str, **facts: str | int) -> dict[str, Any]:
    """What every write of a record changes."""
    return {
        "version": record.version + 1,
        "updated_at": now,
        "follow_up": noted(record.follow_up, now, what, **facts),
    }
