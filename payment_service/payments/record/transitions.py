"""The state machine of a record: what the next request does, and how each step writes it.

                 ┌────────── lease expired, or released without an answer ─────────┐
                 ▼                                                                │
    (none) → in flight ──→ created ──(canceled)──→ in flight, attempt + 1         │
                 │  └────→ rejected ─────────────→ in flight, the same attempt    │
                 └──────────────────────────────────────────────────────────── unknown

Pure functions, independent of the store: every decision about a record is made here, once.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS, GatewayFacts
from payment_service.gateways.intent import CANCELED, OVER, SUCCEEDED, TAKEN, Intent
from payment_service.gateways.sent_params import DEFAULT_GATEWAY, SentParams
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.idempotency_key import FIRST_ATTEMPT
from payment_service.payments.record.follow_up import MAX_ENDING
from payment_service.payments.record.gateways import Leftover
from payment_service.payments.record.money import CaptureEntry, RefundEntry
from payment_service.payments.record.order_record import NO_FOLLOW_UP, OrderRecord

# The fingerprint of an adopted PaymentIntent whose request the store has lost. Amount and currency
# then decide whether a request is the same.
LOST_FINGERPRINT = ""

# The fingerprint of an order whose PaymentIntent the gateway no longer has: that of no request, so
# the next request begins another attempt.
GONE_FINGERPRINT = "gone"

# The owner of a pending record that was released: the next request need not wait for its lease.
NO_OWNER = ""

# A claim holds for this long, and its owner renews it while it works. Short, because the order of a
# killed owner waits for it; long enough for an owner that the machine suspends for a moment.
LEASE_SECONDS = 4.0

# Most calls end sooner and cost no renewal. Two renewals may fail before the lease expires.
RENEW_AFTER_SECONDS = LEASE_SECONDS / 3

# How far the clocks of two machines may differ. Only a process that has not watched a lease by its
# own clock depends on it.
CLOCK_MARGIN_SECONDS = 10.0

# The longest lock of an update, and of a creation by an earlier release: the longest budget that
# the settings allow (120 s) and its margin of 10 s; and another 10 s for clock skew.
LONGEST_LOCK_SECONDS = 140.0

# The object of an abandoned attempt may still appear, moments or an hour after a 500
# (docs.stripe.com/error-low-level: the outcome of a 500 is indeterminate).
LATE_LOOK_UPS_AFTER_SECONDS = (15.0, 120.0, LATEST_ARRIVAL_SECONDS)

# The follow-up of a payment that no gated gateway has.
_NO_APPROVAL: dict[str, Any] = {
    "gated_capture": None,
    "approval_look": None,
    "approval_looks": 0,
    "witness": None,
}


class Step(Enum):
    """The next action of a request on its order's record."""

    WAIT = auto()
    TAKE_OVER = auto()
    SERVE = auto()
    BEGIN_NEXT = auto()
    ASK_AGAIN = auto()
    REFUSE = auto()


class Wanted(Struct, frozen=True):
    """A request's order, its fingerprint, and the parameters to send for it.

    `alternatives`: the parameters at the other gateways that the caller accepts and that can keep
    every promise of the request. `accepts`: the names of the gateways that the caller accepts.
    """

    order: Order
    fingerprint: str
    sent: SentParams
    alternatives: tuple[SentParams, ...] = ()
    accepts: frozenset[str] = frozenset({DEFAULT_GATEWAY})


class Lease(Struct, frozen=True):
    """The terms of a claim: owner, start (Unix seconds) and duration; each has its own `owner`."""

    owner: str
    now: float
    seconds: float


def next_step(record: OrderRecord, fingerprint: str, now: float) -> Step:
    """Decide what a request with this fingerprint does, by the state table of the rules."""
    if record.state == "rejected":
        return Step.ASK_AGAIN
    if record.state == "pending":
        # However far ahead the lease ends: a request that waits watches it by its own clock.
        return Step.WAIT if record.owner and now < _ends_at(record) else Step.TAKE_OVER
    if record.fingerprint in (fingerprint, LOST_FINGERPRINT):
        return Step.SERVE
    return Step.BEGIN_NEXT if record.payment_status == CANCELED else Step.REFUSE


def holds(until: float, now: float) -> bool:
    """Whether a lock that expires at `until` still holds.

    If `until` is further ahead than any lock lasts, a clock that ran ahead has written it. That
    lock counts as expired: its owner may be dead, and no request could wait that long. Rule 2
    makes that safe.
    """
    return now < until <= now + LONGEST_LOCK_SECONDS


def is_held(record: OrderRecord | KeyRecord, now: float) -> bool:
    """Whether a pending record may have an owner at work, by the clock alone (rule 5)."""
    return bool(record.owner) and holds(_ends_at(record), now)


def entry_is_held(entry: RefundEntry | CaptureEntry, now: float) -> bool:
    """Whether a pending entry may have an owner at work, by the clock alone (rule 28)."""
    return bool(entry.owner) and holds(entry.until + CLOCK_MARGIN_SECONDS, now)


def _ends_at(record: OrderRecord | KeyRecord) -> float:
    """When the record's lease has ended by any clock within the margin."""
    return record.locked_until + CLOCK_MARGIN_SECONDS


def sends_ended_at(record: OrderRecord, longest_request: float) -> float:
    """The latest time (Unix seconds) at which a record's earlier owners may have sent.

    An owner that lost its lease may have sent until its own budget ended.
    """
    return record.updated_at + longest_request


def earliest_use(record: OrderRecord, gateway: GatewayFacts) -> float:
    """The earliest time (Unix seconds) at which this or a lost record may have used the key.

    A record that the store has since lost may have used a key that the gateway still remembers,
    so a look-up reaches back by the whole life of a key.
    """
    return record.first_sent_at - gateway.key_life_seconds


def earliest_use_with_leftovers(record: OrderRecord, gateway: GatewayFacts) -> float:
    """The earliest use (Unix seconds) of any key of the order, those of its leftovers included."""
    sends = (each.since for each in record.follow_up.leftovers)
    return min((earliest_use(record, gateway), *sends))


def must_look_up(record: OrderRecord, now: float, gateway: GatewayFacts) -> bool:
    """Whether a look-up must come before a send: the key is too old, or only replays a 5xx."""
    return record.saved_5xx or now - record.first_sent_at >= gateway.key_is_safe_seconds


def first_claim(wanted: Wanted, lease: Lease) -> OrderRecord:
    """Build the first record of an order."""
    return OrderRecord(
        order=wanted.order,
        attempt=FIRST_ATTEMPT,
        fingerprint=wanted.fingerprint,
        sent=wanted.sent,
        state="pending",
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
        first_sent_at=lease.now,
        updated_at=lease.now,
        follow_up=NO_FOLLOW_UP.noted(lease.now, "claimed", attempt=FIRST_ATTEMPT),
    )


def taken_over(record: OrderRecord, lease: Lease) -> OrderRecord:
    """Give the same attempt, key and params a new owner (rule 2)."""
    return replace(
        record,
        **_written(record, lease.now, "taken over"),
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
    )


def renewed(record: OrderRecord, now: float) -> OrderRecord:
    """Extend the owner's lease; everything else stays, even `updated_at`."""
    return replace(record, version=record.version + 1, locked_until=now + LEASE_SECONDS)


def asked_again(record: OrderRecord, wanted: Wanted, lease: Lease) -> OrderRecord:
    """After a rejection, keep the attempt and key, and take the new request's params (rule 2).

    Stripe may or may not have saved the rejection under the key. If it did, its answer shows so,
    and the next attempt begins. If it did not, the key is still unused: skipping it would leave a
    key that could create a second PaymentIntent if the store lost the record.
    """
    claimed = _next_version(record, lease.now, "claimed", attempt=record.attempt)
    return replace(
        claimed.with_follow_up(refused=record.attempt),
        fingerprint=wanted.fingerprint,
        sent=wanted.sent,
        state="pending",
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
    )


def was_refused(record: OrderRecord) -> bool:
    """Whether Stripe rejected a send of this attempt, so that no client_secret was released."""
    return record.follow_up.refused == record.attempt


def next_attempt(record: OrderRecord, wanted: Wanted, lease: Lease) -> OrderRecord:
    """Begin a new attempt: a new key, and the parameters of the request that begins it (rule 3).

    The record may have been rolled back to an older version (a failover, a restored backup). Its
    lost versions may then have sent the new key already, at any time since they sent the record's
    own key. The new key's age therefore counts from the first send of the record's own key, until
    a look-up shows that nothing was created since (`looked_up`).
    """
    claimed = _next_version(record, lease.now, "claimed", attempt=record.attempt + 1)
    if record.state == "pending":
        claimed = _with_late_look_ups(claimed, lease.now)
    return _begun(claimed, wanted, lease)


def moved(
    record: OrderRecord, wanted: Wanted, lease: Lease, left: Leftover | None, why: str
) -> OrderRecord:
    """Begin a new attempt where a gated gateway is left or entered (rules 13 and 15).

    `wanted`: the request, with its parameters at the attempt's gateway. `left`: what the attempt
    before may have made at an open gateway (rule 17). `why`: a word for the history.
    """
    came, goes, attempt = record.sent.gateway, wanted.sent.gateway, record.attempt + 1
    facts = {"from": came, "to": goes, "why": why} if came != goes else {}
    what = "switched" if facts else "claimed"
    claimed = _next_version(record, lease.now, what, **facts, attempt=attempt)
    if left is not None:
        claimed = _with_leftover(claimed, left, lease.now)
    return _begun(claimed, wanted, lease)


def _begun(claimed: OrderRecord, wanted: Wanted, lease: Lease) -> OrderRecord:
    """The record of a new attempt, from that of the attempt before."""
    nothing_known: dict[str, Any] = {"amount": None, "currency": None, "pending": None}
    return replace(
        claimed.with_follow_up(**nothing_known, **_NO_APPROVAL),
        attempt=claimed.attempt + 1,
        fingerprint=wanted.fingerprint,
        sent=wanted.sent,
        state="pending",
        owner=lease.owner,
        locked_until=lease.now + lease.seconds,
        first_sent_at=min(claimed.first_sent_at, lease.now),
        saved_5xx=False,
        payment_intent_id=None,
        payment_status=None,
    )


def unproven(begun: OrderRecord, gateway: GatewayFacts, now: float) -> OrderRecord:
    """Have an attempt begin with a look-up: its key counts as older than the gateway keeps any.

    An order that comes back from another gateway may have a PaymentIntent whose client_secret the
    service gave out, although no version of the record shows it any more.
    """
    return replace(begun, first_sent_at=min(begun.first_sent_at, now - gateway.key_life_seconds))


def looked_up(begun: OrderRecord, now: float) -> OrderRecord:
    """Count the age of an unsent attempt's key from now: a look-up found nothing of its order."""
    return replace(_next_version(begun, now, "looked up"), first_sent_at=now)


def put_off(begun: OrderRecord, now: float) -> OrderRecord:
    """Begin an attempt without an owner: the next request is the first to send its key."""
    return replace(begun, owner=NO_OWNER, locked_until=now)


def created(record: OrderRecord, intent: Intent, now: float, what: str = "created") -> OrderRecord:
    """Record the order's PaymentIntent."""
    return replace(
        record,
        **_written(record, now, what, payment_intent_id=intent.id, status=intent.status),
        state="created",
        locked_until=now,
        payment_intent_id=intent.id,
        payment_status=intent.status,
    )


def found(order: Order, intent: Intent, sent: SentParams, lease: Lease) -> OrderRecord:
    """Rebuild the record of an order that the store has lost and Stripe still has."""
    record = first_claim(Wanted(order, LOST_FINGERPRINT, sent), lease)
    record = replace(record, version=0, first_sent_at=float(intent.created), follow_up=NO_FOLLOW_UP)
    return adopted(record, intent, lease.now)


def adopted(record: OrderRecord, intent: Intent, now: float, what: str = "adopted") -> OrderRecord:
    """Record a PaymentIntent whose request parameters are unknown."""
    known = created(replace(record, fingerprint=LOST_FINGERPRINT), intent, now, what)
    return known.with_follow_up(
        amount=intent.amount, currency=intent.currency, received=_received(intent)
    )


def recorded(record: OrderRecord, intent: Intent, now: float, what: str) -> OrderRecord:
    """Record the PaymentIntent that the owner of the attempt created or found.

    A paid one with another price or capture method belongs to a request whose record the store has
    lost. It must not count as the result of the attempt's own request.
    """
    own = intent.fits(record.sent.params)
    return (created if own else adopted)(record, intent, now, what)


def seen(
    record: OrderRecord, intent: Intent, now: float, what: str = "seen", **facts: str | int
) -> OrderRecord:
    """Record the current state of the order's PaymentIntent.

    A recorded final status stays: any other status of that PaymentIntent is older.

    If the PaymentIntent's price differs from the record's parameters, it was updated without the
    record's knowledge (by hand, or the record was rolled back). From then on its own price decides
    whether a creation request is the same. The same holds for a PaymentIntent that was gone and is
    back, because the account's key is.
    """
    is_back = is_gone(record)
    updated = is_back or intent.asks_otherwise(record.sent.params)
    over = record.payment_status in OVER and record.payment_intent_id == intent.id and not is_back
    status = record.payment_status if over else intent.status
    noted_now = _next_version(record, now, what, status=intent.status, **facts)
    return replace(
        noted_now.with_follow_up(
            amount=intent.amount, currency=intent.currency, received=_received(intent)
        ),
        payment_status=status,
        fingerprint=LOST_FINGERPRINT if updated else record.fingerprint,
    )


def gone(
    record: OrderRecord,
    intent: Intent,
    now: float,
    gateway: GatewayFacts,
    what: str = "gone",
    **facts: str,
) -> OrderRecord:
    """Record that the gateway no longer has the order's PaymentIntent (rule 3).

    The account of the current key may have another PaymentIntent of the order, so the next attempt
    must begin with a look-up: the record's key counts as older than the gateway keeps any.
    """
    over = seen(record, intent, now, what, payment_intent_id=intent.id, **facts)
    ended = replace(over, payment_status=CANCELED, fingerprint=GONE_FINGERPRINT)
    return unproven(ended, gateway, now)


def is_gone(record: OrderRecord) -> bool:
    """Whether the record says that the gateway no longer has the order's PaymentIntent."""
    return record.fingerprint == GONE_FINGERPRINT


def _received(intent: Intent) -> int | None:
    """Return what was captured if it is not the whole amount; the rest was released."""
    partly = intent.status == SUCCEEDED and intent.amount_received != intent.amount
    return intent.amount_received if partly else None


def shows_change(record: OrderRecord, intent: Intent) -> bool:
    """Whether the recorded PaymentIntent shows another status or price than the record."""
    known = {"amount": record.amount, "currency": record.currency}
    return intent.status != record.payment_status or intent.shows_otherwise(known)


def rejected(record: OrderRecord, code: str, now: float, *, in_doubt: bool = False) -> OrderRecord:
    """Record a definitive rejection of this attempt by Stripe (rule 8).

    `in_doubt`: the rejection rests on a look-up, so the record schedules late look-ups.
    """
    over = replace(
        record,
        **_written(record, now, "rejected", code=code),
        state="rejected",
        locked_until=now,
    )
    return _with_late_look_ups(over, now) if in_doubt else over


def released(record: OrderRecord, code: str, now: float, *, saved_5xx: bool = False) -> OrderRecord:
    """Release the lease with the outcome unknown: the next request resolves it."""
    return replace(
        record,
        **_written(record, now, "unknown", code=code),
        owner=NO_OWNER,
        locked_until=now,
        saved_5xx=record.saved_5xx or saved_5xx,
    )


def amended(record: OrderRecord, **changes: Any) -> OrderRecord:
    """Change only the follow-up, without a history entry; even `updated_at` stays."""
    return replace(record.with_follow_up(**changes), version=record.version + 1)


def touched(record: OrderRecord, now: float, what: str, **facts: str | int) -> OrderRecord:
    """Add a history entry that does not concern the creation: only the follow-up changes."""
    return _next_version(record, now, what, **facts)


def ending(record: OrderRecord, stray_id: str, now: float) -> OrderRecord:
    """Record that a PaymentIntent other than the recorded one is about to be canceled."""
    noted_now = _next_version(record, now, "ending", payment_intent_id=stray_id)
    return _with_ending(noted_now, stray_id)


def replaced(adopted: OrderRecord, former_id: str, now: float) -> OrderRecord:
    """Record that the former PaymentIntent is about to be canceled: the adopted one is paid.

    Late look-ups check it too, in case the process that should cancel it dies.
    """
    return _with_late_look_ups(_with_ending(adopted, former_id), now)


def _with_ending(record: OrderRecord, intent_id: str) -> OrderRecord:
    others = tuple(each for each in record.follow_up.ending if each != intent_id)
    return record.with_follow_up(ending=(*others, intent_id)[-MAX_ENDING:])


def is_ending(record: OrderRecord, intent: Intent) -> bool:
    """Whether a process is canceling this PaymentIntent, so that it must not be handed out.

    Never true once its payment is taken.
    """
    return intent.status not in TAKEN and intent.id in record.follow_up.ending


def _with_late_look_ups(record: OrderRecord, now: float) -> OrderRecord:
    kept = record.follow_up
    since = min(kept.look_since or record.first_sent_at, record.first_sent_at)
    look_ups = tuple(now + seconds for seconds in LATE_LOOK_UPS_AFTER_SECONDS)
    return record.with_follow_up(look_ups=look_ups, look_since=since, look_until=now)


def _with_leftover(record: OrderRecord, left: Leftover, now: float) -> OrderRecord:
    """Rule 17: list what was left, and when to look for it. It covers all earlier look-ups."""
    soon = tuple(now + seconds for seconds in LATE_LOOK_UPS_AFTER_SECONDS[:-1])
    return record.with_follow_up(
        leftovers=(*record.follow_up.leftovers, left),
        look_ups=(*soon, left.until + LATEST_ARRIVAL_SECONDS),
        look_since=0.0,
        look_until=0.0,
    )


def _next_version(record: OrderRecord, now: float, what: str, **facts: str | int) -> OrderRecord:
    return replace(record, **_written(record, now, what, **facts))


def _written(record: OrderRecord, now: float, what: str, **facts: str | int) -> dict[str, Any]:
    """The fields that every write of a record changes."""
    return {
        "version": record.version + 1,
        "updated_at": now,
        "follow_up": record.follow_up.noted(now, what, **facts),
    }
