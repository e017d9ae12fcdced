"""A service in front of both stand-ins, and a shopper who approves on PayPal's page."""

from __future__ import annotations

from typing import Any

import requests

from tests.support.paypal_process import WEBHOOK_ID, PayPalProcess
from tests.support.sandbox_process import SandboxProcess

PAYMENT_INTENTS = "/v1/payment_intents"
BOTH: Any = {"accept_gateways": ["stripe", "paypal"]}

# The stand-in redirects the shopper there; nothing listens.
SHOP = "http://shop.invalid"


def settings_of(paypal: PayPalProcess, **more: str) -> dict[str, str | None]:
    """Return the settings of a service that fails over to the stand-in."""
    return {
        "GATEWAYS": "stripe,paypal",
        "FAILOVER": "1",
        "PAYPAL_CLIENT_ID": "app-1",
        "PAYPAL_CLIENT_SECRET": "secret",
        "PAYPAL_WEBHOOK_ID": WEBHOOK_ID,
        "PAYPAL_API_BASE": paypal.url,
        "PAYPAL_RETURN_URL": f"{SHOP}/paid?order={{order_id}}",
        "PAYPAL_CANCEL_URL": f"{SHOP}/cart?order={{order_id}}",
        **more,
    }


def silence(stripe: SandboxProcess, kind: str = "hang", **more: Any) -> None:
    """Make every call about PaymentIntents go unanswered, although Stripe executes it."""
    stripe.faults([{"kind": kind, "match": {"path": PAYMENT_INTENTS}, "count": None, **more}])


def press(page: str, choice: str = "approve") -> str:
    """Press a button of PayPal's page; return the address to which the shopper is sent."""
    form = {"token": page.rpartition("token=")[2], "choice": choice}
    action = page.partition("?")[0]
    sent = requests.post(action, data=form, allow_redirects=False, timeout=10)
    assert sent.status_code == 303, sent.text
    return sent.headers["Location"]
