"""The exact parameters that are sent under an idempotency key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# The gateway of a record that names none: every record that was written before there were others.
DEFAULT_GATEWAY = "stripe"


@dataclass(frozen=True, slots=True)
class SentParams:
    """The parameters of a key, kept as text so that a resend is the same byte for byte.

    The API version belongs to it: a deploy may bring an SDK whose version refuses or reads the
    same parameters in another way. So does the gateway: another one knows nothing of the key.
    """

    api_version: str
    params: Mapping[str, Any]
    gateway: str = DEFAULT_GATEWAY

    def text(self) -> str:
        """Return the JSON text that KeyRecord.params keeps."""
        kept: dict[str, Any] = {"api_version": self.api_version, "params": self.params}
        if self.gateway != DEFAULT_GATEWAY:
            kept["gateway"] = self.gateway
        return _to_json(kept)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote; names keep their order."""
        kept = json.loads(text)
        return cls(kept["api_version"], kept["params"], kept.get("gateway", DEFAULT_GATEWAY))
