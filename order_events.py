"""Tell the shop: sign an order event, post it, and keep at it in a thread or a process.

The only module that talks to the shop; what is told, and when again, is payment.outbox's.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from key_store.contract import KeyRecord, StoreError
from payment.outbox import Outbox

if TYPE_CHECKING:
    from settings import Settings
    from stripe_payment import Payments

log = logging.getLogger(__name__)

SIGNATURE_HEADER = "Order-Signature"

# A shop writes a row and answers: what lasts longer is better done after the answer.
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3.0, 10.0

# Posts under way at a time, of one deliverer.
PARALLEL = 8

BATCH = 200

# How long an event may wait in an idle service.
POLL_SECONDS = 1.0


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


class Courier:
    """Delivers until it is told to stop; any number of them may run on one store."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._stop = threading.Event()

    def start(self) -> threading.Thread:
        """Deliver in a thread that ends with the process."""
        thread = threading.Thread(target=self.run, name="order-events", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End after the posts that are under way."""
        self._stop.set()

    def run(self) -> None:
        """Deliver for ever; a store that is down is asked again."""
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="order-events") as pool:
            while not self._stop.is_set():
                if not self._round(pool):
                    self._stop.wait(POLL_SECONDS)

    def run_once(self) -> int:
        """Deliver what is due now; return how many events the shop took."""
        delivered = 0
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="order-events") as pool:
            while waiting := self._outbox.waiting(BATCH):
                taken = sum(pool.map(self._outbox.deliver, waiting))
                delivered += taken
                if not taken:
                    break
        return delivered

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """Deliver one batch; tell whether to look again at once."""
        try:
            waiting = self._outbox.waiting(BATCH)
        except StoreError:
            log.warning("the key store does not answer: no order events are delivered")
            return False
        return sum(pool.map(self._deliver, waiting)) > 0

    def _deliver(self, record: KeyRecord) -> bool:
        try:
            return self._outbox.deliver(record)
        except StoreError:
            return False
        except Exception:
            # One order must not keep the others' events from their shop.
            log.exception("an order event was not delivered")
            return False


def open_courier(settings: Settings, payments: Payments) -> Courier | None:
    """Return a deliverer of the store's events; None where no shop listens."""
    if settings.order_events_url is None or settings.order_events_secret is None:
        return None
    named = settings.order_events_secret.get_secret_value().split(",")
    tools = payments.orders.tools
    shop = ShopListener(settings.order_events_url, [each.strip() for each in named], tools.clock)
    return Courier(Outbox(tools.store, shop, tools.clock, tools.observe))


def start_courier(settings: Settings, payments: Payments) -> None:
    """Deliver in a thread of this process, if a shop listens."""
    courier = open_courier(settings, payments)
    if courier is not None:
        courier.start()
