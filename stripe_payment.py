"""Helpers for scripts and notebooks: create a PaymentIntent under an idempotency key.

A script calls `create_payment_intent` with a key from `generate_idempotency_key`. The web service
uses the same gateway and retry loop, and also stores a record of each order, so that its guarantee
outlasts Stripe's idempotency keys.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import stripe

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.opening import open_gateway, open_transport
from payment_service.payments.idempotency_key import idempotency_key as key_of
from payment_service.settings import Settings, load_settings

log = logging.getLogger(__name__)

# A script can wait for three sends of ten seconds and the back-off between them.
HELPER_BUDGET_SECONDS = 40.0


def generate_idempotency_key(order_id: str | int, client_id: str | int | None = None) -> str:
    """Return the idempotency key of an order's first attempt.

    A pure function: the same order gives the same key in every process, on every machine and
    after every restart. An integer is equivalent to its decimal text. The key is a hash, so it
    reveals neither the order nor the client. Raises ValueError for a blank name, and TypeError
    for anything but text or an integer.
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
    """Create a PaymentIntent; retry network errors with exponential back-off.

    `amount` is in the smallest currency unit. With an `idempotency_key`, a repeated call within a
    day returns the same PaymentIntent; without one, each call creates another. If Stripe fails,
    the function logs the failure and returns None. It reads STRIPE_SECRET_KEY and the other
    STRIPE_ settings. Raises SettingsError if they are invalid, and ValueError for an invalid key,
    such as an empty one.
    """
    settings = load_settings()
    gateway = _gateway_of(settings)
    sent = SentParams(gateway.api_version, _params(amount, currency, metadata))
    key = f"once-{uuid.uuid4().hex}" if idempotency_key is None else idempotency_key
    outcome = gateway.create(sent, key, Deadline.after(HELPER_BUDGET_SECONDS))
    if isinstance(outcome, Made):
        return stripe.PaymentIntent.construct_from(
            dict(outcome.intent.raw),
            settings.stripe_secret_key.get_secret_value(),
            gateway.api_version,
        )
    log.error("Failed to create payment intent: %s", outcome.error.message)
    return None


@lru_cache(maxsize=1)
def _gateway_of(settings: Settings) -> StripeGateway:
    """Keep the connections between calls."""
    # Looked up at each wait, so that a caller's test can replace time.sleep.
    return open_gateway(
        settings, open_transport(settings), sleep=lambda seconds: time.sleep(seconds)
    )


def _params(amount: int, currency: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    params: dict[str, Any] = {"amount": amount, "currency": currency.lower()}
    return {**params, "metadata": dict(metadata)} if metadata else params
