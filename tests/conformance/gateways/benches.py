"""One bench per provider: the gateway, its stand-in, and ways to make the stand-in fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from sandbox.faults import FaultOrder
from tests.support.flow_bench import CREATE, FlowBench

ORDER = Order(livemode=False, client_id=None, order_id="A-1")


class GatewayBench(ABC):
    """A gateway over a stand-in of its provider, with a clock that the test moves."""

    gateway: Gateway

    @property
    @abstractmethod
    def now(self) -> float:
        """The time in Unix seconds."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Move the clock."""

    @abstractmethod
    def sent(self, amount: int = 1099, order_id: str = "A-1", **more: Any) -> SentParams:
        """Return the parameters of a creation."""

    @abstractmethod
    def sent_update(self, amount: int) -> SentParams:
        """Return the parameters of an update."""

    @abstractmethod
    def refused(self) -> SentParams:
        """Return the parameters of a creation that the provider refuses."""

    @abstractmethod
    def lose_answers(self) -> None:
        """Carry out every creation from now on, and lose its answer."""

    @abstractmethod
    def lose_requests(self) -> None:
        """Let no creation arrive from now on."""

    @abstractmethod
    def mend(self) -> None:
        """Let everything arrive again."""

    @abstractmethod
    def fail_and_save(self) -> None:
        """Answer the next creation with a 5xx that is saved under its key."""

    @abstractmethod
    def pay(self, intent_id: str) -> None:
        """Pay as the shopper does."""

    def soon(self) -> Deadline:
        return Deadline.after(30, lambda: self.now)

    def create(self, key: str = "key-1", sent: SentParams | None = None) -> Any:
        return self.gateway.create(sent or self.sent(), key, self.soon())

    def made(self, key: str = "key-1", sent: SentParams | None = None) -> Made:
        outcome = self.create(key, sent)
        assert isinstance(outcome, Made), outcome
        return outcome

    def find(self, since: float | None = None, sent_until: float | None = None) -> list[str]:
        """Return the ids of the order's PaymentIntents."""
        since = self.now - 60 if since is None else since
        found = self.gateway.find(ORDER, since, self.soon(), sent_until)
        return sorted(each.id for each in found)


class StripeBench(GatewayBench):
    """Stripe's gateway over the sandbox in this process."""

    def __init__(self) -> None:
        self.flow = FlowBench()
        self.gateway = self.flow.context.gateway

    @property
    def now(self) -> float:
        return self.flow.now

    def wait(self, seconds: float) -> None:
        self.flow.now += seconds
        self.flow.sandbox.settle()

    def sent(self, amount: int = 1099, order_id: str = "A-1", **more: Any) -> SentParams:
        params = {"amount": amount, "currency": "usd", "metadata": {"order_id": order_id}}
        return SentParams(self.gateway.api_version, {**params, **more})

    def sent_update(self, amount: int) -> SentParams:
        return SentParams(self.gateway.api_version, {"amount": amount, "currency": "usd"})

    def refused(self) -> SentParams:
        return self.sent(customer="cus_missing")

    def lose_answers(self) -> None:
        self._order("lost_after", count=None)

    def lose_requests(self) -> None:
        self._order("lost_before", count=None)

    def mend(self) -> None:
        self.flow.sandbox.faults.clear()

    def fail_and_save(self) -> None:
        self._order("error_500_without_object")

    def pay(self, intent_id: str) -> None:
        self.flow.act(intent_id, "confirm")

    def lag(self, seconds: float) -> None:
        """Let the search lag behind."""
        rules = replace(self.flow.sandbox.rules, search_lag_seconds=seconds)
        self.flow.sandbox.rules = rules

    def _order(self, kind: str, **more: Any) -> None:
        self.flow.sandbox.faults.order(FaultOrder(kind, CREATE, **more))


BENCHES: dict[str, type[GatewayBench]] = {"stripe": StripeBench}
