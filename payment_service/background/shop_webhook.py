"""The signed POST of an order event to the shop's server."""

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

from payment_service.background.loop import PARALLEL

if TYPE_CHECKING:
    pass


SIGNATURE_HEADER = "Order-Signature"


# The shop's server should store the event, answer, and do slower work afterwards.
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3.0, 10.0


def signature(body: bytes, secrets: Sequence[str], at: int) -> str:
    """Return the header's value in Stripe's scheme: `t=…,v1=…`, with one v1 for each secret.

    A shop can verify it with `stripe.Webhook.construct_event`.
    """
    signed = b"%d." % at + body
    proofs = (hmac.new(each.encode(), signed, hashlib.sha256).hexdigest() for each in secrets)
    return ",".join([f"t={at}", *(f"v1={proof}" for proof in proofs)])


class ShopListener:
    """Posts order events to the shop's server; shared by the threads of a loop."""

    def __init__(
        self, url: str, secrets: Sequence[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._url, self._secrets, self._clock = url, secrets, clock
        self._session = Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=PARALLEL))

    def __call__(self, body: bytes) -> int | None:
        """Post once; return the status, or None without an answer. Follows no redirect."""
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
