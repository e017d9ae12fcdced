"""An update applies once, one of two wins, and a late one does not undo a newer one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from payment_service.errors import (
    BadRequest,
    Changed,
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    NoLongerOpen,
    NotFound,
    OrderReused,
    PaymentError,
    Refused,
)
from payment_service.gateways.outcome import Declined
from payment_service.payments.request.existing_order import OrderRequest
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

UPDATE = Match(method="POST", path="/v1/payment_intents/")


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def amount(bench: AfterBench) -> int:
    [made] = [each for each in bench.made() if each["status"] != "canceled"]
    return int(made["amount"])


def break_updates(bench: AfterBench, kind: str, **more: Any) -> None:
    bench.sandbox.faults.order(FaultOrder(kind, UPDATE, **more))


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except PaymentError as error:
        return error


def test_update_changes_the_orders_only_payment_intent(bench: AfterBench) -> None:
    first = bench.ask().intent.id
    updated = bench.update(1500, metadata={"cart": "2"}, description="Two shirts")
    assert (updated.intent.id, updated.intent.amount, updated.revision) == (first, 1500, 1)
    assert bench.made()[0]["metadata"] == {"cart": "2", "order_id": "A-1"}
    assert len(bench.made()) == 1


def test_update_leaves_metadata_room_for_the_orders_own_names(bench: AfterBench) -> None:
    """Stripe merges metadata: one more name would be the 51st."""
    bench.ask()
    names = {str(n): "x" for n in range(49)}
    bench.update(1500, metadata=names)
    assert len(bench.made()[0]["metadata"]) == 50
    with pytest.raises(ValueError, match="metadata: may have at most 49 names here"):
        bench.update(1500, metadata={**names, "more": "x"})


def test_creation_with_the_updated_amount_is_served(bench: AfterBench) -> None:
    first = bench.ask().intent.id
    bench.update(1500)
    assert bench.ask(amount=1500).intent.id == first
    with pytest.raises(OrderReused):
        bench.ask(amount=1099)


def test_repeated_update_is_not_sent(bench: AfterBench) -> None:
    bench.ask()
    bench.update(1500)
    sends = bench.sends("POST")
    again = bench.update(1500)
    assert (again.replayed, again.revision) == (True, 1)
    assert bench.sends("POST") == sends


def test_one_of_two_concurrent_updates_wins(bench: AfterBench) -> None:
    bench.ask()
    outcomes: list[Any] = []
    with bench.meanwhile(6, lambda: outcomes.append(outcome(lambda: bench.update(2000)))):
        outcomes.append(outcome(lambda: bench.update(1500)))
    refused = [each for each in outcomes if isinstance(each, Changed)]
    assert (len(outcomes), len(refused)) == (2, 1)
    assert (refused[0].code, amount(bench)) == ("changed", 1500)


def steps_of_an_update(*given: Callable[[AfterBench], object]) -> range:
    """Return the numbers of the steps of an update that nothing disturbs."""
    update = partial(AfterBench.update, amount=1500)
    return range(len(AfterBench.steps_of(update, AfterBench.ask, *given)))


@pytest.mark.parametrize("step", steps_of_an_update())
def test_two_updates_at_any_moments_end_as_one_of_them_says(bench: AfterBench, step: int) -> None:
    """Each expects an amount, so only one can apply, at any moment."""
    bench.ask()
    outcomes: list[Any] = []

    def rival() -> None:
        outcomes.append(outcome(lambda: bench.update(2000, expected_amount=1099)))

    with bench.meanwhile(step, rival):
        outcomes.append(outcome(lambda: bench.update(1500, expected_amount=1099)))
    won = [each.intent.amount for each in outcomes if not isinstance(each, PaymentError)]
    lost = [each for each in outcomes if isinstance(each, PaymentError)]
    assert won == [amount(bench)]
    assert [type(each) for each in lost] == [Changed]


def test_late_copy_of_an_old_update_does_not_undo_a_newer_one(bench: AfterBench) -> None:
    bench.ask()
    bench.update(1500)
    bench.update(2000)
    with pytest.raises(Changed) as raised:
        bench.update(1500)
    assert raised.value.facts == {"revision": 2, "amount": 2000}
    assert amount(bench) == 2000


def test_late_copy_is_detected_even_if_the_amount_returned(bench: AfterBench) -> None:
    """1099 → 1500 → 1099: the copy expects 1099, which is the current amount again."""
    bench.ask()
    bench.update(1500, expected_amount=1099)
    bench.update(1099, expected_amount=1500)
    with pytest.raises(Changed):
        bench.update(1500, expected_amount=1099)
    assert amount(bench) == 1099
    assert bench.update(1500, expected_revision=2).intent.amount == 1500


def test_copy_of_a_failed_update_does_not_undo_a_newer_one(bench: AfterBench) -> None:
    bench.ask()
    break_updates(bench, "error_500_without_object", should_retry=False)
    with pytest.raises(GatewayFailed):
        bench.update(1500)
    bench.update(2000)
    with pytest.raises(Changed):
        bench.update(1500)
    assert amount(bench) == 2000


def test_expectations_of_the_caller_must_hold(bench: AfterBench) -> None:
    bench.ask()
    with pytest.raises(Changed):
        bench.update(1500, expected_amount=1098)
    with pytest.raises(Changed):
        bench.update(1500, expected_revision=1)
    assert amount(bench) == 1099
    assert bench.update(1500, expected_amount=1099, expected_revision=0).revision == 1


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "cut_body", "html", "error_503"])
@pytest.mark.parametrize("count", [1, 3])
def test_next_request_resolves_a_lost_answer(bench: AfterBench, kind: str, count: int) -> None:
    bench.ask()
    break_updates(bench, kind, count=count)
    outcome(lambda: bench.update(1500))
    assert bench.update(1500).revision == 1
    assert amount(bench) == 1500


@pytest.mark.parametrize("kind", ["lost_before", "lost_after"])
def test_update_with_a_lost_answer_is_settled_before_the_next(bench: AfterBench, kind: str) -> None:
    """Otherwise its delayed send could undo the newer update."""
    bench.ask()
    break_updates(bench, kind, count=3)
    with pytest.raises(GatewayFailed):
        bench.update(1500)
    updated = bench.update(2000)
    assert (updated.revision, amount(bench)) == (2, 2000)
    used = [each["idempotency_key"] for each in bench.sandbox.log.shown() if "/pi_" in each["path"]]
    assert len({key for key in used if key}) == 2


def test_removed_metadata_name_is_seen_as_removed(bench: AfterBench) -> None:
    bench.ask()
    bench.update(1099, metadata={"note": "gift"})
    break_updates(bench, "error_500_with_object", count=1)
    assert bench.update(1099, metadata={"note": ""}).revision == 2
    assert "note" not in bench.made()[0]["metadata"]


def first_answer_lost(bench: AfterBench) -> None:
    break_updates(bench, "lost_after")


def nothing_lost(_: AfterBench) -> None:
    pass


@pytest.mark.parametrize(
    ("given", "step"),
    [
        (given, step)
        for given in (nothing_lost, first_answer_lost)
        for step in steps_of_an_update(given)
    ],
)
def test_answer_from_before_the_payment_does_not_undo_it(
    bench: AfterBench, given: Callable[[AfterBench], None], step: int
) -> None:
    intent_id = bench.ask().intent.id
    given(bench)

    def paid() -> None:
        bench.pay(intent_id)
        bench.apply_all()

    with bench.meanwhile(step, paid):
        outcome(lambda: bench.update(1500))
    assert bench.made()[0]["status"] == "succeeded"
    assert bench.record().payment_status == "succeeded"
    assert bench.orders.status(OrderRequest(order_id="A-1")).paid


@pytest.mark.parametrize("step", steps_of_an_update())
def test_answer_from_before_the_cancellation_is_not_applied(bench: AfterBench, step: int) -> None:
    bench.ask()
    with bench.meanwhile(step, bench.cancel):
        outcome(lambda: bench.update(1500))
    assert bench.record().payment_status == "canceled"


def test_old_update_is_not_resent(bench: AfterBench) -> None:
    """Stripe forgets its key after a day, and would execute a resend."""
    bench.ask()
    break_updates(bench, "lost_before", count=3)
    with pytest.raises(GatewayFailed):
        bench.update(1500)
    bench.now += 25 * 3600
    sends = bench.sends("POST")
    updated = bench.update(2000, expected_amount=1099)
    assert (updated.revision, bench.sends("POST") - sends) == (2, 1)


@pytest.mark.parametrize("kind", ["error_500_with_object", "error_500_without_object"])
@pytest.mark.parametrize("should_retry", [None, False])
def test_saved_500_does_not_block_the_order(
    bench: AfterBench, kind: str, should_retry: bool | None
) -> None:
    bench.ask()
    break_updates(bench, kind, should_retry=should_retry)
    outcome(lambda: bench.update(1500))
    assert bench.update(1500).intent.amount == 1500
    assert amount(bench) == 1500


@pytest.mark.parametrize("kind", ["error_500_with_object", "error_500_without_object"])
def test_failed_look_after_a_saved_500_does_not_block_updates(bench: AfterBench, kind: str) -> None:
    """No request owns the order: neither the same update nor another waits for the lock."""
    bench.ask()
    break_updates(bench, kind, should_retry=False)
    bench.sandbox.faults.order(FaultOrder("error_503", Match(method="GET"), skip=1, count=3))
    before = bench.now
    with pytest.raises(GatewayFailed):
        bench.update(1500)
    assert bench.update(2000).intent.amount == 2000
    assert bench.now - before < bench.context.timing.lock
    assert amount(bench) == 2000


def test_rejected_update_leaves_the_order_unchanged(bench: AfterBench) -> None:
    bench.ask()
    with pytest.raises(Refused) as raised:
        bench.update(10)
    assert raised.value.code == "amount_too_small"
    assert amount(bench) == 1099
    assert bench.update(1500).intent.amount == 1500


def test_updated_amount_must_fit_the_currency(bench: AfterBench) -> None:
    bench.ask(currency="jod", amount=1000)
    with pytest.raises(BadRequest) as raised:
        bench.update(1001)
    assert raised.value.param == "amount"


def test_paid_order_is_not_updated(bench: AfterBench) -> None:
    bench.pay(bench.ask().intent.id)
    with pytest.raises(NoLongerOpen) as raised:
        bench.update(1500)
    assert (raised.value.code, raised.value.facts) == (
        "payment_succeeded",
        {"status": "succeeded"},
    )


def test_order_paid_during_the_update_is_not_updated(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    with bench.meanwhile(5, lambda: bench.pay(intent_id)), pytest.raises(NoLongerOpen):
        bench.update(1500)
    assert amount(bench) == 1099


def test_canceled_order_is_not_updated(bench: AfterBench) -> None:
    bench.ask()
    bench.cancel()
    with pytest.raises(NoLongerOpen) as raised:
        bench.update(1500)
    assert raised.value.code == "payment_canceled"


def test_order_that_was_never_created_is_not_found(bench: AfterBench) -> None:
    with pytest.raises(NotFound):
        bench.update(1500)


def test_unknown_order_is_resolved_and_updated(bench: AfterBench) -> None:
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    assert bench.update(1500).intent.amount == 1500
    assert len(bench.made()) == 1


def test_update_of_an_order_in_flight_is_deferred(bench: AfterBench) -> None:
    outcomes: list[Any] = []
    with bench.meanwhile(3, lambda: outcomes.append(outcome(lambda: bench.update(1500)))):
        bench.ask()
    assert [type(each) for each in outcomes] == [InFlight]


def test_crash_at_any_step_keeps_the_update_consistent(bench: AfterBench) -> None:
    step, crashed = 0, True
    while crashed:
        order_id = f"C-{step}"
        bench.ask(order_id)
        crashed = bench.crashing(step, partial(bench.update, 1500, order_id))
        bench.now += 60
        assert bench.update(1500, order_id).intent.amount == 1500
        assert bench.update(2000, order_id).intent.amount == 2000
        assert isinstance(outcome(partial(bench.update, 1500, order_id)), Changed)
        step += 1
    assert step > 8


def test_rejected_resend_does_not_decide_the_first_send(
    bench: AfterBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe checks rate limits and validation before idempotency."""
    bench.ask()
    break_updates(bench, "lost_after", count=3)
    assert isinstance(outcome(lambda: bench.update(1500)), GatewayUnreachable)
    no = Declined(Refused("no"), replayed=False, after_unresolved=False)
    with monkeypatch.context() as patched:
        patched.setattr(bench.context.gateway, "update", lambda *_: no)
        again = bench.update(1500)
    assert (again.revision, again.replayed) == (1, True)
    assert (amount(bench), bench.record().follow_up.revision) == (1500, 1)


def test_concurrent_update_gets_the_last_known_amount(
    bench: AfterBench,
) -> None:
    bench.ask()
    bench.sandbox.faults.order(FaultOrder("lost_after", UPDATE, count=3))
    seen: list[Any] = []
    bench.on_sleep = lambda _: seen.append(outcome(lambda: bench.update(2000)))
    outcome(lambda: bench.update(1500))
    assert isinstance(seen[0], Changed)
    assert seen[0].facts == {"revision": 0, "amount": 1099}


def _by_an_event(bench: AfterBench) -> None:
    bench.fail(bench.record().payment_intent_id or "")
    bench.apply(bench.events()[-1])


def _by_a_creation(bench: AfterBench) -> None:
    with pytest.raises(OrderReused):
        bench.ask()


@pytest.mark.parametrize(
    "shown",
    [
        lambda bench: bench.orders.status(OrderRequest(order_id="A-1"), refresh=True),
        lambda bench: bench.reconcile(),
        _by_an_event,
        _by_a_creation,
    ],
)
def test_update_missing_from_the_record_is_learned(
    bench: AfterBench, shown: Callable[[AfterBench], object]
) -> None:
    first = bench.ask().intent.id
    before = bench.record()
    bench.update(1500)
    # A backup was restored.
    bench.records.forget(bench.record())
    bench.records.claim(before)
    shown(bench)
    assert bench.orders.status(OrderRequest(order_id="A-1")).amount == 1500
    assert bench.ask(amount=1500).intent.id == first
    with pytest.raises(OrderReused):
        bench.ask()
    assert bench.reconcile() == {"checked": 1}
