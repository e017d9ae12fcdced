"""Helpers for scripts and notebooks: create a PaymentIntent under an idempotency key.

A script calls `create_payment_intent` with a key from `generate_idempotency_key`. The web service
uses the same gateway and retry loop, and also stores a record of each order, so that its guarantee
outlasts Stripe's idempotency keys.

The helper keeps no record. It derives the key of the order's first attempt, as the service does,
and names the order in the metadata, so the two share one PaymentIntent of an order while Stripe
remembers the key: a day. After that day a call creates a second PaymentIntent that can be paid. If
the service has the order, its webhook or its `reconcile` command cancels the second one.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

import stripe

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.create_params import types_param
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.opening import open_gateway, open_transport
from payment_service.payments.idempotency_key import PREFIX
from payment_service.payments.idempotency_key import idempotency_key as key_of
from payment_service.settings import Settings, load_settings

log = logging.getLogger(__name__)

# A script can wait for three sends of ten seconds and the back-off between them.
HELPER_BUDGET_SECONDS = 40.0


class OrderKey(str):
    """The idempotency key of an order's first attempt: a text that also knows its order."""

    order_id: str
    client_id: str | None

    def __new__(cls, order_id: str, client_id: str | None) -> Self:
        """Derive the key."""
        made = super().__new__(cls, key_of(client_id, order_id))
        made.order_id, made.client_id = order_id, client_id
        return made

    def __getnewargs__(self) -> tuple[str, str | None]:  # type: ignore[override]
        """Return the arguments with which pickle and copy make the key again."""
        return self.order_id, self.client_id

    def named(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata as the service sends it: sorted, the order's names last."""
        ours = {"order_id": self.order_id, "client_id": self.client_id}
        for name, own in ours.items():
            if name in metadata and str(metadata[name]) != str(own):
                raise ValueError(f"metadata: {name} is not that of the idempotency key")
        theirs = {name: metadata[name] for name in sorted(metadata) if name not in ours}
        return theirs | {name: own for name, own in ours.items() if own is not None}


def generate_idempotency_key(order_id: str | int, client_id: str | int | None = None) -> str:
    """Return the idempotency key of an order's first attempt.

    A pure function: the same order gives the same key in every process, on every machine and
    after every restart. An integer is equivalent to its decimal text. The text is a hash, so it
    reveals neither the order nor the client; only the object, an OrderKey, knows them. Raises
    ValueError for a blank name, and TypeError for anything but text or an integer.
    """
    client = None if client_id is None else _name("client_id", client_id)
    return OrderKey(_name("order_id", order_id), client)


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
    day returns the same PaymentIntent; without one, each call creates another. Nothing is recorded,
    so after that day a repeated call creates another, too.

    With the key of an order, as `generate_idempotency_key` returns it, the PaymentIntent carries
    `order_id` and `client_id` in its metadata: the service then recognises it, or Stripe returns
    the one that the service created. If the service created it with other parameters, Stripe
    rejects the key. A key that was stored as plain text no longer knows its order; give `order_id`
    in `metadata` then.

    The promise across gateways is the service's only. If the service has passed an order over to a
    second gateway, this function knows nothing of it: with the same parameters, Stripe returns the
    PaymentIntent that the order has left, and it can be paid. For such an order ask the service.

    If Stripe fails, the function logs the failure and returns None. It reads STRIPE_SECRET_KEY and
    the other STRIPE_ settings. Raises SettingsError if they are invalid, and ValueError for an
    invalid key, such as an empty one, or for metadata that names another order than the key.
    """
    settings = load_settings()
    gateway = _gateway_of(settings)
    key = f"once-{uuid.uuid4().hex}" if idempotency_key is None else idempotency_key
    params = _params(amount, currency, metadata or {}, key, gateway.api_version)
    sent = SentParams(gateway.api_version, params)
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


def _params(
    amount: int, currency: str, metadata: Mapping[str, Any], key: str, api_version: str
) -> dict[str, Any]:
    """Return the parameters; for the key of an order, those that the service would send."""
    params: dict[str, Any] = {"amount": amount, "currency": currency.lower()}
    if isinstance(key, OrderKey):
        return {**params, "metadata": key.named(metadata), **types_param(None, api_version)}
    if isinstance(key, str) and key.startswith(PREFIX) and "order_id" not in metadata:
        log.warning(
            "The PaymentIntent does not name its order, because its idempotency key is plain text: "
            "pass the key as generate_idempotency_key returns it, or order_id in metadata"
        )
    return {**params, "metadata": dict(metadata)} if metadata else params
