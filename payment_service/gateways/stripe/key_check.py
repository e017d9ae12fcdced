"""One cheap read of Stripe, which shows whether it accepts a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import stripe

from payment_service.gateways.stripe.errors import without_secrets
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.paths import INTENTS


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """The result; `sentence` is Stripe's own, without secrets, unless it accepted the key."""

    result: Literal["accepted", "refused", "unknown"]
    sentence: str | None = None


def check_key(gateway: StripeGateway) -> KeyCheck:
    """Ask Stripe for one PaymentIntent with the gateway's key and account; sends once.

    A restricted key may read PaymentIntents and still lack the permission to create them.
    """
    try:
        gateway.client.raw_request("get", INTENTS, limit=1)
    except (stripe.AuthenticationError, stripe.PermissionError) as refused:
        return KeyCheck("refused", _sentence(refused))
    except stripe.StripeError as failed:
        return KeyCheck("unknown", _sentence(failed))
    return KeyCheck("accepted")


def _sentence(error: stripe.StripeError) -> str:
    return without_secrets(error.user_message or str(error))
