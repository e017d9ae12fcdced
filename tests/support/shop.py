"""A shop's side of access, for tests: its clients file, its tokens, its API keys, operators."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import jwt

API_KEYS = {"shop-a": "api_" + "a" * 64, "shop-b": "api_" + "b" * 64}
OPERATOR_KEYS = {"anna": "operator_" + "1" * 64, "ben": "operator_" + "2" * 64}
SECRETS = {"shop-a": "secret-of-shop-a-" + "a" * 64, "shop-b": "secret-of-shop-b-" + "b" * 64}


def entry(client_id: str, *more: str) -> str:
    """Return a client's table of the file."""
    digest = hashlib.sha256(API_KEYS[client_id].encode()).hexdigest()
    lines = [
        f"[clients.{client_id}]",
        f'token_secrets = ["{SECRETS[client_id]}"]',
        f'api_keys_sha256 = ["{digest}"]',
        *more,
    ]
    return "\n".join(lines)


def operator(name: str, role: str, *more: str) -> str:
    """Return an operator's table of the file."""
    digest = hashlib.sha256(OPERATOR_KEYS[name].encode()).hexdigest()
    lines = [
        f"[operators.{name}]",
        f'api_keys_sha256 = ["{digest}"]',
        f'role = "{role}"',
        *more,
    ]
    return "\n".join(lines)


def clients_file(directory: Path, *entries: str) -> Path:
    """Write the file, by default with shop-a and shop-b."""
    path = directory / "clients.toml"
    path.write_text("\n".join(entries or (entry("shop-a"), entry("shop-b"))))
    return path


def claims(client_id: str = "shop-a", **changes: Any) -> dict[str, Any]:
    """Return the claims of a token for order A-1, with changes; None omits a claim."""
    said = {
        "order_id": "A-1",
        "amount": 1099,
        "currency": "usd",
        "client_id": client_id,
        "exp": int(time.time()) + 900,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def token(client_id: str = "shop-a", *, secret: str | None = None, **changes: Any) -> str:
    """Return an order token as the shop's server signs it."""
    said = claims(**{"client_id": client_id, **changes})
    return jwt.encode(said, secret or SECRETS[client_id], algorithm="HS256")


def bearer(proof: str) -> dict[str, str]:
    """Return the Authorization header."""
    return {"Authorization": f"Bearer {proof}"}
