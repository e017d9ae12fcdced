"""Read a Stripe event: first verify its signature over the raw bytes, then parse the JSON."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from msgspec import Struct
from msgspec.json import decode

from payment_service.errors import BadRequest
from payment_service.gateways.event import DisputeEvent, MoneyEvent, PaymentEvent
from payment_service.gateways.event_json import parse_event
from payment_service.gateways.stripe.events import payment_event
from payment_service.gateways.stripe.money_events import money_event

# The maximum age of a signature, against replay attacks: Stripe's own default
# (docs.stripe.com/webhooks). Not a setting, because 0 would switch the check off.
TOLERANCE_SECONDS = 300

# Stripe signs once for each active secret: two while a secret is being rolled.
MAX_SIGNATURES = 16

# Room for a time and that many signatures, and for those of other schemes.
MAX_HEADER_CHARACTERS = 4_096

_TIME = re.compile("[0-9]{1,12}")
_SIGNATURE = re.compile("[0-9a-f]{64}")


class Signed(Struct, frozen=True):
    """A verified event. `event` is None if it is not about the PaymentIntent of an order.

    `foreign`: signed with one client's secret, but about an order in another client's account.
    `money`: the event, if it is about a refund or a dispute. It may name no order; then ask
    `covers` for the client of the order that its PaymentIntent names.
    """

    event: PaymentEvent | None
    foreign: bool = False
    money: MoneyEvent | None = None
    covers: Callable[[str | None], bool] = lambda _: False
    """Whether the secret that signed it covers the orders of a client (None: of no client)."""


class Hint(Struct, frozen=True):
    """The client and account that an event names before its signature is verified."""

    client_id: str | None = None
    account: str | None = None


class SigningSecrets(Protocol):
    """The secrets that may have signed an event; false if there are none."""

    def __bool__(self) -> bool: ...

    def candidates(self, hint: Hint, named: str | None = None) -> list[str]:
        """Return the secrets to try, most likely first.

        `named`: the client in the URL that Stripe called, if the URL names one.
        """
        ...

    def may_change_orders_of(self, secret: str, client_id: str | None) -> bool:
        """Whether this secret covers the orders of a client (None: orders without a client)."""
        ...


class _Object(Struct):
    metadata: dict[str, Any] | None = None


class _Data(Struct):
    object: _Object | None = None


class _Hint(Struct):
    """The part of an event that tells which secret to try first."""

    account: str | None = None
    data: _Data | None = None


def read_event(
    body: bytes,
    header: str | None,
    secrets: SigningSecrets,
    clock: Callable[[], float] = time.time,
    client_id: str | None = None,
) -> Signed:
    """Verify and return the event. `client_id`: the client in the called URL, if it names one.

    Raises BadRequest: webhook_secret_missing, invalid_signature, malformed_json.
    """
    if not secrets:
        raise BadRequest(
            "STRIPE_WEBHOOK_SECRET is not set: no event is taken", code="webhook_secret_missing"
        )
    signed_at, signatures = _taken_apart(header or "")
    if abs(clock() - int(signed_at)) > TOLERANCE_SECONDS:
        raise _invalid("The signature is too old: is the clock right?")
    payload = signed_at.encode() + b"." + body
    for secret in secrets.candidates(_hint_of(body), client_id):
        if _is_signed(payload, signatures, secret):
            return _signed(parse_event(body), partial(secrets.may_change_orders_of, secret))
    raise _not_stripes()


def _taken_apart(header: str) -> tuple[str, list[str]]:
    """Return the time and the signatures in a header. Raises BadRequest."""
    if len(header) > MAX_HEADER_CHARACTERS:
        raise _not_stripes()
    pairs = [part.partition("=") for part in header.split(",")]
    signed_at = next((text for name, _, text in pairs if name == "t"), "")
    signatures = [text for name, _, text in pairs if name == "v1"]
    if not _TIME.fullmatch(signed_at) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise _not_stripes()
    return signed_at, [text for text in signatures if _SIGNATURE.fullmatch(text)]


def _is_signed(payload: bytes, signatures: list[str], secret: str) -> bool:
    expected = hmac.digest(secret.encode(), payload, "sha256").hex()
    return any(hmac.compare_digest(expected, each) for each in signatures)


def _hint_of(body: bytes) -> Hint:
    """Read which client and account the event claims; only a hint until it is verified."""
    try:
        found = decode(body, type=_Hint)
    except (ValueError, RecursionError):
        return Hint()
    inner = found.data.object if found.data else None
    client_id = (inner.metadata or {}).get("client_id") if inner else None
    return Hint(client_id if isinstance(client_id, str) else None, found.account)


def _signed(event: dict[str, Any], covers: Callable[[str | None], bool]) -> Signed:
    payment, money = payment_event(event), money_event(event)
    named = payment or money
    order = None if isinstance(named, DisputeEvent | None) else named.order
    foreign = order is not None and not covers(order.client_id)
    return Signed(payment, foreign, money, covers)


def _not_stripes() -> BadRequest:
    return _invalid("The signature is missing or is not Stripe's")


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signature")
