"""The rules of refunds and captures, broken one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from payment_service.errors import NotFound
from payment_service.gateways.outcome import Declined
from payment_service.payments.after_payment import (
    paid_order,
    refund,
    refund_claim,
    refund_send,
    sightings,
)
from payment_service.payments.after_payment.capture import CaptureAnswer, _Capturing
from payment_service.payments.after_payment.refund import _Refunding
from payment_service.payments.after_payment.refund_claim import RefundClaims
from payment_service.payments.after_payment.refund_end import Ending
from payment_service.payments.after_payment.refund_send import RefundSend
from payment_service.payments.idempotency_key import refund_key
from payment_service.payments.record.money import RefundEntry


def entry_is_stored_with_the_result() -> AbstractContextManager[Any]:
    real = RefundClaims._own

    def own(self: Any, look: Any, entry: Any, what: str, *, in_doubt: bool) -> Any:
        records = self._context.records
        with patch.object(records, "write", lambda *_: None):
            return real(self, look, entry, what, in_doubt=in_doubt)

    return patch.object(RefundClaims, "_own", own)


@contextmanager
def key_per_send() -> Iterator[None]:
    count = itertools.count()

    def key(*named: Any) -> str:
        return f"{refund_key(*named)}-{next(count)}"

    with patch.object(refund_send, "refund_key", key):
        yield


def sends_without_a_look() -> AbstractContextManager[Any]:
    return patch.object(refund, "shown", lambda *_: [])


def next_key_at_once() -> AbstractContextManager[Any]:
    return patch.object(refund_claim, "may_appear", lambda *_: False)


def pending_refunds_count_for_nothing() -> AbstractContextManager[Any]:
    real = sightings.left_of

    def left_of(received: int, refunds: Any, entries: Any, order: Any) -> int:
        return real(received, refunds, (), order)

    return patch.object(refund_claim, "left_of", left_of)


def a_list_is_read_before_the_record() -> AbstractContextManager[Any]:
    """The claim is written over whatever came in between."""
    real = RefundClaims._own

    def own(self: Any, look: Any, entry: Any, what: str, *, in_doubt: bool) -> Any:
        held = self._context.records.read(self._order) or look.record
        return real(self, replace(look, record=held), entry, what, in_doubt=in_doubt)

    return patch.object(RefundClaims, "_own", own)


def a_leased_entry_is_taken() -> AbstractContextManager[Any]:
    def holds(self: Any, entry: RefundEntry) -> bool:
        return False

    def spent(self: Any, record: Any, entry: RefundEntry) -> bool:
        return True

    @contextmanager
    def both() -> Iterator[None]:
        with (
            patch.object(_Refunding, "_holds", holds),
            patch.object(RefundClaims, "_is_old", spent),
            patch.object(refund_claim, "may_appear", lambda *_: False),
        ):
            yield

    return both()


def a_rejected_resend_is_final() -> AbstractContextManager[Any]:
    real = RefundSend._failed

    def failed(self: Any, claimed: Any, outcome: Any) -> Any:
        if isinstance(outcome, Declined):
            outcome = replace(outcome, after_unresolved=False)
            claimed = replace(claimed, in_doubt=False)
        return real(self, claimed, outcome)

    return patch.object(RefundSend, "_failed", failed)


def a_spent_refund_is_given_up() -> AbstractContextManager[Any]:
    def spent(self: Any, claimed: Any, error: Any) -> Any:
        Ending(self.context, claimed).reject(error)
        raise error

    return patch.object(RefundSend, "_spent", spent)


def any_capture_answers_every_request() -> AbstractContextManager[Any]:
    def captured(self: Any, record: Any, intent: Any) -> CaptureAnswer:
        self._note(record, intent)
        return CaptureAnswer(intent, intent.amount_received, replayed=True)

    return patch.object(_Capturing, "_captured", captured)


def a_lost_order_is_not_looked_up() -> AbstractContextManager[Any]:
    def find(*_: Any) -> Any:
        raise NotFound("no such order")

    return patch.object(paid_order, "_find", find)


COPIES, RACE = ("paid, one refund twice",), ("paid, two refunds of too much",)
MADE_OLD, UNDER_WAY = ("refund unknown, made a day ago",), ("refund of most, under way",)
MOST = ("refund of most, made late",)
LATE, LOST = ("refund of a saved 500, made late",), ("refund made, record lost",)
CAPTURES = ("authorized, two captures",)

# The rule, what breaks it, the scenarios where that can show, and the patch.
MONEY_MUTANTS = (
    (23, "a refund's entry is stored with the result", COPIES, entry_is_stored_with_the_result),
    (24, "each send of a refund has a key of its own", COPIES, key_per_send),
    (25, "a refund is sent without a look at the list", MADE_OLD, sends_without_a_look),
    (25, "a spent key is followed by the next at once", LATE, next_key_at_once),
    (25, "a saved 500 ends its refund", MOST, a_spent_refund_is_given_up),
    (25, "a rejected resend is final", UNDER_WAY, a_rejected_resend_is_final),
    (26, "refunds that may yet appear count for nothing", MOST, pending_refunds_count_for_nothing),
    (26, "a claim overwrites what came in between", RACE, a_list_is_read_before_the_record),
    (27, "a lost order is not looked up", LOST, a_lost_order_is_not_looked_up),
    (28, "a leased refund is taken over, with the next key", COPIES, a_leased_entry_is_taken),
    (29, "any capture answers every request", CAPTURES, any_capture_answers_every_request),
)
