"""Access tokens: each REST app is a separate account, and every secret is valid."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, unquote

from sandbox.answers import Response
from sandbox.paypal.orders import moment
from sandbox.paypal.refusals import Refusal, as_json


class AccessTokens:
    """The tokens of all apps. A secret that contains `invalid` gets 401."""

    def __init__(
        self,
        clock: Callable[[], float],
        seconds: Callable[[], float],
        new_id: Callable[[int], str],
    ) -> None:
        """`seconds`: the life of a token that is issued now."""
        self._clock, self._seconds, self._new_id = clock, seconds, new_id
        self._issued: dict[str, tuple[str, float]] = {}

    def issue(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request to the token endpoint."""
        client_id, secret = _credentials(headers.get("authorization", ""))
        if not (client_id and secret) or "invalid" in secret:
            return _error(401, "invalid_client", "Client Authentication failed")
        if parse_qs(body.decode("ascii", "replace")) != {"grant_type": ["client_credentials"]}:
            return _error(400, "unsupported_grant_type", "Grant Type is not supported")
        token, seconds, now = f"A21AA{self._new_id(40)}", self._seconds(), self._clock()
        self._issued[token] = client_id, now + seconds
        issued = {
            "scope": "https://uri.paypal.com/services/checkout/orders",
            "access_token": token,
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "expires_in": int(seconds),
            "nonce": f"{moment(now)}{self._new_id(12)}",
        }
        return as_json(200, issued)

    def account_of(self, headers: Mapping[str, str]) -> str:
        """Return the account of a request's token. Raises a 401."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        account, until = self._issued.get(token, ("", 0.0))
        if kind != "Bearer" or self._clock() >= until:
            raise Refusal(401)
        return account

    def revoke(self) -> None:
        """Make every issued token invalid, before its end."""
        self._issued.clear()


def _error(status: int, error: str, description: str) -> Response:
    return as_json(status, {"error": error, "error_description": description})


def _credentials(header: str) -> tuple[str, str]:
    """Return the client id and the secret of a Basic header; empty if it is none."""
    kind, _, text = header.partition(" ")
    try:
        pair = base64.b64decode(text, validate=True).decode() if kind == "Basic" else ""
    except (binascii.Error, ValueError):
        pair = ""
    client_id, _, secret = pair.partition(":")
    return unquote(client_id), unquote(secret)
