"""The idempotency key of an order's attempt, and the exact parameters that it stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# Says in Stripe's log whose keys these are; a key has at most 255 ASCII characters.
PREFIX = "order-"

# Part of every hash: keys of another application in the same account must not meet ours.
NAMESPACE = "stripe-back-end-api/1"

FIRST_ATTEMPT = 1

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def idempotency_key(client_id: str | None, order_id: str, attempt: int = FIRST_ATTEMPT) -> str:
    """Return the key of an order's attempt: a pure function, so that it survives any loss.

    Hashed, because keys must hold no personal data (docs.stripe.com/api/idempotent_requests).
    Test and live mode need no place in it: Stripe keeps their keys apart.
    """
    named = json.dumps([NAMESPACE, client_id, order_id, attempt])
    return PREFIX + hashlib.sha256(named.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SentParams:
    """What is sent under a key: kept as text, so that a resend is the same byte for byte.

    The API version belongs to it: a deploy may bring an SDK whose version refuses or reads the
    same parameters in another way.
    """

    api_version: str
    params: Mapping[str, Any]

    def text(self) -> str:
        """Return the JSON text that KeyRecord.params keeps."""
        kept = {"api_version": self.api_version, "params": self.params}
        return _to_json(kept)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote; names keep their order."""
        kept = json.loads(text)
        return cls(kept["api_version"], kept["params"])
