"""Stripe's SDK on the sandbox's core in this process, without sockets, threads and waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import stripe

from sandbox.core import Sandbox

LOST = ("lost_before", "lost_after", "cut_body", "hang")


class SandboxTransport(stripe.HTTPClient):
    """Passes each send to `sandbox.handle`, and applies its transport faults.

    It calls `step` with `send` before and with `answer` after each send; a test can interleave
    other work there.
    """

    name = "requests"

    def __init__(self, sandbox: Sandbox, step: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self._sandbox, self._step = sandbox, step

    @contextmanager
    def limit(self, deadline: float) -> Iterator[None]:
        """Do nothing: no send takes time."""
        yield

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send once."""
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        body = (post_data or "").encode()
        wanted = (method.upper(), target, {k.lower(): v for k, v in (headers or {}).items()}, body)
        fault = self._sandbox.draw_transport_fault(*wanted)
        self._step("send")
        if fault and fault.kind == "lost_before":
            raise _lost()
        response = self._sandbox.handle(*wanted)
        self._step("answer")
        if fault and fault.kind in LOST:
            raise _lost()
        return response.body.decode(), response.status, response.headers

    def close(self) -> None:
        """Do nothing: no connection is open."""


def _lost() -> stripe.APIConnectionError:
    return stripe.APIConnectionError("lost", should_retry=True)  # type: ignore[no-untyped-call]
