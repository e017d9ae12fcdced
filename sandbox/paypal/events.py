"""Webhook events, and the signature with a key that is made at the start."""

from __future__ import annotations

import base64
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.answers import JsonObject
from sandbox.paypal.orders import moment

CERTIFICATE_PATH = "/v1/notifications/certs/CERT-SANDBOX-1"

_CAPTURES = {
    "COMPLETED": "PAYMENT.CAPTURE.COMPLETED",
    "PENDING": "PAYMENT.CAPTURE.PENDING",
    "DECLINED": "PAYMENT.CAPTURE.DENIED",
    "FAILED": "PAYMENT.CAPTURE.DENIED",
    "REFUNDED": "PAYMENT.CAPTURE.REFUNDED",
}

_REFUNDS = {
    "COMPLETED": "PAYMENT.CAPTURE.REFUNDED",
    "PENDING": "PAYMENT.REFUND.PENDING",
    "FAILED": "PAYMENT.REFUND.FAILED",
    "CANCELLED": "PAYMENT.REFUND.FAILED",
}


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate() -> bytes:
    """Return the certificate that verifies the signatures, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PayPal stand-in")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(1)
        # The sandbox's clock may be moved by years.
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2200, 1, 1, tzinfo=UTC))
        .sign(_key(), SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def signer(base_url: Callable[[], str]) -> Callable[[bytes, str], dict[str, str]]:
    """Return the function that signs a delivery to a webhook id.

    `base_url`: the address under which the certificate is served.
    """

    def headers_of(payload: bytes, webhook_id: str) -> dict[str, str]:
        transmission, at = str(uuid.uuid4()), moment(datetime.now(UTC).timestamp())
        text = f"{transmission}|{at}|{webhook_id}|{zlib.crc32(payload)}"
        signature = _key().sign(text.encode(), PKCS1v15(), SHA256())
        return {
            "Content-Type": "application/json",
            "PAYPAL-TRANSMISSION-ID": transmission,
            "PAYPAL-TRANSMISSION-TIME": at,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
            "PAYPAL-CERT-URL": base_url() + CERTIFICATE_PATH,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "User-Agent": "PayPal/AUHD-214.0-55417034",
        }

    return headers_of


def order_event(event_id: str, kind: str, order: JsonObject, now: float) -> JsonObject:
    """Return an event about an order."""
    return _event(event_id, kind, "checkout-order", order, now)


def capture_event(event_id: str, capture: JsonObject, order_id: str, now: float) -> JsonObject:
    """Return an event about a captured payment, which names its order."""
    related = {"supplementary_data": {"related_ids": {"order_id": order_id}}}
    kind = _CAPTURES[capture["status"]]
    return _event(event_id, kind, "capture", {**capture, **related}, now)


def refund_event(event_id: str, refund: JsonObject, now: float) -> JsonObject:
    """Return an event about a refund, which links to its captured payment only."""
    return _event(event_id, _REFUNDS[refund["status"]], "refund", refund, now)


def _event(event_id: str, kind: str, of: str, resource: JsonObject, now: float) -> JsonObject:
    return {
        "id": event_id,
        "create_time": moment(now),
        "resource_type": of,
        "event_version": "1.0",
        "resource_version": "2.0",
        "event_type": kind,
        "summary": kind,
        "resource": resource,
        "links": [],
    }
