"""Conversion of Stripe's PaymentIntent object to the neutral Intent."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.gateways.intent import Failure
from payment_service.gateways.stripe.intents import read_intent, shows


def shown(**more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "client_secret": "pi_1_secret_x",
        "status": "requires_payment_method",
        "amount": 1099,
        "currency": "usd",
        "metadata": {"order_id": "A-1", "colour": "red"},
        **more,
    }


def test_intent_has_fields_for_money_and_mode() -> None:
    intent = read_intent(shown(amount_received=500, livemode=True))
    assert (intent.amount_received, intent.livemode) == (500, True)


@pytest.mark.parametrize("mode", [None, False, "true", 1])
def test_only_a_literal_true_means_live_mode(mode: object) -> None:
    assert not read_intent(shown(livemode=mode)).livemode


def test_failure_is_named_after_its_charge() -> None:
    error = {"charge": "ch_1", "code": "card_declined", "decline_code": "lost_card"}
    assert read_intent(shown(last_payment_error=error)).failure == Failure("ch_1", "lost_card")


def test_failure_without_a_charge_keeps_its_earlier_name() -> None:
    error = {"code": "expired_card", "type": "card_error"}
    failure = read_intent(shown(last_payment_error=error, latest_charge=None)).failure
    assert failure == Failure("55d0cdcea341163d603d32ca43e596bf", "expired_card")


@pytest.mark.parametrize("error", [None, {}, [], "text", ["text"]])
def test_error_that_is_not_an_object_is_no_failure(error: object) -> None:
    assert read_intent(shown(last_payment_error=error)).failure is None


@pytest.mark.parametrize(
    ("wanted", "arrived"),
    [
        ({"amount": 1099, "currency": "usd"}, True),
        ({"amount": 1099, "description": None}, True),
        ({"amount": 1100}, False),
        ({"description": "a hat"}, False),
        ({"metadata": {"colour": "red"}}, True),
        ({"metadata": {"colour": "blue"}}, False),
        ({"metadata": {"gone": ""}}, True),
        ({"metadata": {"colour": ""}}, False),
        ({"payment_method_types": ["card"]}, True),
    ],
)
def test_update_has_arrived_if_every_parameter_shows(
    wanted: dict[str, Any], *, arrived: bool
) -> None:
    assert shows(read_intent(shown()), wanted) is arrived
