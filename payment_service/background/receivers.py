"""The receivers of order events: each client's own, or that of ORDER_EVENTS_URL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from payment_service.background.shop_webhook import ShopListener
from payment_service.http_client.client import Network
from payment_service.key_store.contract import Order
from payment_service.payments.shop_events.outbox import NotAnswered
from payment_service.schema.secret import Secret
from payment_service.settings.checks import names

if TYPE_CHECKING:
    from payment_service.access.clients import Clients
    from payment_service.settings import Settings

# A post that took this long and was not accepted has occupied a thread in vain.
SLOW_SECONDS = 1.0

# How long a receiver that answers too late gets no posts. Meanwhile its events count as tried, so
# that they leave the front of the queue: they must not hide the events of other receivers.
REST_SECONDS = 30.0

Post = Callable[[bytes], int]


class Receiver(Struct, frozen=True):
    """The URL of a shop's server, and the secrets that sign the events for it."""

    url: str
    secrets: tuple[str, ...]


class Receivers:
    """The receiver of each client.

    `default` is the receiver of every client that is not in `own`, and of orders without a client.
    """

    def __init__(
        self, default: Receiver | None = None, own: Mapping[str, Receiver] | None = None
    ) -> None:
        self._default, self._own = default, dict(own or {})

    def __bool__(self) -> bool:
        return bool(self._default or self._own)

    def of(self, order: Order) -> Receiver | None:
        """Return the order's receiver; None if its events go nowhere."""
        return self._own.get(order.client_id or "", self._default)

    def any_for(self, order: Order) -> bool:
        """Whether the order has a receiver."""
        return self.of(order) is not None


def receivers_of(settings: Settings, clients: Clients | None) -> Receivers:
    """Return the receivers of the settings and of the clients file."""
    own = {
        client.id: _receiver(client.order_events_url, client.order_events_secret)
        for client in clients or ()
    }
    default = _receiver(settings.order_events_url, settings.order_events_secret)
    return Receivers(default, {name: found for name, found in own.items() if found})


def _receiver(url: str | None, secret: Secret | None) -> Receiver | None:
    if url is None or secret is None:
        return None
    return Receiver(url, tuple(names(secret.get_secret_value())))


class Posts:
    """Posts each order's events to its receiver; shared by the threads of a loop.

    A receiver that answers too late rests for REST_SECONDS, so that its backlog takes no threads
    from the others.
    """

    def __init__(
        self,
        receivers: Receivers,
        clock: Callable[[], float] = time.time,
        network: Network | None = None,
        more_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`more_headers` is called for each post."""
        self._receivers, self._clock, self._network = receivers, clock, network
        self._more_headers = more_headers
        self._posts: dict[Receiver, Post] = {}
        self._rests_until: dict[Receiver, float] = {}
        self._lock = threading.Lock()

    def __call__(self, order: Order, body: bytes) -> int:
        """Post once; return the status. Raises NotAnswered, also while the receiver rests."""
        receiver = self._receivers.of(order)
        if receiver is None:
            raise NotAnswered("the order has no receiver")
        if time.monotonic() < self._rests_until.get(receiver, 0.0):
            raise NotAnswered("the receiver rests, because it answered too late")
        started, accepted = time.monotonic(), False
        try:
            status = self._post_of(receiver)(body)
            accepted = 200 <= status < 300
            return status
        finally:
            ended = time.monotonic()
            if not accepted and ended - started >= SLOW_SECONDS:
                self._rests_until[receiver] = ended + REST_SECONDS

    def _post_of(self, receiver: Receiver) -> Post:
        with self._lock:
            if receiver not in self._posts:
                self._posts[receiver] = ShopListener(
                    receiver.url,
                    receiver.secrets,
                    self._clock,
                    self._network,
                    more_headers=self._more_headers,
                )
            return self._posts[receiver]
