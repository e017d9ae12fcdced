"""Stripe's SDK with the sandbox: objects parse, and errors have the right class."""

from __future__ import annotations

from contextlib import suppress

import pytest
import stripe

from tests.support.sandbox_process import SECRET_KEY, SandboxProcess


@pytest.fixture
def client(sandbox: SandboxProcess) -> stripe.StripeClient:
    return stripe.StripeClient(
        SECRET_KEY, base_addresses={"api": sandbox.url}, max_network_retries=0
    )


def create(client: stripe.StripeClient, key: str = "key-1") -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {"amount": 1099, "currency": "usd", "metadata": {"order_id": "A-1"}},
        {"idempotency_key": key},
    )


def test_the_sdk_parses_a_payment_intent(client: stripe.StripeClient) -> None:
    intent = create(client)
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.amount, intent.currency, intent.status) == (
        1099,
        "usd",
        "requires_payment_method",
    )
    assert intent.metadata["order_id"] == "A-1"
    assert client.v1.payment_intents.retrieve(intent.id).client_secret == intent.client_secret


def test_the_calls_of_the_service_are_supported(
    client: stripe.StripeClient, sandbox: SandboxProcess
) -> None:
    sandbox.rules(search_lag_seconds=0)
    intents, intent = client.v1.payment_intents, create(client)
    assert intents.update(intent.id, {"amount": 2000}).amount == 2000
    paid = intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.example"}
    )
    assert paid.status == "succeeded"
    other = create(client, "key-2")
    assert intents.cancel(other.id, {"cancellation_reason": "duplicate"}).status == "canceled"
    window = intents.list({"created": {"gte": intent.created}, "limit": 1})
    assert [each.id for each in window.auto_paging_iter()] == [other.id, intent.id]
    found = intents.search({"query": "metadata['order_id']:'A-1'", "limit": 1})
    assert {each.id for each in found.auto_paging_iter()} == {other.id, intent.id}
    events = client.v1.events.list({"type": "payment_intent.succeeded"})
    assert [event.data.object["id"] for event in events.data] == [intent.id]


def test_captures_and_refunds_are_supported(client: stripe.StripeClient) -> None:
    params = {
        "amount": 1099,
        "currency": "usd",
        "capture_method": "manual",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "return_url": "https://shop.example",
        "expand": ["latest_charge"],
    }
    held = client.v1.payment_intents.create(params)  # type: ignore[arg-type]
    assert isinstance(held.latest_charge, stripe.Charge)
    assert held.latest_charge.payment_method_details.card.capture_before  # type: ignore[union-attr]
    captured = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1000})
    assert (captured.status, captured.amount_received) == ("succeeded", 1000)
    made = [
        client.v1.refunds.create({"payment_intent": held.id, "amount": amount}).id
        for amount in (100, 200)
    ]
    listed = client.v1.refunds.list({"payment_intent": held.id, "limit": 1})
    assert [each.id for each in listed.auto_paging_iter()] == made[::-1]
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": held.id, "amount": 701})
    assert client.v1.charges.retrieve(held.latest_charge.id).amount_refunded == 300
    assert client.v1.disputes.list({"payment_intent": held.id}).data == []


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [
        ("rate_limited", stripe.RateLimitError, 429),
        ("key_in_use", stripe.APIError, 409),
        ("error_500_with_object", stripe.APIError, 500),
        ("error_503", stripe.APIError, 503),
        ("unauthorized", stripe.AuthenticationError, 401),
        ("forbidden", stripe.PermissionError, 403),
        ("html", stripe.APIError, 200),
        ("request_timeout_408", stripe.APIError, 408),
        ("misdirected_421", stripe.APIError, 421),
        ("too_early_425", stripe.APIError, 425),
        ("lost_after", stripe.APIConnectionError, None),
        ("cut_body", stripe.APIConnectionError, None),
    ],
)
def test_a_fault_raises_the_matching_error(
    client: stripe.StripeClient,
    sandbox: SandboxProcess,
    kind: str,
    error: type[stripe.StripeError],
    status: int | None,
) -> None:
    sandbox.faults([{"kind": kind}])
    with pytest.raises(error) as raised:
        create(client)
    assert raised.value.http_status == status


def test_the_empty_object_has_no_id(client: stripe.StripeClient, sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "empty_object"}])
    assert "id" not in create(client)


@pytest.mark.parametrize("kind", ["lost_after", "cut_body", "error_500_with_object"])
def test_a_refund_whose_answer_is_lost_is_made_once(
    client: stripe.StripeClient, sandbox: SandboxProcess, kind: str
) -> None:
    intent = create(client)
    sandbox.pay(intent.id)
    sandbox.faults([{"kind": kind, "match": {"method": "POST", "path": "/v1/refunds$"}}])
    params, options = {"payment_intent": intent.id, "amount": 99}, {"idempotency_key": "refund-1"}
    for _ in range(2):
        with suppress(stripe.APIConnectionError, stripe.APIError):
            client.v1.refunds.create(params, options)  # type: ignore[arg-type]
    assert [each["amount"] for each in sandbox.state().order("A-1").refunds] == [99]
    assert sandbox.state().raw["refunds"] == 1


def test_a_reused_key_is_an_idempotency_error(client: stripe.StripeClient) -> None:
    create(client)
    with pytest.raises(stripe.IdempotencyError):
        client.v1.payment_intents.create(
            {"amount": 1100, "currency": "usd"}, {"idempotency_key": "key-1"}
        )


def test_a_decline_is_a_card_error(client: stripe.StripeClient) -> None:
    params = {"payment_method": "pm_card_chargeDeclined", "return_url": "https://shop.example"}
    with pytest.raises(stripe.CardError) as raised:
        client.v1.payment_intents.confirm(create(client).id, params)  # type: ignore[arg-type]
    assert raised.value.code == "card_declined"
    assert raised.value.error
    assert raised.value.error.decline_code == "generic_decline"


def test_an_error_names_the_invalid_parameter(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.payment_intents.create({"amount": 1099, "currency": "xyz"})
    assert raised.value.param == "currency"
    assert raised.value.request_id
