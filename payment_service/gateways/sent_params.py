"""The exact parameters sent under an idempotency key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# The gateway of a record that names none: records from before the second gateway existed.
DEFAULT_GATEWAY = "stripe"

_PARSED = frozenset({"api_version", "params", "gateway"})


class SentParams:
    """The parameters of a key, and their stored text. Immutable; equal if the texts are equal.

    They include the API version, because a deploy may bring an SDK whose version rejects the same
    parameters or reads them differently. They include the gateway, because no other gateway knows
    the key.

    A stored text is kept as it is, so that a resend is byte-for-byte identical. It is parsed when
    the parameters are first read: most writes of a record only pass it on.
    """

    api_version: str
    """The API version that the send names."""
    params: Mapping[str, Any]
    """The parameters by name."""
    gateway: str
    """The name of the gateway that knows the key."""
    _text: str | None = None

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
        if self._text is None:
            kept: dict[str, Any] = {"api_version": self.api_version, "params": self.params}
            if self.gateway != DEFAULT_GATEWAY:
                kept["gateway"] = self.gateway
            self._text = _to_json(kept)
        return self._text

    def __getattr__(self, name: str) -> Any:
        """Parse the text. Python calls this only for an attribute that is not set yet."""
        if name not in _PARSED or self._text is None:
            raise AttributeError(name)
        kept = json.loads(self._text)
        gateway = kept.get("gateway", DEFAULT_GATEWAY)
        self.api_version, self.params, self.gateway = kept["api_version"], kept["params"], gateway
        return self.__dict__[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SentParams) and self.text() == other.text()

    def __hash__(self) -> int:
        return hash(self.text())

    def __repr__(self) -> str:
        return f"SentParams({self.text()})"
