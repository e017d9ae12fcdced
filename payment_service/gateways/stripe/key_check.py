"""One cheap read of Stripe, which shows whether it accepts a key."""

from __future__ import annotations

import time

from payment_service.gateways.calls import Call
from payment_service.gateways.key_check import CHECK_SECONDS, KeyCheck
from payment_service.gateways.stripe.api_calls import ErrorAnswer, StripeApi, read_answer
from payment_service.gateways.stripe.errors import without_secrets
from payment_service.gateways.stripe.paths import INTENTS
from payment_service.http_client.failures import HttpFailure


def check_key(api: StripeApi) -> KeyCheck:
    """Ask Stripe for one PaymentIntent with the account's key; sends once, for CHECK_SECONDS.

    A restricted key may read PaymentIntents and still lack the permission to create them.
    """
    try:
        response = api.send(Call("get", INTENTS, {"limit": 1}), time.monotonic() + CHECK_SECONDS)
    except HttpFailure as failure:
        return KeyCheck("unknown", without_secrets(str(failure)))
    try:
        read_answer(response, None)
    except ErrorAnswer as failure:
        sentence = without_secrets(str((failure.error or {}).get("message") or response.status))
        return KeyCheck("refused" if response.status in (401, 403) else "unknown", sentence)
    except ValueError:
        return KeyCheck("unknown", "the answer is no JSON")
    return KeyCheck("accepted")
