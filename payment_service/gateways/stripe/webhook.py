"""Read an event of Stripe's: its signature first, over the bytes as they came, then its JSON."""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct
from msgspec.json import decode

from payment_service.errors import BadRequest
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.stripe.events import payment_event

# Stripe's own default (docs.stripe.com/webhooks): how old a signature may be, so that a copy that
# somebody kept is worth nothing. Not a setting, because 0 would switch the check off.
TOLERANCE_SECONDS = 300

# Stripe signs once for each secret that is not over: two while one is rolled.
MAX_SIGNATURES = 16

# A time and as many signatures, with those of other schemes.
MAX_HEADER_CHARACTERS = 4_096

_TIME = re.compile("[0-9]{1,12}")
_SIGNATURE = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Signed:
    """An event that was verified. `event`: None where it is about no order's PaymentIntent.

    `foreign`: signed with the secret of one client, and about an order in another's account.
    """

    event: PaymentEvent | None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """The client and account that an event names before its signature is verified."""

    client_id: str | None = None
    account: str | None = None


class SigningSecrets(Protocol):
    """The secrets that may have signed an event; false where there is none at all."""

    def __bool__(self) -> bool: ...

    def candidates(self, hint: Hint, named: str | None = None) -> list[str]:
        """Return the secrets to try, the likeliest first.

        `named`: the client of the address that Stripe called, where the address has one.
        """
        ...

    def may_change_orders_of(self, secret: str, client_id: str | None) -> bool:
        """Whether this secret speaks for the orders of a client (None: for orders of none)."""
        ...


class _Object(Struct):
    metadata: dict[str, Any] | None = None


class _Data(Struct):
    object: _Object | None = None


class _Hint(Struct):
    """As much of an event as tells whose secret to try first."""

    account: str | None = None
    data: _Data | None = None


def read_event(
    body: bytes,
    header: str | None,
    secrets: SigningSecrets,
    clock: Callable[[], float] = time.time,
    client_id: str | None = None,
) -> Signed:
    """Return the event. `client_id`: the client of the address that was called, where it has one.

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
            event = _parsed(body)
            foreign = event is not None and not secrets.may_change_orders_of(
                secret, event.order.client_id
            )
            return Signed(event, foreign)
    raise _not_stripes()


def _taken_apart(header: str) -> tuple[str, list[str]]:
    """Return the time and the signatures that a header has. Raises BadRequest."""
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
    """Look whose event this says it is: nothing is believed of it before it is verified."""
    try:
        found = decode(body, type=_Hint)
    except (ValueError, RecursionError):
        return Hint()
    inner = found.data.object if found.data else None
    client_id = (inner.metadata or {}).get("client_id") if inner else None
    return Hint(client_id if isinstance(client_id, str) else None, found.account)


def _parsed(body: bytes) -> PaymentEvent | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise BadRequest("The event is not JSON", code="malformed_json") from wrong
    if not isinstance(event, dict):
        raise BadRequest("The event is not a JSON object", code="malformed_json")
    return payment_event(event)


def _not_stripes() -> BadRequest:
    return _invalid("The signature is missing or is not Stripe's")


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signature")
