"""The signed POST of an order event to the shop's server."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlsplit

from payment_service.background.loop import PARALLEL
from payment_service.http_client.client import HttpClient, Network
from payment_service.http_client.failures import HttpFailure
from payment_service.outage import Outage
from payment_service.payments.shop_events.outbox import NotAnswered
from payment_service.schema.secret import redacted

log = logging.getLogger(__name__)

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
        self,
        url: str,
        secrets: Sequence[str],
        clock: Callable[[], float] = time.time,
        network: Network | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        more_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        # The setting may contain any letter, and may be encoded already.
        self._url = quote(url, safe="!#$%&'()*+,/:;=?@[]~")
        self._secrets, self._clock, self._more_headers = secrets, clock, more_headers
        self._host = urlsplit(self._url).hostname
        self._outage = Outage(monotonic)
        self._http = HttpClient(
            connect_seconds=CONNECT_TIMEOUT_SECONDS,
            read_seconds=READ_TIMEOUT_SECONDS,
            keep=PARALLEL,
            network=network,
        )

    def __call__(self, body: bytes) -> int:
        """Post once; return the status. Follows no redirect. Raises NotAnswered.

        Logs when the server stops answering, with the cause, and when it answers again.
        """
        headers = {
            **self._more_headers(),
            "Content-Type": "application/json; charset=utf-8",
            SIGNATURE_HEADER: signature(body, self._secrets, int(self._clock())),
        }
        try:
            answer = self._http.send("POST", self._url, headers, body)
        except HttpFailure as failure:
            cause = redacted(str(failure))
            if self._outage.begins(failure.phase):
                log.warning(
                    "the receiver of order events at %s does not answer (%s): %s",
                    self._host,
                    failure.phase,
                    cause,
                )
            raise NotAnswered(cause, failure.phase) from failure
        if self._outage.ends():
            log.info("the receiver of order events at %s answers again", self._host)
        return answer.status
