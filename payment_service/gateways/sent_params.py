"""The exact parameters sent under an idempotency key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# The gateway of a record that names none: records from before the second gateway existed.
DEFAULT_GATEWAY = "stripe"


@dataclass(frozen=True, slots=True)
class SentParams:
    """The parameters of a key, stored as text so that a resend is byte-for-byte identical.

    They include the API version, because a deploy may bring an SDK whose version rejects the same
    parameters or reads them differently. They include the gateway, because no other gateway knows
    the key.
    """

    api_version: str
    params: Mapping[str, Any]
    gateway: str = DEFAULT_GATEWAY

    def text(self) -> str:
        """Return the JSON text that KeyRecord.params stores."""
        kept: dict[str, Any] = {"api_version": self.api_version, "params": self.params}
        if self.gateway != DEFAULT_GATEWAY:
            kept["gateway"] = self.gateway
        return _to_json(kept)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the output of `text`; names keep their order."""
        kept = json.loads(text)
        return cls(kept["api_version"], kept["params"], kept.get("gateway", DEFAULT_GATEWAY))
