"""Read a PayPal event: first verify its signature over the raw bytes, then parse the JSON."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Mapping, Sequence

from payment_service.errors import BadRequest, GatewayUnreachable
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.event_json import parse_event
from payment_service.gateways.paypal.certificates import Certificates, NotPayPals, Unavailable
from payment_service.gateways.paypal.events import payment_event

ALGORITHM = "SHA256withRSA"

# Separated by `|` in the signed text, so a part must not contain one.
_PART = re.compile("[!-{}~]{1,100}")

# A signature of RSA with 4096 bits has 684 characters of base64.
MOST_SIGNATURE = 1_000


def read_event(
    body: bytes,
    headers: Mapping[str, str],
    webhook_ids: Sequence[str],
    certificates: Certificates,
    *,
    livemode: bool,
) -> PaymentEvent | None:
    """Verify the event and return it; None if it is not about an order of ours.

    `headers`: with lower-case names. `webhook_ids`: PayPal's ids of this address. There is no
    maximum age: PayPal delivers for three days, and an event is only a reason to read the order.

    Raises BadRequest: webhook_id_missing, invalid_signature, malformed_json. Raises
    GatewayUnreachable if PayPal does not return the certificate; PayPal then delivers again.
    """
    if not webhook_ids:
        raise BadRequest(
            "PAYPAL_WEBHOOK_ID is not set: no event is taken", code="webhook_id_missing"
        )
    signature, url = _signature(headers), headers.get("paypal-cert-url", "")
    texts = [signed_text(body, headers, each) for each in webhook_ids]
    try:
        signed = any(certificates.verify(url, signature, text) for text in texts)
    except NotPayPals as wrong:
        raise _not_paypals() from wrong
    except Unavailable as silent:
        message = "PayPal did not return the certificate of its signature."
        raise GatewayUnreachable(message, code="paypal_unreachable") from silent
    if not signed:
        raise _not_paypals()
    return payment_event(parse_event(body), livemode=livemode)


def signed_text(body: bytes, headers: Mapping[str, str], webhook_id: str) -> bytes:
    """Return the text that PayPal signs. Raises BadRequest for a missing or malformed header."""
    names = ("paypal-transmission-id", "paypal-transmission-time")
    parts = [*(headers.get(name, "") for name in names), webhook_id, str(zlib.crc32(body))]
    if not all(map(_PART.fullmatch, parts)):
        raise _not_paypals()
    return "|".join(parts).encode()


def _signature(headers: Mapping[str, str]) -> bytes:
    """Return the decoded signature. Raises BadRequest without one of the known algorithm."""
    text = headers.get("paypal-transmission-sig", "")
    if headers.get("paypal-auth-algo") != ALGORITHM or not 0 < len(text) <= MOST_SIGNATURE:
        raise _not_paypals()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise _not_paypals() from wrong


def _not_paypals() -> BadRequest:
    return BadRequest("The signature is missing or is not PayPal's", code="invalid_signature")
