"""One token, which shows whether PayPal accepts an app's credentials."""

from __future__ import annotations

import time

from payment_service.gateways.calls import Call
from payment_service.gateways.key_check import CHECK_SECONDS, KeyCheck
from payment_service.gateways.paypal.api_calls import ErrorAnswer, PayPalApi
from payment_service.gateways.paypal.paths import TOKEN
from payment_service.http_client.failures import HttpFailure


def check_app(api: PayPalApi) -> KeyCheck:
    """Ask PayPal for an access token; sends once, for CHECK_SECONDS.

    The app may still lack the permission to create orders.
    """
    call = Call("post", TOKEN, {"grant_type": "client_credentials"})
    try:
        response = api.send(call, time.monotonic() + CHECK_SECONDS)
    except HttpFailure as failure:
        return KeyCheck("unknown", api.sentence(failure))
    try:
        api.read(response, call)
    except ErrorAnswer as failure:
        refused = response.status in (400, 401, 403) and failure.problem is not None
        said = api.sentence(failure) or f"status {response.status}"
        return KeyCheck("refused" if refused else "unknown", said)
    except ValueError:
        return KeyCheck("unknown", "the answer is no JSON")
    return KeyCheck("accepted")
