"""The second gateway of a world: PayPal's stand-in, the shopper there, and Stripe's silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from payment_service.gateways.calls import Http
from payment_service.gateways.paypal.gateway import PayPalGateway
from payment_service.gateways.paypal.params import Pages
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.circuits import Circuits
from payment_service.payments.failover import Failover
from payment_service.schema.secret import Secret
from sandbox.answers import Response
from sandbox.paypal.acts import approve
from sandbox.paypal.core import Execution, PayPalSandbox
from sandbox.paypal.rules import Rules
from tests.proof.explorer.choices import Option
from tests.proof.explorer.gated_judge import GatedJudge
from tests.support.paypal_params import order_params
from tests.support.sandbox_transport import SandboxTransport

if TYPE_CHECKING:
    from tests.proof.explorer.world import World

STRIPE, PAYPAL = "stripe", "paypal"
BOTH = frozenset({STRIPE, PAYPAL})

PAGES = Pages("https://shop.example/paid?order={order_id}", "https://shop.example/cart")

# Stripe's share of the budget. Two sends fit, and the other half is left for PayPal.
AFTER_SECONDS = 4.0

# Longer than any run, so that a token is fetched once per world and never expires.
TOKEN_SECONDS = 10 * 365 * 86400.0

# More shoppers than a run gives links and secrets out.
MOST_SHOPPERS = 4

# Every send gets no answer: Stripe executes none of them, or each of them.
SILENCES = {"Stripe falls silent": "lost before", "Stripe works on in silence": "lost after"}
SPEAKS = "Stripe answers again"
EXECUTES = "PayPal executes"

# The actors that end a payment at PayPal by a write of our own.
CHANGES = ("cancel", "update")


@dataclass(frozen=True, slots=True)
class TwoGateways:
    """How a scenario uses the second gateway.

    `capture_waits`: FAILOVER_CAPTURE=after_stripe. `forgets`: the store may go back in searches of
    so many faults at most; the rules promise no more (rule 19). `circuit_open`: each worker's
    process has seen Stripe fail. `accepts`: the gateways that each worker's request accepts, in
    turn.
    """

    capture_waits: bool = False
    forgets: int = 1
    circuit_open: bool = False
    accepts: tuple[frozenset[str], ...] = (BOTH,)


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """A request to PayPal that left its sender and has not arrived. `arrive` lets it arrive."""

    arrive: Callable[[], object]


class OneToken(PayPalSandbox):
    """PayPal's stand-in without random ids for what no state depends on: tokens and debug ids."""

    token: Response | None = None

    def issue(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Return the one token of the world."""
        self.token = self.token or self.tokens.issue(
            {name.lower(): value for name, value in headers.items()}, body
        )
        return self.token

    def _hex(self) -> str:
        return "0"

    def _tell(self, event: Mapping[str, Any]) -> None:
        """Deliver no event: an actor is the webhook."""


class Second:
    """The second gateway of one world; `silent` is the fault of every send to Stripe, if any."""

    def __init__(self, world: World, two: TwoGateways) -> None:
        self._world, self.two, self._faults = world, two, world.guide.left.faults
        self.sandbox = OneToken(world.clock, seed=1, rules=Rules(token_seconds=TOKEN_SECONDS))
        self.executing: list[tuple[float, Execution | OnItsWay]] = []
        self.silent: str | None = None
        self.shoppers = 0
        self.judge = GatedJudge(world, self)

    def equipment(
        self, http: Http, sleep: Callable[[float], None], *, calm: bool = False
    ) -> dict[str, Any]:
        """Return what a process's Context needs for two gateways."""
        policy = RetryPolicy(sleep=sleep, uniform=lambda _, high: high)
        gateway = PayPalGateway(
            "app-1",
            Secret("secret"),
            http,
            PAGES,
            livemode=False,
            api_base=self.sandbox.rules.base_url,
            policy=policy,
            clock=self._world.clock,
        )
        failover = Failover(AFTER_SECONDS, self.two.capture_waits, self._circuits(calm=calm))
        return {"gated": {PAYPAL: gateway}, "several_gateways": True, "failover": failover}

    def calm_http(self) -> Http:
        """Return a connection on which nothing goes wrong."""
        return SandboxTransport(self.sandbox)

    def _circuits(self, *, calm: bool) -> Circuits:
        circuits = Circuits(self._world.clock)
        if self.two.circuit_open and not calm:
            for _ in range(5):
                circuits.note(STRIPE, failed=True)
        return circuits

    def alternatives(self, order: Order, amount: int) -> tuple[SentParams, ...]:
        """Return the parameters of a creation at PayPal."""
        return (order_params(order, {"amount": amount, "currency": "usd"}, PAGES),)

    def settle(self) -> None:
        """Let PayPal do what is due."""
        due = [each for each in self.executing if each[0] <= self._world.now]
        self.executing = [each for each in self.executing if each[0] > self._world.now]
        for _, execution in due:
            if isinstance(execution, OnItsWay):
                execution.arrive()
            else:
                self.sandbox.finish(execution)
        self.sandbox.settle()

    def approve(self, order_id: str) -> bool:
        """Approve as the shopper does; return whether PayPal's page let them."""
        try:
            approve(self.sandbox, order_id)
        except (KeyError, ValueError):
            return False
        return True

    # Events of the world.

    def events(self) -> Iterator[Option]:
        """Yield what may happen at any step."""
        if self.executing:
            yield Option(EXECUTES, switches=1)
        if self.silent:
            yield Option(SPEAKS, switches=1)
        else:
            for silence in SILENCES:
                yield Option(silence, faults=1)

    def happen(self, what: str) -> bool:
        """Let it happen; return whether it is one of ours."""
        if what == EXECUTES:
            self.executing = [(0.0, execution) for _, execution in self.executing]
            self.settle()
        elif what == SPEAKS:
            self.silent = None
        elif what in SILENCES:
            self.silent = SILENCES[what]
        else:
            return False
        return True

    def may_go_back_to(self, version: KeyRecord) -> bool:
        """Whether the rules keep the promise for a store that goes back to this version.

        Not to one before the attempt that PayPal captured: the witness may not be made yet. Nor to
        one before its claim, if another fault can keep PayPal from answering a cancellation.
        """
        taken = self.judge.taken_attempt()
        if taken is None:
            return True
        changes = any(each.name in CHANGES for each in self._world.workers)
        return version.attempt >= taken and not (changes and self._faults > 1)

    def state(self) -> tuple[Any, ...]:
        """Return what the future depends on, hashable."""
        orders = tuple(
            (each.id, each.status, each.plan, each.approved_at, len(each.captures))
            for each in self.sandbox.orders.values()
        )
        uses = tuple(
            (key, use.first_used_at, use.made) for key, use in self.sandbox._ids._uses.items()
        )
        times = tuple(at for at, _ in self.executing)
        return orders, uses, times, self.silent, self.shoppers, self.judge.state()
