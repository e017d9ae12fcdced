"""The exact parameters sent under an idempotency key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# The gateway of a record that names none: records from before the second gateway existed.
DEFAULT_GATEWAY = "stripe"


class SentParams:
    """The parameters of a key, and their stored text. Immutable; equal if the texts are equal.

    They include the API version, because a deploy may bring an SDK whose version rejects the same
    parameters or reads them differently. They include the gateway, because no other gateway knows
    the key.

    A stored text is kept as it is, so that a resend is byte-for-byte identical. It is parsed when
    the parameters are first read: most writes of a record only pass it on.
    """

    def __init__(
        self, api_version: str, params: Mapping[str, Any], gateway: str = DEFAULT_GATEWAY
    ) -> None:
        self.api_version, self.params, self.gateway = api_version, params, gateway

    @classmethod
    def parse(cls, text: str) -> Self:
        """Wrap a stored text; names keep their order.

        A text that `text` did not return raises ValueError, KeyError or TypeError when it is read.
        """
        sent = cls.__new__(cls)
        sent._text = text
        return sent

    def text(self) -> str:
        """Return the JSON text that KeyRecord.params stores."""
        return self._text

    @cached_property
    def api_version(self) -> str:
        """The API version that the send names."""
        version: str = self._parsed["api_version"]
        return version

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The parameters by name."""
        params: Mapping[str, Any] = self._parsed["params"]
        return params

    @cached_property
    def gateway(self) -> str:
        """The name of the gateway that knows the key."""
        name: str = self._parsed.get("gateway", DEFAULT_GATEWAY)
        return name

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self._text)
        return parsed

    @cached_property
    def _text(self) -> str:
        kept: dict[str, Any] = {"api_version": self.api_version, "params": self.params}
        if self.gateway != DEFAULT_GATEWAY:
            kept["gateway"] = self.gateway
        return _to_json(kept)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SentParams) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"SentParams({self._text})"
