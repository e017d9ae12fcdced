"""The witness of a payment that a gated gateway has taken: when it is due, and how it ends.

It is a mark at the open gateway, so that a store that loses the record makes no second payment
(rule 22). Pure functions, independent of the store.
"""

from __future__ import annotations

import re

from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.gateways.intent import MOVED_TO, PROCESSING, SUCCEEDED, Intent
from payment_service.payments.record import transitions
from payment_service.payments.record.follow_up import MAX_VOID_MARKS
from payment_service.payments.record.gateways import Witness
from payment_service.payments.record.order_record import OrderRecord
from payment_service.schema.gateway_names import GATEWAY_TITLES

DUE, MADE, REFUSED, GIVEN_UP = "due", "made", "refused", "given_up"

# The first try comes soon after the payment; the pauses between the tries double from a minute to
# an hour. A key lives for a day, and after that the witness helps no order of today.
FIRST_AFTER_SECONDS, LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS = 5.0, 60.0, 3600.0
GIVE_UP_AFTER_SECONDS = 86_400.0

# The last late look-up cancels what a leftover made late, and the witness marks it afterwards.
AFTER_LAST_LOOK_SECONDS = 300.0

_MARK = re.compile("([a-z]+):([A-Za-z0-9_-]+)")


def due(record: OrderRecord, now: float) -> OrderRecord:
    """Return the record with its witness due if its payment is taken and has none yet."""
    if record.follow_up.witness is not None or not is_wanted(record):
        return record
    planned = Witness(DUE, now + FIRST_AFTER_SECONDS, now + GIVE_UP_AFTER_SECONDS)
    return record.with_follow_up(witness=planned)


def is_wanted(record: OrderRecord) -> bool:
    """Whether the recorded payment has taken the money, or is taking it, at its gateway.

    The caller knows that it is at a gated gateway. A claimed capture may still move nothing.
    """
    capture = record.follow_up.gated_capture
    is_claimed = capture is not None and capture.claimed_at is not None
    is_paid = record.payment_status in (SUCCEEDED, PROCESSING)
    return record.state == "created" and is_paid and not is_claimed


def is_due(record: OrderRecord, now: float) -> bool:
    """Whether it is time to make the witness, or to look once more for what appeared late."""
    witness = record.follow_up.witness
    return witness is not None and witness.at is not None and witness.at <= now


def taken(record: OrderRecord, now: float) -> OrderRecord:
    """Take the try that is due, so that no other process takes it; it sets the time of the next."""
    witness = record.follow_up.witness
    assert witness
    age = now - (witness.until - GIVE_UP_AFTER_SECONDS)
    at = now + min(max(age, LEAST_PAUSE_SECONDS), MOST_PAUSE_SECONDS)
    return transitions.amended(record, witness=Witness(witness.state, at, witness.until))


def is_late(record: OrderRecord, now: float) -> bool:
    """Whether it is too late to send a key; what earlier tries made is still canceled."""
    witness = record.follow_up.witness
    return witness is not None and now >= witness.until


def given_up(record: OrderRecord, now: float) -> OrderRecord:
    """Record that a late try has left nothing that can be paid: no other follows."""
    witness = record.follow_up.witness
    assert witness
    if witness.state == MADE:
        return transitions.amended(record, witness=Witness(MADE, None, witness.until))
    noted = transitions.touched(record, now, "witness given up")
    return noted.with_follow_up(witness=Witness(GIVEN_UP, None, witness.until))


def dropped(record: OrderRecord) -> OrderRecord:
    """Return the record without a witness: the order's money is not at a gated gateway."""
    return transitions.amended(record, witness=None)


def made(record: OrderRecord, now: float) -> OrderRecord:
    """Record that the witness is made; while leftovers stand, look once more after their end."""
    witness, leftovers = record.follow_up.witness, record.follow_up.leftovers
    assert witness
    last = max((each.until for each in leftovers), default=None)
    again = None
    if last is not None:
        again = max(last + LATEST_ARRIVAL_SECONDS, now) + AFTER_LAST_LOOK_SECONDS
    after = Witness(MADE, again, witness.until)
    if witness.state == MADE:
        return transitions.amended(record, witness=after)
    noted = transitions.touched(record, now, "witness", moved_to=mark_of(record))
    return noted.with_follow_up(witness=after)


def refused(record: OrderRecord, now: float, code: str) -> OrderRecord:
    """Record that the open gateway takes no payment of this order, so that there is no witness."""
    witness = record.follow_up.witness
    assert witness
    noted = transitions.touched(record, now, "witness refused", code=code)
    return noted.with_follow_up(witness=Witness(REFUSED, None, witness.until))


def voided(record: OrderRecord) -> OrderRecord:
    """Return a record whose payment has ended: a mark that names it counts no more.

    The gateway may show the payment no longer when a request meets the mark.
    """
    kept = record.follow_up
    if kept.witness is None:
        return record
    return record.with_follow_up(void_marks=(*kept.void_marks, mark_of(record))[-MAX_VOID_MARKS:])


def mark_of(record: OrderRecord) -> str:
    """Return the value of the mark: the gateway of the payment, and its id there."""
    return f"{record.sent.gateway}:{record.payment_intent_id}"


def named_by(intent: Intent, record: OrderRecord) -> tuple[str, str] | None:
    """Return the gateway and the id of the payment that a PaymentIntent's mark names, if any.

    None for a mark that the record knows to be void.
    """
    mark = str(intent.metadata.get(MOVED_TO, ""))
    found = _MARK.fullmatch(mark)
    if found is None or found[1] not in GATEWAY_TITLES or mark in record.follow_up.void_marks:
        return None
    return found[1], found[2]
