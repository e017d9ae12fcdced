"""The rules of two gateways, broken one by one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.gateways.intent import SUCCEEDED
from payment_service.gateways.paypal import params
from payment_service.gateways.paypal.names import invoice_id
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord
from payment_service.payments.changes import webhook
from payment_service.payments.creation import create, resolve, switching
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.creation.resolve import _close
from payment_service.payments.gated import cancel, elsewhere
from payment_service.payments.gated.capture import Capturing
from payment_service.payments.gated.elsewhere import Elsewhere
from payment_service.payments.record import gated_transitions, transitions, witness
from payment_service.payments.record.gated_transitions import Act
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.recovery.witnesses import _Witnessing

Patched = AbstractContextManager[Any]


class SwitchesLater:
    """A store that writes the switch to another gateway together with its result."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.before: KeyRecord | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        """Keep a switch in the process, and write what follows it over what was before."""
        if _gateway(current) != _gateway(new):
            self.before = current
            return True
        if self.before is not None:
            current, self.before = self.before, None
            new = replace(new, version=current.version + 1)
        kept: bool = self.inner.replace(current, new)
        return kept


def _gateway(record: KeyRecord) -> str:
    return str(json.loads(record.params).get("gateway", "stripe"))


def answers_unrecorded() -> Patched:
    real = OwnedRecord.answer_unrecorded

    def answer(self: Any, intent: Any) -> Any:
        self._context = replace(self._context, several_gateways=False)
        return real(self, intent)

    return patch.object(OwnedRecord, "answer_unrecorded", answer)


def passes_over_what_was_given_out() -> Patched:
    real = create._Creation._serve

    def serve(self: Any, record: Any) -> Any:
        try:
            return real(self, record)
        except PaymentError:
            there = self._second_place(record)
            if there is None:
                raise
            lease = self._context.lease()
            mine = switching.next_attempt(self._context, record, there, lease, "silent")
            return self._claims.take(record, mine)

    return patch.object(create._Creation, "_serve", serve)


def captures_without_a_claim() -> Patched:
    def claim(self: Any, record: Any, change: Any) -> Any:
        now = self._context.clock()
        return change(record, now, now + self._deadline.left())

    return patch.object(Capturing, "_claim", claim)


def captures_after_a_lost_race() -> Patched:
    real = Capturing._claim

    def claim(self: Any, record: Any, change: Any) -> Any:
        try:
            return real(self, record, change)
        except RecordChanged:
            now = self._context.clock()
            return change(record, now, now + self._deadline.left())

    return patch.object(Capturing, "_claim", claim)


def cancels_what_is_claimed() -> Patched:
    real = cancel._check_open

    def check(record: Any, now: float) -> None:
        if record.payment_status == SUCCEEDED:
            real(record, now)

    return patch.object(cancel, "_check_open", check)


def cancels_without_asking() -> Patched:
    return patch.object(cancel, "_asked", lambda _, record, __: record)


def asks_nowhere_else() -> Patched:
    return patch.object(Elsewhere, "taken_payment", lambda _: None)


def captures_at_once() -> Patched:
    return patch.object(Elsewhere, "_waits", lambda _: False)


def takes_a_refusal_for_the_end() -> Patched:
    return patch.object(gated_transitions, "may_arrive", lambda *_: False)


def leaves_without_asking() -> Patched:
    stack = ExitStack()
    leave = patch.object(create._Creation, "_begin_to_leave", create._Creation._begin_next)
    stack.enter_context(leave)
    close = patch.object(
        resolve, "_resolve_gated", lambda context, record, _: _close(context, record)
    )
    stack.enter_context(close)
    return stack


def captures_beside_what_is_left() -> Patched:
    real = Elsewhere._end_all

    def end_all(self: Any, gateway: Any, found: Any, deadline: Any) -> Any:
        taken, left = real(self, gateway, found, deadline)
        return ([], []) if left else (taken, left)

    return patch.object(Elsewhere, "_end_all", end_all)


def takes_another_404_for_its_own() -> Patched:
    """Stripe, asked for a PayPal order, does not know it."""
    real = gated_transitions.after_reading

    def after(record: Any, found: Any, now: float, *, capture: bool) -> Act:
        is_claimed = gated_transitions.is_claimed(record)
        return Act.LAPSED if is_claimed else real(record, found, now, capture=capture)

    return patch.object(gated_transitions, "after_reading", after)


def adopts_what_is_ending() -> Patched:
    return patch.object(transitions, "is_ending", lambda *_: False)


def forgets_leftovers() -> Patched:
    return patch.object(transitions, "_with_leftover", lambda record, *_: record)


def names_each_request_otherwise() -> Patched:
    count = itertools.count()
    return patch.object(params, "invoice_id", lambda order: f"{invoice_id(order)}-{next(count)}")


def stripes_event_takes_the_order() -> Patched:
    def apply(context: Any, event: Any, record: Any, deadline: Any) -> str:
        stray = webhook._fetch(context.gateway, event, deadline)
        if stray is not None and record.state != "pending":
            sent = SentParams(record.sent.api_version, {"amount": 1099, "currency": "usd"})
            after = gated_transitions.adopted_elsewhere(record, stray, sent, context.clock())
            context.records.write(record, after)
        return "adopted"

    return patch.object(webhook, "_apply_elsewhere", apply)


def reads_no_mark() -> Patched:
    return patch.object(witness, "named_by", lambda *_: None)


def uses_no_key_up() -> Patched:
    return patch.object(_Witnessing, "_used_up", lambda *_, **__: True)


def asks_for_no_mark_before_a_capture() -> Patched:
    return patch.object(elsewhere, "find_moved", lambda *_: None)


NEW, SILENT = ("two gateways: new order",), ("two gateways: new order, Stripe silent",)
WORKS_ON = ("two gateways: new order, Stripe works on in silence",)
GIVEN_OUT = ("two gateways: given out, then Stripe silent",)
APPROVED, CANCELED = ("two gateways: approved",), ("two gateways: approved, and canceled",)
FORGOTTEN = ("two gateways: given out forgotten, approved",)
FORGOTTEN_SILENT = ("two gateways: given out forgotten, approved, silent",)
LOST_CAPTURE = ("two gateways: capture forgotten, and canceled",)
ON_ITS_WAY = ("two gateways: capture on its way",)
SWITCH_LOST = ("two gateways: switch forgotten, and walked",)
CLAIMED = ("two gateways: claimed, captured",)
EXPIRED = ("two gateways: expired at PayPal, and looked at",)
LOST, LOST_UNMADE = (
    ("two gateways: witness made, record lost",),
    ("two gateways: witness made, record lost, no leftover",),
)
EVENT = ("two gateways: approved, and Stripe's event",)

# The rule, what breaks it, the scenarios where that can show, and the patch.
GATED_MUTANTS: tuple[tuple[int, str, tuple[str, ...], Callable[[], Patched]], ...] = (
    (13, "a 404 of one gateway counts as the other's", CLAIMED, takes_another_404_for_its_own),
    (13, "an event of Stripe's takes an order at PayPal", EVENT, stripes_event_takes_the_order),
    (14, "rule 9 holds with a second gateway, too", NEW, answers_unrecorded),
    (14, "a pending attempt is left without a question", SWITCH_LOST, leaves_without_asking),
    (15, "what was given out is passed over", GIVEN_OUT, passes_over_what_was_given_out),
    (17, "a leftover is adopted while it is ending", EXPIRED, adopts_what_is_ending),
    (17, "a leftover is not looked for", WORKS_ON, forgets_leftovers),
    (18, "a capture is sent without a claim", APPROVED, captures_without_a_claim),
    (18, "a capture goes on after a lost race", CANCELED, captures_after_a_lost_race),
    (18, "a cancellation does not see the claim", CANCELED, cancels_what_is_claimed),
    (18, "a cancellation does not ask PayPal", LOST_CAPTURE, cancels_without_asking),
    (18, "a refusal ends what may still be captured", ON_ITS_WAY, takes_a_refusal_for_the_end),
    (19, "a capture asks no other gateway first", FORGOTTEN, asks_nowhere_else),
    (19, "a capture does not wait for Stripe", FORGOTTEN_SILENT, captures_at_once),
    (
        19,
        "a capture ignores what could not be canceled",
        FORGOTTEN,
        captures_beside_what_is_left,
    ),
    (21, "each request gives the order another name", SILENT, names_each_request_otherwise),
    (22, "a mark at Stripe is not read", LOST, reads_no_mark),
    (22, "the order's first key at Stripe is not used up", LOST_UNMADE, uses_no_key_up),
    (22, "a capture looks for no mark first", LOST, asks_for_no_mark_before_a_capture),
)

# The same, with a store that breaks the rule.
SWITCHES_LATER = (13, "the record names the gateway after the send", SILENT, SwitchesLater)
