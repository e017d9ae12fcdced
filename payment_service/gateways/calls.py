"""A call to a gateway's HTTP API and its answer, whatever the gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from payment_service.gateways.send_report import Meaning, Verdict
from payment_service.http_client.connection import Response

_REQUEST_ID = re.compile("[A-Za-z0-9_.-]{1,100}")


class Http(Protocol):
    """The HTTP client: payment_service.http_client, or a test's."""

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        ends_at: float,
    ) -> Response:
        """Send once and return the whole answer by `ends_at` (time.monotonic).

        Raises HttpFailure.
        """
        ...

    def close(self) -> None:
        """Close the connections that are not in use."""
        ...


class Call(Struct):
    """One operation; counts its sends, and tracks whether the gateway may have executed one."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    api_version: str | None = None
    sends: int = 0
    unresolved: int = 0
    request_ids: set[str] = field(default_factory=set)
    """The gateway's ids of the requests that it answered with a failure."""
    may_send: Callable[[], bool] = lambda: True
    """Called before each send, because the wait before it may have taken longer than planned."""

    def note(self, verdict: Verdict) -> None:
        """Count a failed send. A rate-limited one never reached the idempotency layer."""
        self.unresolved += verdict.meaning is not Meaning.LIMITED
        if verdict.request_id:
            self.request_ids.add(verdict.request_id)

    @property
    def after_unresolved(self) -> bool:
        """Whether the gateway may have executed a send before the last one."""
        return self.unresolved > 1


class Answer(Struct, frozen=True):
    """A JSON answer. `headers` has lower-case names."""

    body: Any
    headers: Mapping[str, str]
    status: int = 200


class ErrorStatus(Exception):
    """An answer whose status reports an error."""


def plain_id(text: object) -> str | None:
    """Return the text if it is a well-formed request id: an answer may hold anything."""
    return text if isinstance(text, str) and _REQUEST_ID.fullmatch(text) else None
