"""An HTTP client for the gateway on the sandbox's core: no sockets, threads or waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Protocol
from urllib.parse import urlsplit

from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure
from sandbox import answers
from sandbox.faults import FaultOrder

LOST = ("lost_before", "lost_after", "cut_body", "hang")


class Core(Protocol):
    """A stand-in of a provider in this process."""

    clock: Callable[[], float]

    def draw_transport_fault(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> FaultOrder | None: ...

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> answers.Response: ...


class SandboxTransport:
    """Passes each send to `sandbox.handle`, and applies its transport faults.

    It calls `step` with `send` before and with `answer` after each send; a test can interleave
    other work there. No send takes time.
    """

    def __init__(self, sandbox: Core, step: Callable[[str], None] = lambda _: None) -> None:
        self._sandbox, self._step = sandbox, step

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        ends_at: float = math.inf,
    ) -> Response:
        """Send once."""
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        wanted = (method, target, {k.lower(): v for k, v in headers.items()}, body or b"")
        fault = self._sandbox.draw_transport_fault(*wanted)
        self._step("send")
        if fault and fault.kind == "lost_before":
            raise _lost()
        response = self._sandbox.handle(*wanted)
        self._step("answer")
        if fault and fault.kind in LOST:
            raise _lost()
        received = {name.lower(): value for name, value in response.headers.items()}
        received["date"] = formatdate(self._sandbox.clock(), usegmt=True)
        return Response(response.status, received, response.body)

    def close(self) -> None:
        """Do nothing: no connection is open."""


def _lost() -> HttpFailure:
    return HttpFailure("wait", "lost")
