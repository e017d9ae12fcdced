"""A record names its gateway, and every request about the record goes there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import GatewayUnreachable, Misconfigured
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.facts import STRIPE
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.payments.changes.orders import Orders
from payment_service.payments.creation.resolve import resolve
from payment_service.payments.record import transitions
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.reconcile import Reconciler
from payment_service.payments.request.existing_order import (
    CancelRequest,
    OrderRequest,
    UpdateRequest,
)
from sandbox.core import Sandbox
from sandbox.faults import FaultOrder
from tests.support.after_bench import AfterBench
from tests.support.flow_bench import BUDGET_SECONDS, CREATE
from tests.support.sandbox_transport import SandboxTransport

OTHER = replace(STRIPE, name="other")
PARAMS = {"amount": 1099, "currency": "usd", "metadata": {"order_id": "A-1"}}
DAY = 86_400.0


class OtherGateway(StripeGateway):
    """A second provider, with the same API as Stripe."""

    @property
    def facts(self) -> GatewayFacts:
        return OTHER


class TwoGateways(AfterBench):
    """`sandbox` is Stripe's; `elsewhere` is the other provider's. New orders go to Stripe."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere = Sandbox(lambda: self.now, seed=2)
        self.other = OtherGateway(
            "sk_test_shop",
            SandboxTransport(self.elsewhere),
            policy=RetryPolicy(sleep=self.sleep),
            clock=lambda: self.now,
        )
        self.know({"other": self.other})

    def know(self, others: dict[str, Any]) -> None:
        self.context = replace(self.context, other_gateways=others)
        self.orders = Orders(self.context, livemode=False, budget_seconds=BUDGET_SECONDS)

    def wanted_elsewhere(self) -> Any:
        sent = SentParams(self.other.api_version, PARAMS, gateway="other")
        return replace(self.wanted(), sent=sent)

    def create_elsewhere(self) -> str:
        """Create the order at the other provider, like a request that prefers it."""
        return self.ask_within(BUDGET_SECONDS, self.wanted_elsewhere()).intent.id

    def leave_unknown_elsewhere(self) -> None:
        """Execute the creation at the other provider, and lose its answer."""
        self.elsewhere.faults.order(FaultOrder("lost_after", CREATE, count=None))
        with pytest.raises(GatewayUnreachable):
            self.create_elsewhere()
        self.elsewhere.faults.clear()

    def statuses_elsewhere(self) -> list[str]:
        books = self.elsewhere.books.values()
        return [each.intent["status"] for b in books for each in b.ledger.records.values()]

    def sends_to_stripe(self) -> int:
        return sum(self.sandbox.log.shown_counts().values())

    def all_sends(self) -> int:
        return self.sends_to_stripe() + sum(self.elsewhere.log.shown_counts().values())


@pytest.fixture
def bench() -> TwoGateways:
    return TwoGateways()


# The stored text.


def test_text_of_stripes_parameters_is_unchanged() -> None:
    text = SentParams("2026-10-28.endive", {"amount": 1, "description": "Hüte"}).text()
    assert text == '{"api_version":"2026-10-28.endive","params":{"amount":1,"description":"Hüte"}}'


def test_text_without_a_gateway_means_stripe() -> None:
    assert SentParams.parse('{"api_version":"v","params":{}}') == SentParams("v", {}, "stripe")


def test_text_names_any_other_gateway() -> None:
    sent = SentParams("v", {"amount": 1}, gateway="other")
    assert SentParams.parse(sent.text()) == sent


# A record of the second gateway.


def test_repeated_request_uses_the_records_gateway(bench: TwoGateways) -> None:
    made = bench.create_elsewhere()
    again = bench.ask()
    assert (again.intent.id, again.replayed) == (made, True)
    assert bench.made() == []
    assert bench.sends_to_stripe() == 0


def test_unknown_attempt_is_resent_to_its_own_gateway(bench: TwoGateways) -> None:
    bench.leave_unknown_elsewhere()
    bench.ask()
    assert len(bench.statuses_elsewhere()) == 1
    assert bench.made() == []


@pytest.mark.parametrize("seconds", [0.0, 2 * DAY])
def test_unknown_order_is_resolved_at_its_own_gateway(bench: TwoGateways, seconds: float) -> None:
    bench.leave_unknown_elsewhere()
    bench.now += seconds
    record = resolve(
        bench.context, bench.record(), Deadline.after(BUDGET_SECONDS, lambda: bench.now)
    )
    assert record is not None
    assert record.state == "created"
    assert bench.sends_to_stripe() == 0


def test_changes_go_to_the_records_gateway(bench: TwoGateways) -> None:
    made = bench.create_elsewhere()
    bench.orders.status(OrderRequest(order_id="A-1"), refresh=True)
    updated = bench.orders.update(UpdateRequest(order_id="A-1", amount=2000))
    assert (updated.intent.id, updated.intent.amount) == (made, 2000)
    bench.orders.cancel(CancelRequest(order_id="A-1"))
    assert bench.statuses_elsewhere() == ["canceled"]
    assert bench.sends_to_stripe() == 0


# A record of a gateway that this service does not know.


def ask(bench: TwoGateways) -> object:
    return bench.ask()


def refresh(bench: TwoGateways) -> object:
    return bench.orders.status(OrderRequest(order_id="A-1"), refresh=True)


def update(bench: TwoGateways) -> object:
    return bench.orders.update(UpdateRequest(order_id="A-1", amount=2000))


def cancel(bench: TwoGateways) -> object:
    return bench.orders.cancel(CancelRequest(order_id="A-1"))


def webhook(bench: TwoGateways) -> object:
    kind, subject = "payment_intent.succeeded", {"id": "pi_1", "metadata": PARAMS["metadata"]}
    return bench.apply({"id": "evt_1", "type": kind, "data": {"object": subject}})


EVERY_WAY = [ask, refresh, update, cancel, webhook]


@pytest.mark.parametrize("way", EVERY_WAY)
def test_recorded_payment_of_an_unknown_gateway_sends_nothing(
    bench: TwoGateways, way: Callable[[TwoGateways], object]
) -> None:
    bench.create_elsewhere()
    bench.know({})
    sends, record = bench.all_sends(), bench.record()
    with pytest.raises(Misconfigured):
        way(bench)
    assert (bench.all_sends(), bench.record()) == (sends, record)


@pytest.mark.parametrize("way", [ask, update, cancel, webhook])
@pytest.mark.parametrize("seconds", [0.0, 2 * DAY])
def test_unknown_attempt_of_an_unknown_gateway_sends_nothing(
    bench: TwoGateways, way: Callable[[TwoGateways], object], seconds: float
) -> None:
    bench.leave_unknown_elsewhere()
    bench.know({})
    bench.now += seconds
    sends, record = bench.all_sends(), bench.record()
    with pytest.raises(Misconfigured):
        way(bench)
    assert (bench.all_sends(), bench.record()) == (sends, record)


@pytest.mark.parametrize("dry_run", [False, True])
def test_reconciler_skips_an_order_of_an_unknown_gateway(
    bench: TwoGateways, *, dry_run: bool
) -> None:
    bench.leave_unknown_elsewhere()
    bench.know({})
    record = bench.record()
    run = Reconciler(bench.context, livemode=False, budget_seconds=25, dry_run=dry_run)
    list(run.steps(bench.now - DAY))
    assert (run.tally.unresolved, run.tally.adopted, run.tally.closed) == (1, 0, 0)
    assert bench.record() == record
    assert bench.made() == []


def test_late_look_at_an_unknown_gateway_is_kept(bench: TwoGateways) -> None:
    bench.create_elsewhere()
    held = bench.record()
    looked_at = transitions.amended(held, look_ups=(bench.now,))
    assert bench.records.replace(held, looked_at)
    bench.know({})
    look_ups, sends = LateLookUps(bench.context, lambda _: bench.context, 25.0), bench.all_sends()
    (due,) = look_ups.due(10)
    assert not look_ups.run(due)
    assert bench.all_sends() == sends
    assert bench.record().due_at is not None
