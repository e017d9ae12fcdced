"""Order tokens: what the shop's server signs so that a browser can ask for that order only."""

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

# A page may lie open for a day; a token that never ended could be used after the price changed.
MAX_LIFE_SECONDS = 24 * 3600

# How far the shop's clock and ours may be apart.
LEEWAY_SECONDS = 10

# Longer than any honest one, shorter than what costs time to take apart.
MAX_TOKEN_CHARACTERS = 6000

# Verifies nothing: a token of a client that does not exist takes as long as a forged one.
_NOBODY = shared_secret(secrets.token_hex())

# Instants are compared here, with the clock that was given.
_ONLY_THE_SIGNATURE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def verified_claims(token: str, clients: Clients, now: float) -> tuple[Client, dict[str, Any]]:
    """Return whose token it is and what it says. `now` in Unix seconds.

    Raises Unauthorized; the code is token_expired only for a token that was genuine.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _not_ours()
    client = _claimed_client(token, clients)
    claims = _claims(token, client.token_keys if client else (_NOBODY,))
    if client is None or claims is None or claims.get("client_id") != client.id:
        raise _not_ours()
    missing = [name for name in REQUIRED if claims.get(name) is None]
    if missing:
        raise Unauthorized(f"The token does not say: {', '.join(missing)}")
    _check_instants(claims, now)
    return client, claims


def _claimed_client(token: str, clients: Clients) -> Client | None:
    claims = _decoded(token, None)
    claimed = claims.get("client_id") if claims else None
    return clients.get(claimed) if isinstance(claimed, str) else None


def _claims(token: str, keys: tuple[TokenKey, ...]) -> dict[str, Any] | None:
    tried = [_decoded(token, key) for key in keys or (_NOBODY,)]
    return next((claims for claims in tried if claims is not None), None)


def _decoded(token: str, key: TokenKey | None) -> dict[str, Any] | None:
    """Take the token apart; only with a key is what it says worth anything."""
    try:
        if key is None:
            claims = jwt.decode(token, options={"verify_signature": False})
        else:
            claims = jwt.decode(
                token, key.key, algorithms=[key.algorithm], options=_ONLY_THE_SIGNATURE
            )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _check_instants(claims: dict[str, Any], now: float) -> None:
    ends, begins = claims["exp"], claims.get("nbf", 0)
    if not (_instant(ends) and _instant(begins)):
        raise Unauthorized("The token's exp must be an instant in Unix seconds")
    if ends <= now - LEEWAY_SECONDS:
        raise Unauthorized(
            "The token has expired: ask the shop for a new one", code="token_expired"
        )
    if ends > now + MAX_LIFE_SECONDS + LEEWAY_SECONDS:
        raise Unauthorized(f"The token lives too long: at most {MAX_LIFE_SECONDS} seconds")
    if begins > now + LEEWAY_SECONDS:
        raise Unauthorized("The token is not valid yet")


def _instant(value: object) -> bool:
    """Python's JSON knows NaN, which no instant is after."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _not_ours() -> Unauthorized:
    return Unauthorized("The token is not one of a client of this service")
