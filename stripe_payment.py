"""Helpers for scripts and notebooks: create a PaymentIntent under an idempotency key.

A script calls `create_payment_intent` with a key from `generate_idempotency_key`. The web service
sends through the same gateway and retry loop, and adds a record of each order, so that its promise
holds for longer than Stripe keeps a key.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import stripe

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.opening import open_gateway, open_transport
from payment_service.payments.idempotency_key import idempotency_key as key_of
from payment_service.settings import Settings, load_settings

log = logging.getLogger(__name__)

# A script can wait for as long as three sends of ten seconds and the waits between them take.
HELPER_BUDGET_SECONDS = 40.0


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
