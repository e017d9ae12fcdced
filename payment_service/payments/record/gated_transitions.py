"""The state machine of the recorded payment at a gated gateway, up to its capture (rule 18).

    requires_action ──(approved)──→ requires_capture ──(claim)──→ processing ──→ succeeded
          ▲                                 ▲                          │
          │                                 └─ the claim taken back ───┤
          └─ declined, or not approved ────────────────────────────────┤
    canceled ←── refused for good, ended at the gateway, lapsed ───────┘

Pure functions, independent of the store: every decision about such a payment is made here, once.
The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from msgspec.structs import replace

from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.gateways.intent import (
    CANCELED,
    OVER,
    PROCESSING,
    REQUIRES_ACTION,
    REQUIRES_CAPTURE,
    SUCCEEDED,
    Intent,
)
from payment_service.gateways.sent_params import SentParams
from payment_service.payments.record import transitions, witness
from payment_service.payments.record.gateways import GatedCapture
from payment_service.payments.record.history import STRAY_ADOPTED
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Lease, Wanted

NEEDS_SHOPPER, APPROVED = REQUIRES_ACTION, REQUIRES_CAPTURE

# The gateway has taken the money, or is still working on it.
PAID = frozenset({SUCCEEDED, PROCESSING})

# The looks for an approval, in seconds after the creation; then hourly.
LOOKS_AFTER_SECONDS = (60.0, 300.0, 900.0, 3600.0)

# A claim whose sender is gone, and an approval that waits for another gateway, are looked at more
# often: someone has paid and waits for an answer.
EARLY_LOOK_SECONDS, EAGER_LOOK_SECONDS, HOUR = 15.0, 60.0, 3600.0

# When a capture has been unknown for so long, a person must look.
STUCK_SECONDS = 86_400.0


class Ask(Enum):
    """The next action of a process, before it calls the gateway."""

    NOTHING = auto()
    PAID_BEFORE = auto()
    WAIT = auto()
    READ = auto()


class Act(Enum):
    """The next action of a process that has read the payment."""

    RECORD = auto()
    LAPSED = auto()
    CAPTURE = auto()
    CAPTURE_AGAIN = auto()
    UNKNOWN = auto()


def before_reading(record: OrderRecord, now: float) -> Ask:
    """Decide whether a call to the gateway is necessary.

    `succeeded` is final. `canceled` is, too: nothing but a capture of ours moves money, and none is
    sent for a canceled payment (rule 18).
    """
    if record.follow_up.paid_before:
        return Ask.PAID_BEFORE
    if record.payment_status in OVER:
        return Ask.NOTHING
    return Ask.WAIT if is_in_work(record, now) else Ask.READ


def after_reading(record: OrderRecord, found: Intent | None, now: float, *, capture: bool) -> Act:
    """Decide what follows from the payment as the gateway has it; None: it has none.

    `capture`: whether this process may capture what is approved.
    """
    status = found.status if found else None
    if status in (*OVER, PROCESSING):
        return Act.RECORD
    if record.payment_status == PROCESSING:
        # A capture was claimed or made, and the gateway does not show its outcome: ask after it,
        # never give it up (rule 18). A claim is resolved by sending its request id again.
        again = capture and found is not None and is_claimed(record)
        return Act.CAPTURE_AGAIN if again else Act.UNKNOWN
    if status is None:
        # A gateway that does not show the payment tells nothing about a send that may yet arrive.
        return Act.UNKNOWN if is_in_doubt(record, now) else Act.LAPSED
    return Act.CAPTURE if capture and status == APPROVED else Act.RECORD


def may_capture_unattended(record: OrderRecord) -> bool:
    """Whether a job may capture an approval that no request and no event has brought up.

    Not after a decline: every further try needs the shopper.
    """
    return not capture_of(record).declined


def capture_of(record: OrderRecord) -> GatedCapture:
    """Return the record's capture; before the first claim, the one that would be claimed."""
    return record.follow_up.gated_capture or GatedCapture()


def is_claimed(record: OrderRecord) -> bool:
    """Whether a capture of the recorded payment is claimed and not resolved."""
    return capture_of(record).claimed_at is not None


def is_in_work(record: OrderRecord, now: float) -> bool:
    """Whether the sender of the claimed capture may still be at work."""
    return is_claimed(record) and transitions.holds(capture_of(record).until, now)


def is_in_doubt(record: OrderRecord, now: float) -> bool:
    """Whether a capture may still move money, although no claim of it is open.

    Its answer was lost, and a later send was rejected. So the order does not end until the lost one
    can no longer arrive.
    """
    return is_claimed(record) or may_arrive(record, now)


def may_arrive(record: OrderRecord, now: float) -> bool:
    """Whether a send whose answer was lost may still move money.

    It is an earlier send of the open claim, or one of a claim that was taken back. A rejection of a
    later send, under whatever number, tells nothing about it.
    """
    return is_unresolved(record) or now < capture_of(record).doubt_until


def last_arrival(record: OrderRecord) -> float:
    """When the last send that may be without an answer can no longer arrive (Unix seconds)."""
    capture = capture_of(record)
    if not is_claimed(record):
        return capture.doubt_until
    return max(capture.until + LATEST_ARRIVAL_SECONDS, capture.doubt_until)


def is_stuck(record: OrderRecord, now: float) -> bool:
    """Whether a capture has been unknown for so long that a person must look."""
    claimed_at = capture_of(record).claimed_at
    return claimed_at is not None and now - claimed_at >= STUCK_SECONDS


def is_same_payment(held: OrderRecord, record: OrderRecord) -> bool:
    """Whether both records name the same payment at the same gateway."""
    theirs = (held.state, held.payment_intent_id, held.sent.gateway)
    return theirs == (record.state, record.payment_intent_id, record.sent.gateway)


def shows_change(record: OrderRecord, found: Intent) -> bool:
    """Whether the payment shows another state than the record, or ends its claim."""
    return found.status != record.payment_status or is_claimed(record)


def seen(
    record: OrderRecord, found: Intent, now: float, what: str = "seen", **facts: str | int
) -> OrderRecord:
    """Record the current state of the payment; an end resolves the claim (rule 18)."""
    noted = transitions.touched(record, now, what, status=found.status, **facts)
    after = replace(noted, payment_status=found.status)
    if found.status == CANCELED:
        after = witness.voided(after).with_follow_up(gated_capture=None)
    elif is_paid(found):
        # A payment that was taken before is this one (rule 21).
        after = after.with_follow_up(
            gated_capture=_unclaimed(capture_of(record)), paid_before=False
        )
    return with_next_look(after, now)


def canceled(record: OrderRecord, now: float, what: str = "canceled", **facts: str) -> OrderRecord:
    """Record that nothing can come of the payment any more, so that another may follow it.

    The caller has checked that no capture can move money (rule 15).
    """
    noted = transitions.touched(record, now, what, status=CANCELED, **facts)
    over = witness.voided(noted).with_follow_up(gated_capture=None, paid_before=False)
    return with_next_look(replace(over, payment_status=CANCELED), now)


def claimed(record: OrderRecord, now: float, until: float) -> OrderRecord:
    """Claim the capture before it is sent (rule 18): from here on the order counts as processing.

    `until` (Unix seconds): when the time of the sender is over.
    """
    capture = capture_of(record)
    mine = replace(capture, claimed_at=now, until=until, sent=False, declined=False)
    return _claim(record, mine, now, "capture sent")


def taken_over(record: OrderRecord, now: float, until: float) -> OrderRecord:
    """Take over the claim of a sender that is gone, under the same request id.

    Its send may have arrived, so the claim counts as sent.
    """
    mine = replace(capture_of(record), until=until, sent=True)
    return _claim(record, mine, now, "capture taken over")


def _claim(record: OrderRecord, mine: GatedCapture, now: float, what: str) -> OrderRecord:
    noted = _noted_once(record, now, what, number=mine.number)
    after = replace(noted, payment_status=PROCESSING).with_follow_up(gated_capture=mine)
    return with_next_look(after, now)


def is_claim_of(held: OrderRecord, mine: OrderRecord) -> bool:
    """Whether the record still has the claim of `mine`, and no other process took it over."""
    same = held.payment_intent_id == mine.payment_intent_id and is_claimed(held)
    ours, theirs = capture_of(mine), capture_of(held)
    return same and (ours.number, ours.until) == (theirs.number, theirs.until)


def payer_needed(record: OrderRecord, now: float, *, declined: bool, code: str) -> OrderRecord:
    """Take the claim back: nothing moved, and the shopper must act again.

    The next capture has the next number, because the gateway may keep the rejection under the
    request id of this one.
    """
    what = "capture declined" if declined else "capture not approved"
    capture = capture_of(record)
    latest = now + LATEST_ARRIVAL_SECONDS if capture.sent else 0.0
    doubt_until = max(latest, capture.doubt_until)
    back = replace(
        _unclaimed(capture),
        number=capture.number + 1,
        declined=declined,
        doubt_until=doubt_until,
    )
    return _taken_back(record, back, NEEDS_SHOPPER, now, what, code)


def taken_back(record: OrderRecord, now: float, code: str) -> OrderRecord:
    """Take the claim back: this and every earlier send of it moved nothing.

    The payment is still approved.
    """
    back = _unclaimed(capture_of(record))
    return _taken_back(record, back, APPROVED, now, "capture not sent", code)


def _taken_back(
    record: OrderRecord, back: GatedCapture, status: str, now: float, what: str, code: str
) -> OrderRecord:
    noted = transitions.touched(record, now, what, number=capture_of(record).number, code=code)
    after = replace(noted, payment_status=status).with_follow_up(gated_capture=back)
    return with_next_look(after, now)


def unresolved(record: OrderRecord, now: float, code: str) -> OrderRecord:
    """Release a claim that was sent, and whose outcome the next process asks after."""
    capture = capture_of(record)
    noted = _noted_once(record, now, "capture unknown", number=capture.number, code=code)
    kept = replace(capture, until=now, sent=True)
    return with_next_look(noted.with_follow_up(gated_capture=kept), now)


def _noted_once(record: OrderRecord, now: float, what: str, **facts: str | int) -> OrderRecord:
    """Return the next version, with a history entry if none of this claim is there.

    Processes may ask for its outcome for days, and the history is bounded.
    """
    claimed_at = capture_of(record).claimed_at or 0.0
    known = any(
        entry["what"] == what and entry["at"] >= claimed_at for entry in record.follow_up.history
    )
    return transitions.amended(record) if known else transitions.touched(record, now, what, **facts)


def is_unresolved(record: OrderRecord) -> bool:
    """Whether an earlier send of the claim may still move money.

    Then a rejection of a later one, about our account or because the payment is gone, tells
    nothing about it.
    """
    return capture_of(record).sent


def paid_before(record: OrderRecord, now: float, code: str) -> OrderRecord:
    """Record that the gateway has taken a payment with this order's name before (rule 21).

    Nothing more is sent for the order until a person has looked. The claim stays: an earlier send
    of it may be the one that took the payment, or may still arrive.
    """
    noted = transitions.touched(record, now, "paid before", code=code)
    capture = record.follow_up.gated_capture
    kept = capture and replace(capture, until=now)
    return noted.with_follow_up(paid_before=True, gated_capture=kept, approval_look=None)


def adopted_elsewhere(
    record: OrderRecord,
    taken: Intent,
    sent: SentParams,
    now: float,
    what: str = STRAY_ADOPTED,
) -> OrderRecord:
    """Record another payment of the order, which a gateway has taken (rules 19 and 22).

    Nothing is captured of the one that was recorded. `sent`: the gateway, and the price.
    """
    moved = replace(record, sent=sent).with_follow_up(
        gated_capture=None, paid_before=False, approval_look=None, approval_looks=0, witness=None
    )
    return transitions.adopted(moved, taken, now, what)


def begun_by_update(
    record: OrderRecord, wanted: Wanted, lease: Lease, revision: int
) -> OrderRecord:
    """Begin the attempt with the price of an update; the payment given out is dropped.

    The caller has checked that no capture can move money (rule 15).
    """
    over = transitions.touched(record, lease.now, "update sent", revision=revision)
    begun = transitions.next_attempt(replace(over, version=record.version), wanted, lease)
    return begun.with_follow_up(
        revision=revision,
        last_revision=revision,
        gated_capture=None,
        approval_look=None,
        approval_looks=0,
    )


def ended(record: OrderRecord, *, now: float, reason: str) -> OrderRecord:
    """End an order for which a person has looked: the next request begins another attempt.

    It drops the mark of rule 21, and gives up a capture that the gateway does not show.
    """
    if record.state == "created":
        return canceled(record, now, "freed", reason=reason)
    noted = transitions.touched(record, now, "freed", reason=reason)
    over = noted.with_follow_up(paid_before=False, gated_capture=None)
    return replace(over, state="rejected", locked_until=now)


def freed(record: OrderRecord, now: float, reason: str) -> OrderRecord:
    """Let an order go on at the open gateway, although another one says that it is paid (rule 21).

    A person has looked. What the record has of the open gateway stays as it is.
    """
    return transitions.touched(record, now, "freed", reason=reason).with_follow_up(
        paid_before=False
    )


# When to ask for an approval.


def with_next_look(record: OrderRecord, now: float) -> OrderRecord:
    """Return the record with the time of the next look; none once it is over.

    A payment that has taken the money becomes due for its witness (rule 22).
    """
    return witness.due(record.with_follow_up(approval_look=_next_look(record, now)), now)


def looked(record: OrderRecord, now: float) -> OrderRecord:
    """Take the look that is due, so that no other process takes it; even `updated_at` stays."""
    looks = record.follow_up.approval_looks + 1
    counted = record.with_follow_up(approval_looks=looks)
    return transitions.amended(record, approval_looks=looks, approval_look=_next_look(counted, now))


def _next_look(record: OrderRecord, now: float) -> float | None:
    capture, status = capture_of(record), record.payment_status
    if record.state != "created" or record.follow_up.paid_before or status in OVER:
        return None
    if capture.claimed_at is not None:
        if is_stuck(record, now):
            return now + HOUR
        early = now - capture.claimed_at < EAGER_LOOK_SECONDS
        return now + (EARLY_LOOK_SECONDS if early else EAGER_LOOK_SECONDS)
    if status == APPROVED and not capture.declined:
        return now + EAGER_LOOK_SECONDS
    return now + _pause(record.follow_up.approval_looks)


def _pause(looks: int) -> float:
    """Return the seconds from this look to the next."""
    if looks >= len(LOOKS_AFTER_SECONDS):
        return HOUR
    return LOOKS_AFTER_SECONDS[looks] - (LOOKS_AFTER_SECONDS[looks - 1] if looks else 0.0)


def _unclaimed(capture: GatedCapture) -> GatedCapture:
    return replace(capture, claimed_at=None, until=0.0, sent=False)


def is_paid(found: Intent) -> bool:
    """Whether the gateway has taken the money, or is still working on it."""
    return found.status in PAID


def facts_of(record: OrderRecord) -> dict[str, Any]:
    """Return the facts of an observation about the capture."""
    return {
        "payment_intent_id": record.payment_intent_id,
        "gateway": record.sent.gateway,
        "number": capture_of(record).number,
    }
