"""An authorization is captured once, with one amount, whatever is lost or repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from payment_service.errors import (
    AlreadyCaptured,
    BadRequest,
    GatewayFailed,
    InFlight,
    NotAuthorized,
    NotFound,
    PaymentError,
    Refused,
)
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

HOUR = 3600.0
CAPTURE = Match(method="POST", path="/v1/payment_intents/pi_")


@pytest.fixture
def bench() -> AfterBench:
    bench = AfterBench()
    bench.authorized()
    return bench


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except PaymentError as error:
        return error


def received(bench: AfterBench) -> int:
    [made] = bench.made()
    return int(made["amount_received"])


STEPS = AfterBench.steps_of(lambda bench: bench.capture(700), AfterBench.authorized)


@pytest.mark.parametrize(("amount", "taken"), [(None, 1099), (1099, 1099), (700, 700)])
def test_capture_takes_its_amount_once(bench: AfterBench, amount: int | None, taken: int) -> None:
    first = bench.capture(amount)
    assert (first.intent.status, first.amount_captured, first.replayed) == (
        "succeeded",
        taken,
        False,
    )
    again = bench.capture(amount)
    assert (again.amount_captured, again.replayed, received(bench)) == (taken, True, taken)
    assert bench.record().follow_up.capture.state == "made"
    assert bench.record().payment_status == "succeeded"


def test_another_amount_afterwards_is_rejected_with_the_amount(bench: AfterBench) -> None:
    bench.capture(700)
    for amount in (None, 1099, 699):
        with pytest.raises(AlreadyCaptured) as raised:
            bench.capture(amount)
        assert raised.value.facts == {"amount": 700}


@pytest.mark.parametrize(("amount", "others"), [(None, (1099, 700)), (700, (1000, None))])
def test_bank_may_authorize_less_than_the_amount(
    bench: AfterBench, amount: int | None, others: tuple[int | None, ...]
) -> None:
    bench.made()[0]["amount_capturable"] = 1000
    taken = amount or 1000
    assert [bench.capture(amount).replayed for _ in range(2)] == [False, True]
    assert bench.capture(taken).amount_captured == received(bench) == taken
    for other in others:
        with pytest.raises(AlreadyCaptured) as raised:
            bench.capture(other)
        assert raised.value.facts == {"amount": taken}


def test_capture_in_the_dashboard_counts(bench: AfterBench) -> None:
    intent_id = bench.payable()[0]
    bench.send(f"/v1/payment_intents/{intent_id}/capture", {"amount_to_capture": 700})
    assert bench.capture(700).replayed
    with pytest.raises(AlreadyCaptured):
        bench.capture()


def test_captured_order_tells_the_shop_once(bench: AfterBench) -> None:
    bench.capture(700)
    bench.apply_all()
    while bench.deliver():
        pass
    assert bench.shop.types() == ["order.authorized", "order.paid"]
    assert bench.shop.bodies[1]["data"]["object"]["amount_received"] == 700


def test_more_than_is_authorized_is_not_sent(bench: AfterBench) -> None:
    with pytest.raises(BadRequest) as raised:
        bench.capture(1100)
    assert (raised.value.code, received(bench)) == ("amount_too_large", 0)


def test_order_that_is_not_authorized_is_not_captured() -> None:
    bench = AfterBench()
    with pytest.raises(NotFound):
        bench.capture()
    bench.ask()
    with pytest.raises(NotAuthorized) as raised:
        bench.capture()
    assert raised.value.facts == {"status": "requires_payment_method"}


def test_lapsed_authorization_is_canceled_and_may_be_asked_again(bench: AfterBench) -> None:
    bench.now += 8 * 24 * HOUR
    bench.sandbox.settle()
    with pytest.raises(NotAuthorized) as raised:
        bench.capture()
    assert raised.value.facts == {"status": "canceled"}
    assert bench.record().payment_status == "canceled"
    second = bench.authorized()
    assert bench.capture(700).intent.id == second


@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize(
    "kind",
    [
        "lost_before",
        "lost_after",
        "cut_body",
        "html",
        "error_503",
        "rate_limited",
        "error_500_with_object",
        "error_500_without_object",
        "late_object",
        "forbidden",
    ],
)
def test_failed_capture_happens_once_after_all(bench: AfterBench, kind: str, hours: int) -> None:
    bench.sandbox.faults.order(FaultOrder(kind, CAPTURE, count=None, seconds=30))
    outcome(lambda: bench.capture(700))
    bench.sandbox.faults.clear()
    bench.now += hours * HOUR
    assert bench.capture(700).amount_captured == received(bench) == 700
    bench.now += 25 * HOUR
    assert bench.capture(700).replayed


def test_unrecorded_capture_is_confirmed_with_its_own_amount_only(
    bench: AfterBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request took over a capture of 700 and made it, and then its last write failed."""
    bench.sandbox.faults.order(FaultOrder("lost_before", CAPTURE, count=None))
    outcome(lambda: bench.capture(700))
    bench.sandbox.faults.clear()
    replace = bench.store.replace

    def replace_until_captured(current: KeyRecord, new: KeyRecord) -> bool:
        if received(bench):
            raise StoreUnavailable
        return replace(current, new)

    monkeypatch.setattr(bench.store, "replace", replace_until_captured)
    with pytest.raises(AlreadyCaptured) as raised:
        bench.capture(1099)
    assert raised.value.facts["amount"] == received(bench) == 700


def test_saved_500_without_the_replay_header_spends_the_key(
    bench: AfterBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each request would get the same saved answer until the key is 23 hours old."""
    handle = bench.sandbox.handle

    def unmarked(*given: Any) -> Any:
        answer = handle(*given)
        answer.headers.pop("Idempotent-Replayed", None)
        return answer

    monkeypatch.setattr(bench.sandbox, "handle", unmarked)
    bench.sandbox.faults.order(FaultOrder("error_500_without_object", CAPTURE))
    for _ in range(2):
        outcome(lambda: bench.capture(700))
    assert bench.capture(700).intent.status == "succeeded"
    assert received(bench) == 700


def test_unknown_capture_keeps_its_amount(bench: AfterBench) -> None:
    """The first amount may have been captured, so a second one must not follow it."""
    bench.sandbox.faults.order(FaultOrder("lost_before", CAPTURE, count=None))
    outcome(lambda: bench.capture(700))
    bench.sandbox.faults.clear()
    with pytest.raises(AlreadyCaptured) as raised:
        bench.capture(500)
    assert raised.value.facts == {"amount": 700}


def test_rejected_capture_frees_the_choice_of_the_amount(bench: AfterBench) -> None:
    bench.sandbox.faults.order(FaultOrder("unauthorized", CAPTURE))
    assert isinstance(outcome(lambda: bench.capture(700)), PaymentError)
    assert bench.capture(700).amount_captured == 700


def test_lost_record_adopts_the_capture(bench: AfterBench) -> None:
    bench.capture(700)
    bench.lose()
    bench.now += 30 * 24 * HOUR
    assert bench.capture(700).replayed


@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_crash_at_any_step_captures_once(bench: AfterBench, step: int, hours: int) -> None:
    bench.crash(step, lambda: bench.capture(700))
    bench.now += 60 + hours * HOUR
    again = outcome(lambda: bench.capture(500))
    assert isinstance(again, AlreadyCaptured) or again.amount_captured == 500
    assert received(bench) in (500, 700)


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_of_two_amounts_one_is_captured(bench: AfterBench, step: int) -> None:
    outcomes: list[Any] = []
    with bench.meanwhile(step, lambda: outcomes.append(outcome(lambda: bench.capture(500)))):
        outcomes.append(outcome(lambda: bench.capture(700)))
    won = {each.amount_captured for each in outcomes if not isinstance(each, PaymentError)}
    lost = [each for each in outcomes if isinstance(each, PaymentError)]
    assert won <= {received(bench)} <= {500, 700}
    assert {type(each) for each in lost} <= {AlreadyCaptured, InFlight, GatewayFailed}
    assert lost
    bench.now += 60
    assert bench.capture(received(bench)).replayed


def test_refund_of_a_partial_capture_never_exceeds_it(bench: AfterBench) -> None:
    bench.capture(700)
    with pytest.raises(BadRequest):
        bench.refund("R-1", 701)
    assert bench.refund("R-1").amount == 700


def test_rejection_by_stripe_is_shown(bench: AfterBench) -> None:
    """The authorization lapses between our look and our send."""
    send = len(STEPS) - 1 - STEPS[::-1].index("send")
    intent_id = bench.payable()[0]
    with bench.meanwhile(send, lambda: bench.act(intent_id, "cancel")):
        refused = outcome(lambda: bench.capture(700))
    assert isinstance(refused, NotAuthorized | Refused)
    assert received(bench) == 0
