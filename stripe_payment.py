"""Create a PaymentIntent once per order: the way in for Python callers and for the web service.

A script or a notebook calls `create_payment_intent` with a key from `generate_idempotency_key`.
The web service opens `payments.payments`, which adds the record of each order, so that the promise
holds for longer than Stripe remembers a key. Both send through the same gateway and retry loop.

What can go wrong is drawn in payment_service.errors.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import stripe

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.http.transport import SharedTransport
from payment_service.gateways.stripe.retry import RetryDetails, RetryPolicy
from payment_service.gateways.stripe.send import Send
from payment_service.key_store import KeyStore, open_key_store
from payment_service.key_store.contract import Order
from payment_service.payments.context import Timing, Tools
from payment_service.payments.idempotency_key import SentParams
from payment_service.payments.idempotency_key import idempotency_key as key_of
from payment_service.payments.observer import Observe, ignore
from payment_service.payments.payments import Payments
from payment_service.schema.secret import Secret
from payment_service.settings import LOCK_MARGIN_SECONDS, Settings, load_settings

log = logging.getLogger(__name__)

# A script can wait for as long as three sends of ten seconds and the waits between them take.
HELPER_BUDGET_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Account:
    """A client's own Stripe account: a secret key of its own, a Connect account, or both."""

    secret_key: Secret | None = None
    connected: str | None = None


def open_payments(
    settings: Settings,
    *,
    accounts: Mapping[str, Account] | None = None,
    listed: Collection[str] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    observe: Observe = ignore,
    tell: Callable[[Send], None] = lambda _: None,
    tell_retry: Callable[[RetryDetails], None] = lambda _: None,
    measured: Callable[[KeyStore], KeyStore] = lambda store: store,
) -> Payments:
    """Open the key store and Stripe's connections, and put everything together.

    `clock` gives Unix seconds; `sleep` is what waits between sends and polls. `listed`: the clients
    whose accounts are known; None where there is no list, and all are in the one account.
    """
    store = open_key_store(
        settings.key_store_url.get_secret_value(), timeout_seconds=settings.store_timeout_seconds
    )
    transport = open_transport(settings)
    given: Any = {"clock": clock, "sleep": sleep, "tell": tell, "tell_retry": tell_retry}
    gateway = open_gateway(settings, transport, **given)
    gateways = {
        client_id: open_gateway(settings, transport, account, **given)
        for client_id, account in (accounts or {}).items()
    }
    tools = Tools(
        measured(store),
        gateway,
        Timing(settings.lock_seconds, LOCK_MARGIN_SECONDS, settings.store_timeout_seconds),
        clock,
        sleep,
        observe=observe,
        listened=settings.order_events_url is not None,
        serves=_served(settings, listed),
    )
    return Payments(tools, settings, gateways, hang_up=gateway.close)


def open_transport(settings: Settings) -> SharedTransport:
    """Open the connections that every thread and every account shares."""
    return SharedTransport(
        connect_timeout_seconds=settings.stripe_connect_timeout_seconds,
        read_timeout_seconds=settings.stripe_read_timeout_seconds,
        pool_size=settings.max_in_flight,
    )


def open_gateway(
    settings: Settings,
    transport: SharedTransport,
    account: Account | None = None,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[Send], None] = lambda _: None,
    tell_retry: Callable[[RetryDetails], None] = lambda _: None,
) -> StripeGateway:
    """Return the way to an account; the settings' own where none is given."""
    account = account or Account()
    key = account.secret_key or settings.stripe_secret_key
    return StripeGateway(
        key.get_secret_value(),
        transport,
        stripe_account=account.connected,
        api_base=settings.stripe_api_base,
        api_version=settings.stripe_api_version,
        policy=RetryPolicy(settings.stripe_max_attempts, sleep),
        clock=clock,
        tell=tell,
        tell_retry=tell_retry,
    )


def _served(settings: Settings, listed: Collection[str] | None) -> Callable[[Order], bool]:
    """Orders of nobody are older than the list, and in the one account that there was then."""
    return lambda order: (
        order.livemode == settings.livemode
        and (listed is None or order.client_id is None or order.client_id in listed)
    )


def generate_idempotency_key(order_id: str | int, client_id: str | int | None = None) -> str:
    """Return the idempotency key of an order's first attempt.

    A pure function: the same order gives the same text in every process, on every machine and
    after every restart. An integer stands for its decimal text. Hashed, so that neither the
    order nor the client can be read from it. Raises ValueError for a blank name, TypeError for
    what is neither text nor integer.
    """
    client = None if client_id is None else _name("client_id", client_id)
    return key_of(client, _name("order_id", order_id))


def _name(field_name: str, given: str | int) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise TypeError(f"{field_name} must be a text or an integer")
    if not str(given).strip():
        raise ValueError(f"{field_name} must not be blank")
    return str(given)


def create_payment_intent(
    amount: int,
    currency: str = "usd",
    metadata: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> stripe.PaymentIntent | None:
    """Create a PaymentIntent; network errors are sent again with exponential backoff.

    `amount` in the smallest currency unit. With an `idempotency_key`, calling again within a
    day gives the same PaymentIntent; without one, each call makes another. Any failure of
    Stripe's is logged and gives None. Reads STRIPE_SECRET_KEY and the other STRIPE_ settings.
    Raises SettingsError where they are wrong, ValueError for what can be no key, like an empty one.
    """
    gateway = _gateway_of(load_settings(), os.getpid())
    sent = SentParams(gateway.api_version, _params(amount, currency, metadata))
    key = f"once-{uuid.uuid4().hex}" if idempotency_key is None else idempotency_key
    outcome = gateway.create(sent, key, Deadline.after(HELPER_BUDGET_SECONDS))
    if isinstance(outcome, Made):
        found = gateway.client.deserialize(dict(outcome.intent.raw), api_mode="V1")
        return cast(stripe.PaymentIntent, found)
    log.error("Failed to create payment intent: %s", outcome.error.message)
    return None


@lru_cache(maxsize=1)
def _gateway_of(settings: Settings, _: int) -> StripeGateway:
    """Keep the connections from call to call, but not into another process.

    A child that was forked would read the answers of its parent, and of its siblings.
    """
    # Looked up at each wait, so that a caller's test may put its own time.sleep in place.
    return open_gateway(
        settings, open_transport(settings), sleep=lambda seconds: time.sleep(seconds)
    )


def _params(amount: int, currency: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    params: dict[str, Any] = {"amount": amount, "currency": currency.lower()}
    return {**params, "metadata": dict(metadata)} if metadata else params
