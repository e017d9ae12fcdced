"""Tell the shop: sign an order event, post it, and keep at it in a thread or a process.

The only module that talks to the shop; what is told, and when again, is
payments.shop_events.outbox's.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from payment_service.background.loop import PARALLEL, Courier
from payment_service.payments.recovery.late_intents import SecondLooks
from payment_service.payments.shop_events.outbox import Outbox

if TYPE_CHECKING:
    from payment_service.payments.payments import Payments
    from payment_service.settings import Settings

SIGNATURE_HEADER = "Order-Signature"

# A shop writes a row and answers: what lasts longer is better done after the answer.
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3.0, 10.0

# How long a look, which is never urgent, may wait in an idle service.
LOOK_POLL_SECONDS = 5.0


def signature(body: bytes, secrets: Sequence[str], at: int) -> str:
    """Return the header's text, in Stripe's own scheme: `t=…,v1=…`, one v1 for each secret.

    A shop can verify it with `stripe.Webhook.construct_event`.
    """
    signed = b"%d." % at + body
    proofs = (hmac.new(each.encode(), signed, hashlib.sha256).hexdigest() for each in secrets)
    return ",".join([f"t={at}", *(f"v1={proof}" for proof in proofs)])


class ShopListener:
    """Posts to the shop's address; shared by the threads of a deliverer."""

    def __init__(
        self, url: str, secrets: Sequence[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._url, self._secrets, self._clock = url, secrets, clock
        self._session = Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=PARALLEL))

    def __call__(self, body: bytes) -> int | None:
        """Post once; return the status, None where there was no answer. Follows no redirect."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            SIGNATURE_HEADER: signature(body, self._secrets, int(self._clock())),
            "User-Agent": "stripe-back-end-api/1",
        }
        try:
            answer = self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
                allow_redirects=False,
            )
        except RequestException:
            return None
        return answer.status_code


def open_courier(settings: Settings, payments: Payments) -> Courier | None:
    """Return a deliverer of this mode's events; None where no shop listens."""
    if settings.order_events_url is None or settings.order_events_secret is None:
        return None
    named = settings.order_events_secret.get_secret_value().split(",")
    tools = payments.orders.tools
    shop = ShopListener(settings.order_events_url, [each.strip() for each in named], tools.clock)
    livemode = settings.livemode
    return Courier(
        Outbox(
            tools.store,
            shop,
            tools.clock,
            tools.observe,
            ours=lambda order: order.livemode == livemode,
        )
    )


def start_second_looks(settings: Settings, payments: Payments) -> None:
    """Look again, in a thread of this process, for what given-up attempts made after all."""
    looks = SecondLooks(
        payments.orders.tools,
        lambda client_id: payments.orders_of(client_id).tools,
        settings.request_budget_seconds,
    )
    Courier(looks, LOOK_POLL_SECONDS).start()


def start_courier(settings: Settings, payments: Payments) -> None:
    """Deliver in a thread of this process, if a shop listens."""
    courier = open_courier(settings, payments)
    if courier is not None:
        courier.start()
