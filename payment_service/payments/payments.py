"""Payments: create each order's one PaymentIntent, and give access to existing orders.

The flow is in payments.creation.create. This module holds the state that the threads of a process
share: one flight per identical request, and a bound on the number of waiting requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from operator import eq
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import InFlight, Overloaded, StoreDown
from payment_service.gateways.contract import GatedGateway, Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import MoneyEvent, RefundEvent
from payment_service.gateways.payment_fields import Unsuited
from payment_service.gateways.sent_params import DEFAULT_GATEWAY, SentParams
from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.changes.orders import Orders
from payment_service.payments.changes.webhook import NOT_OURS
from payment_service.payments.context import Context
from payment_service.payments.creation.create import create_once
from payment_service.payments.creation.single_flight import SingleFlight, WaitedTooLongError
from payment_service.payments.creation.states import Created
from payment_service.payments.idempotency_key import FIRST_ATTEMPT
from payment_service.payments.observer import Observation
from payment_service.payments.record.transitions import Wanted

if TYPE_CHECKING:
    from payment_service.payments.request.create import PaymentRequest
    from payment_service.settings import Settings


# A request's order, its fingerprint and the gateways that it accepts: requests that accept others
# may be unable to use the same answer.
Flight = tuple[Order, str, frozenset[str]]

# Each costs a call to Stripe. The reconciler finds what an event did not reach.
MAX_ACCOUNTS_TRIED = 16


class PaymentAnswer(Struct, frozen=True):
    """The answer for the shop's front end. `replayed`: the order already had a PaymentIntent.

    At a gated gateway `client_secret` is None; `redirect_url` is the page on which the shopper
    approves the payment, and None once that is done.
    """

    payment_intent_id: str
    client_secret: str | None
    status: str
    replayed: bool
    gateway: str = DEFAULT_GATEWAY
    redirect_url: str | None = None

    def __repr__(self) -> str:
        """Show neither the client_secret nor the page of the shopper's approval."""
        return f"PaymentAnswer({self.payment_intent_id!r}, status={self.status!r})"


class Payments:
    """Creates each order's PaymentIntent once; shared by all threads of a process."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        gateways: Mapping[str, Gateway] | None = None,
        gated: Mapping[str, Mapping[str, GatedGateway]] | None = None,
        *,
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        """`gateways`: by client_id, for the clients that have an account of their own.

        `gated`: by client_id, for the clients that have other gated gateways than `context` has.
        `hang_up` closes the connections to Stripe.
        """
        self._context, self._settings, self._hang_up = context, settings, hang_up
        self._flight: SingleFlight[Flight, Created] = SingleFlight()
        self.orders = self._orders(context)
        opened, of_client = gateways or {}, gated or {}
        self._of_client = {
            client_id: self._orders(
                replace(
                    context,
                    gateway=opened.get(client_id, context.gateway),
                    gated=of_client.get(client_id, context.gated),
                )
            )
            for client_id in {**opened, **of_client}
        }
        # Deque operations are atomic, so taking a place and returning it needs no lock.
        self._places = deque(range(settings.max_in_flight))

    def create(self, request: PaymentRequest) -> PaymentAnswer:
        """Return the order's PaymentIntent within REQUEST_BUDGET_SECONDS.

        Raises PaymentError.
        """
        deadline = Deadline.after(self._settings.request_budget_seconds)
        order = Order(self._settings.livemode, request.client_id, request.order_id)
        context = self.orders_of(request.client_id).context
        wanted = _wanted(context, order, request)
        try:
            place = self._places.pop()
        except IndexError:
            raise Overloaded("Too many requests are waiting for Stripe right now.") from None
        try:
            created, shared = self._flight.run(
                (order, wanted.fingerprint, wanted.accepts),
                partial(create_once, context, wanted, deadline),
                deadline.left(),
            )
        except WaitedTooLongError:
            raise InFlight("This order is being created by another request right now.") from None
        finally:
            self._places.append(place)
        intent, is_replay = created.intent, created.replayed or shared
        secret = intent.client_secret or None
        return PaymentAnswer(
            intent.id, secret, intent.status, is_replay, created.gateway, intent.redirect_url
        )

    def orders_of(self, client_id: str | None) -> Orders:
        """Return the Orders of a client: its own account, and the shared store."""
        return self._of_client.get(client_id or "", self.orders)

    def apply_money(
        self,
        event: MoneyEvent,
        covers: Callable[[str | None], bool],
        client_id: str | None = None,
    ) -> str:
        """Apply a verified event about a refund or a dispute; return a word for its effect.

        A dispute, or a refund of the dashboard, names no order: then look for its PaymentIntent
        in the accounts whose events the secret may sign, that of `client_id` first.
        """
        for orders in self._accounts_of(event, covers, client_id):
            outcome = orders.apply_money(event, covers)
            if outcome is not None:
                return outcome
        return NOT_OURS

    def _accounts_of(
        self, event: MoneyEvent, covers: Callable[[str | None], bool], client_id: str | None
    ) -> Iterable[Orders]:
        if isinstance(event, RefundEvent) and event.order is not None:
            return [self.orders_of(event.order.client_id)]
        named = [self.orders_of(client_id)] if client_id is not None else []
        own = [orders for name, orders in self._of_client.items() if covers(name)]
        service = [self.orders] if covers(None) else []
        found = {id(each): each for each in [*named, *service, *own]}
        return islice(found.values(), MAX_ACCOUNTS_TRIED)

    def accounts(self) -> Iterator[tuple[Context, Callable[[str | None], bool]]]:
        """Yield each account's dependencies, and a test for the clients whose orders are in it."""
        yield self._context, lambda client_id: client_id not in self._of_client
        for own, orders in self._of_client.items():
            yield orders.context, partial(eq, own)

    def forget(self, order: Order) -> None:
        """Close the order's flights to new requests: it has changed."""
        self._flight.part(lambda key: key[0] == order)

    def ready(self) -> None:
        """Check that the key store can store an order; never calls Stripe.

        Raises StoreDown, with its cause.
        """
        try:
            self._context.records.store.ping()
        except StoreUnavailable as down:
            raise StoreDown("The key store cannot store an order.", down.cause) from down

    def close(self) -> None:
        """Close every connection. No call may follow."""
        self._context.records.store.close()
        self._hang_up()

    def _orders(self, context: Context) -> Orders:
        return Orders(
            context,
            livemode=self._settings.livemode,
            budget_seconds=self._settings.request_budget_seconds,
            changed=self.forget,
        )


def _wanted(context: Context, order: Order, request: PaymentRequest) -> Wanted:
    """Translate the request for each gateway that it accepts and that can keep its promises."""
    sent = context.gateway.params_of(request)
    accepts = frozenset(request.accept_gateways or (DEFAULT_GATEWAY,))
    others = _alternatives(context, order, request, accepts) if context.failover else ()
    return Wanted(order, request.fingerprint, sent, tuple(others), accepts)


def _alternatives(
    context: Context, order: Order, request: PaymentRequest, accepts: frozenset[str]
) -> Iterator[SentParams]:
    for name, gateway in context.gated.items():
        if name in accepts:
            try:
                yield gateway.params_of(request)
            except Unsuited as unsuited:
                facts = {"gateway": name, "field": unsuited.field}
                context.observe(Observation("failover_unsuited", order, FIRST_ATTEMPT, facts))
