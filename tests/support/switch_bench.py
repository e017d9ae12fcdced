"""The creation flow over Stripe's and PayPal's stand-ins, with a clock that only sleep moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.paypal.gateway import PayPalGateway
from payment_service.gateways.retry import RetryPolicy
from payment_service.key_store.contract import KeyStore
from payment_service.payments.circuits import FAILURES, Circuits
from payment_service.payments.context import Context
from payment_service.payments.creation.create import create_once
from payment_service.payments.creation.states import Created
from payment_service.payments.failover import Failover
from payment_service.payments.record.transitions import Wanted
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.schema.secret import Secret
from sandbox.faults import FaultOrder, Match
from sandbox.paypal.acts import approve
from sandbox.paypal.core import PayPalSandbox
from tests.support.flow_bench import BUDGET_SECONDS, FlowBench
from tests.support.paypal_flow import BASE, PAGES
from tests.support.paypal_params import order_params
from tests.support.sandbox_transport import SandboxTransport

BOTH = frozenset({"stripe", "paypal"})
STRIPE_ONLY, PAYPAL_ONLY = frozenset({"stripe"}), frozenset({"paypal"})
PAYPAL_CREATE = Match(method="POST", path="/v2/checkout/orders$")
ANY = Match()

AFTER_SECONDS = 8.0


class TwoGateways(FlowBench):
    """`ask` accepts both gateways. Each context is one process, with its own circuits."""

    def __init__(self, store: KeyStore | None = None) -> None:
        self.paypal = PayPalSandbox(lambda: self.now, seed=1)
        self.paypal.rules = dataclasses.replace(self.paypal.rules, base_url=BASE)
        self.on_paypal = self.on_answer = lambda: None
        self.at_paypal: list[str] = []
        super().__init__(store)

    def another(self) -> Context:
        """Return the dependencies of another process on the same store."""
        gateway = PayPalGateway(
            "app-1",
            Secret("secret"),
            SandboxTransport(self.paypal, self._paypal_step),
            PAGES,
            livemode=False,
            api_base=BASE,
            policy=RetryPolicy(sleep=self.sleep, uniform=lambda _, high: high),
            clock=lambda: self.now,
        )
        self.circuit_changes: list[tuple[str, str]] = []
        circuits = Circuits(lambda: self.now, lambda *change: self.circuit_changes.append(change))
        return replace(
            super().another(),
            gated={"paypal": gateway},
            several_gateways=True,
            failover=Failover(AFTER_SECONDS, capture_waits=False, circuits=circuits),
        )

    def _paypal_step(self, what: str) -> None:
        self.at_paypal.append(what)
        self.on_paypal()

    def wanted(
        self,
        order_id: str = "A-1",
        amount: int = 1099,
        accepts: Iterable[str] = BOTH,
        **more: Any,
    ) -> Wanted:
        wanted = super().wanted(order_id, amount, **more)
        sent = order_params(wanted.order, {"amount": amount, "currency": "usd"}, PAGES)
        return replace(wanted, alternatives=(sent,), accepts=frozenset(accepts))

    def ask_in(self, context: Context, **more: Any) -> Created:
        """Ask in another process."""
        deadline = Deadline.after(BUDGET_SECONDS, lambda: self.now)
        return create_once(context, self.wanted(**more), deadline)

    def silence_stripe(self, kind: str = "lost_before", count: int | None = None) -> None:
        self.sandbox.faults.order(FaultOrder(kind, ANY, count=count))

    def heal_stripe(self) -> None:
        self.sandbox.faults.clear()

    def break_paypal(self, kind: str, count: int | None = None) -> None:
        self.paypal.faults.order(FaultOrder(kind, PAYPAL_CREATE, count=count))

    def heal_paypal(self) -> None:
        self.paypal.faults.clear()

    def open_circuit(self) -> None:
        """Open Stripe's circuit, and use the probe of this second."""
        assert self.context.failover
        circuits = self.context.failover.circuits
        for _ in range(FAILURES):
            circuits.note("stripe", failed=True)
        circuits.lets_through("stripe")

    def approve(self, order_id: str) -> None:
        approve(self.paypal, order_id, "COMPLETED")

    def captured(self) -> list[str]:
        """Return the ids of PayPal's orders whose money was taken."""
        return [each.id for each in self.paypal.orders.values() if each.captures]

    def look_ups(self) -> LateLookUps:
        return LateLookUps(self.context, lambda _: self.context, BUDGET_SECONDS)

    def look(self) -> list[bool]:
        """Take every late look-up that is due."""
        looks = self.look_ups()
        return [looks.run(each) for each in looks.due(10)]

    def look_at_all(self) -> None:
        """Take every late look-up, each when it is due."""
        while look_ups := self.record().follow_up.look_ups:
            self.now = max(self.now, look_ups[0])
            self.look()

    def stripe_sends(self) -> int:
        return sum(self.sandbox.log.shown_counts().values())

    def leftovers(self, order_id: str = "A-1") -> list[tuple[str, int]]:
        return [(each.gateway, each.attempt) for each in self.record(order_id).follow_up.leftovers]

    def history(self, what: str) -> list[dict[str, Any]]:
        return [dict(each) for each in self.record().follow_up.history if each["what"] == what]
