"""Captures and refunds at Stripe: the requests, and the answers that are not theirs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import BadRequest, GatewayFailed, PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Declined, Refunded, Unclear
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from sandbox.answers import Response, encode
from sandbox.core import Sandbox
from sandbox.faults import FaultOrder, Match
from tests.conformance.gateways.benches import StripeBench
from tests.support.sandbox_transport import SandboxTransport

METADATA = {"order_id": "A-1", "refund_id": "R-1"}


@pytest.fixture
def bench() -> StripeBench:
    return StripeBench()


def last_request(bench: StripeBench) -> dict[str, Any]:
    return bench.flow.sandbox.log.shown()[-1]


def test_a_refund_is_sent_with_its_payment_and_key(bench: StripeBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id, amount=500, reason="duplicate")
    sent = last_request(bench)
    assert (sent["method"], sent["path"], sent["idempotency_key"]) == (
        "POST",
        "/v1/refunds",
        "refund-1",
    )
    assert sent["params"] == {
        "payment_intent": paid.id,
        "amount": "500",
        "reason": "duplicate",
        "metadata": METADATA,
    }


@pytest.mark.parametrize(
    ("version", "amount", "is_accepted"),
    [
        ("2024-06-20", 1099, True),
        ("2024-06-20", 700, False),
        ("2025-02-24.acacia", 700, False),
        ("2025-03-31.basil", 700, True),
        (None, 700, True),
    ],
)
def test_version_that_refunds_the_rest_takes_no_partial_capture(
    version: str | None, amount: int, is_accepted: bool
) -> None:
    gateway = StripeGateway(
        "sk_test_x", SandboxTransport(Sandbox(lambda: 0.0)), api_version=version
    )
    if is_accepted:
        assert gateway.params_of_capture(amount, 1099).params == {"amount": amount}
        return
    with pytest.raises(BadRequest) as raised:
        gateway.params_of_capture(amount, 1099)
    assert (raised.value.param, raised.value.code) == ("amount_to_capture", "invalid_parameter")


@pytest.mark.parametrize(
    ("params", "sent"), [({}, {}), ({"amount": 500}, {"amount_to_capture": "500"})]
)
def test_a_capture_is_sent_in_stripes_words(
    bench: StripeBench, params: dict[str, Any], sent: dict[str, str]
) -> None:
    held = bench.authorized()
    bench.capture(held.id, **params)
    request = last_request(bench)
    assert request["path"] == f"/v1/payment_intents/{held.id}/capture"
    assert request["params"] == sent


def refuse_later(bench: StripeBench, kind: str, **more: Any) -> None:
    match = Match(method="POST", path="/v1/refunds$")
    bench.flow.sandbox.faults.order(FaultOrder(kind, match, **more))


@pytest.mark.parametrize("kind", ["error_503", "rate_limited", "key_in_use", "lock_timeout"])
def test_a_refund_is_retried_under_its_key(bench: StripeBench, kind: str) -> None:
    paid = bench.paid()
    refuse_later(bench, kind)
    assert isinstance(bench.refund(paid.id), Refunded)
    assert len(bench.refunds(paid.id)) == 1


@pytest.mark.parametrize("kind", ["html", "empty_object"])
@pytest.mark.parametrize("executes", [True, False])
def test_an_answer_without_a_refund_is_not_taken_for_one(
    bench: StripeBench, kind: str, executes: bool
) -> None:
    paid = bench.paid()
    refuse_later(bench, kind, executes=executes)
    made = bench.refunded(paid.id)
    assert made.replayed is executes
    assert len(bench.refunds(paid.id)) == 1


def mix_up(bench: StripeBench, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    """Give every answer from now on the fields of an answer to another request."""
    handle = bench.flow.sandbox.handle

    def handle_another(*request: Any) -> Response:
        answer = handle(*request)
        found = answer.json()
        if "data" in found:
            found["data"] = [{**each, **changes} for each in found["data"]]
        else:
            found |= changes
        return dataclasses.replace(answer, body=encode(found))

    monkeypatch.setattr(bench.flow.sandbox, "handle", handle_another)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 499},
        {"payment_intent": "pi_another"},
        {"metadata": {**METADATA, "refund_id": "R-2"}},
    ],
)
def test_the_answer_to_another_refund_is_unclear(
    bench: StripeBench, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    paid = bench.paid()
    mix_up(bench, monkeypatch, changes)
    assert isinstance(bench.refund(paid.id, amount=500), Unclear)


def test_the_answer_to_another_capture_is_unclear(
    bench: StripeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = bench.authorized()
    mix_up(bench, monkeypatch, {"id": "pi_another"})
    assert isinstance(bench.capture(held.id), Unclear)


def test_a_list_of_another_payment_is_an_error(
    bench: StripeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = bench.paid()
    bench.refunded(paid.id)
    bench.dispute(paid.id)
    mix_up(bench, monkeypatch, {"payment_intent": "pi_another"})
    for read in (
        lambda: bench.refunds(paid.id),
        lambda: bench.gateway.list_disputes(paid.id, bench.soon()),
        lambda: bench.gateway.charge(paid, bench.soon()),
    ):
        with pytest.raises(PaymentError):
            read()


@pytest.mark.parametrize("status", [400, 404])
def test_a_rejected_look_is_stripes_failure(
    bench: StripeBench, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    paid = bench.paid()
    error = {"error": {"message": "No such object.", "type": "invalid_request_error"}}
    answer = Response(status, {}, encode(error))
    monkeypatch.setattr(bench.flow.sandbox, "handle", lambda *_: answer)
    for read in (
        lambda: bench.refunds(paid.id),
        lambda: bench.gateway.list_disputes(paid.id, bench.soon()),
        lambda: bench.gateway.charge(paid, bench.soon()),
    ):
        with pytest.raises(GatewayFailed):
            read()


def test_a_saved_500_with_the_refund_is_unclear_and_in_the_list(bench: StripeBench) -> None:
    paid = bench.paid()
    refuse_later(bench, "error_500_with_object")
    outcome = bench.refund(paid.id, amount=500)
    assert isinstance(outcome, Unclear)
    assert outcome.saved_5xx
    (found,) = bench.refunds(paid.id)
    assert found.metadata == METADATA


def test_a_rejection_after_a_lost_send_says_so(bench: StripeBench) -> None:
    paid = bench.paid()
    refuse_later(bench, "lost_before", count=2)
    bench.refund_outside(paid.id, 1000)
    outcome = bench.refund(paid.id, amount=500)
    assert isinstance(outcome, Declined)
    assert outcome.after_unresolved


def test_no_refund_is_sent_after_the_machine_was_suspended(bench: StripeBench) -> None:
    paid = bench.paid()
    refuse_later(bench, "lost_after")
    clock = [0.0]

    def suspend(_: float) -> None:
        bench.flow.now += 86_400

    bench.flow.on_sleep = suspend
    deadline = Deadline.after(30, lambda: clock[0])
    sent = SentParams(bench.gateway.api_version, {"amount": 500})
    outcome = bench.gateway.refund(paid.id, sent, "key", deadline)
    assert isinstance(outcome, Unclear)
    assert len(bench.refunds(paid.id)) == 1


def test_an_oddly_named_charge_is_not_asked_for(bench: StripeBench) -> None:
    paid = bench.paid()
    odd = {**paid.raw, "latest_charge": "../customers/cus_1"}
    before = len(bench.flow.sandbox.log.entries)
    with pytest.raises(PaymentError):
        bench.gateway.charge(replace(paid, raw=odd), bench.soon())
    assert len(bench.flow.sandbox.log.entries) == before
