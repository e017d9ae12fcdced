"""Order tokens: signed by the shop's server, they give a browser access to one order."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any

import jwt

from payment_service.access.clients import Client, Clients
from payment_service.access.keys import TokenKey, shared_secret
from payment_service.errors import Unauthorized

if TYPE_CHECKING:
    from jwt.types import Options

REQUIRED = ("order_id", "amount", "currency", "client_id", "exp")

# A page may stay open for a day; a token without an end could be used after a price change.
MAX_LIFE_SECONDS = 24 * 3600

# Allowed difference between the shop's clock and ours.
LEEWAY_SECONDS = 10

# Longer than any valid token, and short enough to parse quickly.
MAX_TOKEN_CHARACTERS = 6000

# Verifies no token. With it, an unknown client's token takes as long as a forged one.
_DUMMY_KEY = shared_secret(secrets.token_hex())

# This module checks the times itself, against the `now` that it is called with.
_SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def verified_claims(token: str, clients: Clients, now: float) -> tuple[Client, dict[str, Any]]:
    """Return the token's client and its claims. `now` is in Unix seconds.

    Raises Unauthorized; its code is token_expired only if the signature is valid.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _unknown_token()
    client = _claimed_client(token, clients)
    claims = _claims(token, client.token_keys if client else (_DUMMY_KEY,))
    if client is None or claims is None or claims.get("client_id") != client.id:
        raise _unknown_token()
    missing = [name for name in REQUIRED if claims.get(name) is None]
    if missing:
        raise Unauthorized(f"The token lacks: {', '.join(missing)}")
    _check_times(claims, now)
    return client, claims


def _claimed_client(token: str, clients: Clients) -> Client | None:
    claims = _decoded(token, None)
    claimed = claims.get("client_id") if claims else None
    return clients.get(claimed) if isinstance(claimed, str) else None


def _claims(token: str, keys: tuple[TokenKey, ...]) -> dict[str, Any] | None:
    tried = [_decoded(token, key) for key in keys or (_DUMMY_KEY,)]
    return next((claims for claims in tried if claims is not None), None)


def _decoded(token: str, key: TokenKey | None) -> dict[str, Any] | None:
    """Decode the token. Without a key its claims are unverified."""
    try:
        if key is None:
            claims = jwt.decode(token, options={"verify_signature": False})
        else:
            claims = jwt.decode(token, key.key, algorithms=[key.algorithm], options=_SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _check_times(claims: dict[str, Any], now: float) -> None:
    ends, begins = claims["exp"], claims.get("nbf", 0)
    if not (_is_time(ends) and _is_time(begins)):
        raise Unauthorized("The token's exp and nbf must be times in Unix seconds")
    if ends <= now - LEEWAY_SECONDS:
        raise Unauthorized(
            "The token has expired: ask the shop for a new one", code="token_expired"
        )
    if ends > now + MAX_LIFE_SECONDS + LEEWAY_SECONDS:
        raise Unauthorized(f"The token is valid for too long: at most {MAX_LIFE_SECONDS} seconds")
    if begins > now + LEEWAY_SECONDS:
        raise Unauthorized("The token is not valid yet")


def _is_time(value: object) -> bool:
    """Reject NaN, which Python's JSON accepts and which compares false with every time."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _unknown_token() -> Unauthorized:
    return Unauthorized("The token belongs to no client of this service")
