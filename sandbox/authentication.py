"""Authentication: an API key determines the account, the mode and the permissions."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sandbox.answers import Refusal, refusal

SECRET_KEY = "sk_test_sandbox"  # noqa: S105 - printed at startup; it grants access to nothing
PUBLISHABLE_KEY = "pk_test_sandbox"

_KEY = re.compile(r"(sk|rk|pk)_(test|live)_([A-Za-z0-9]+)(?:_\w*)?\Z")

# A real key begins with 5 and sixteen characters that identify the account, in sk_ as in pk_.
_ACCOUNT_LENGTH = 17

# A sandbox must never get a real live key, so accept only one that no account can have.
_LIVE_ACCOUNT = "sandbox"


class Account(NamedTuple):
    """The owner of objects and idempotency keys: an account in test or live mode."""

    name: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """The account of a request, and whether its key is publishable (a browser's) or secret."""

    account: Account
    publishable: bool


def authenticate(headers: Mapping[str, str]) -> Caller:
    """Read the key from `Authorization` (Bearer or Basic); header names are in lower case.

    Every sk_test_… key is valid, except that one containing `invalid` gets 401, so that tests can
    provoke it.
    """
    key = _given_key(headers.get("authorization", ""))
    found = _KEY.match(key)
    if not found or "invalid" in key:
        raise _unauthorized(f"Invalid API Key provided: {_masked(key)}")
    kind, mode, owner = found.groups()
    if mode == "live" and owner != _LIVE_ACCOUNT:
        raise _unauthorized("This is a sandbox: never give it a live key.")
    account = headers.get("stripe-account") or owner[:_ACCOUNT_LENGTH]
    return Caller(Account(account, mode == "live"), kind == "pk")


def named_account(headers: Mapping[str, str]) -> str | None:
    """Return the account of a request's key, or None if the key would get 401."""
    try:
        return authenticate(headers).account.name
    except Refusal:
        return None


def secret_only(caller: Caller) -> None:
    """Reject a publishable key where Stripe requires a secret one."""
    if caller.publishable:
        message = (
            "This API call cannot be made with a publishable API key. Please use a secret API key."
        )
        raise refusal(message, status=401, code="secret_key_required")


def _given_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    if scheme.lower() == "basic" and value:
        return _basic_user(value)
    raise _unauthorized(
        "You did not provide an API key. You need to provide your API key in the Authorization "
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
    )


def _basic_user(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        raise _unauthorized("Invalid Basic authorization.") from None


def _unauthorized(message: str) -> Refusal:
    headers = {"WWW-Authenticate": 'Basic realm="Stripe"'}
    return refusal(message, status=401, headers=headers)


def _masked(key: str) -> str:
    return f"{key[:8]}****{key[-4:]}" if len(key) > 12 else "****"
