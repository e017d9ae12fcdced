"""Transport faults: the response is lost, cut or delayed, whether or not the request executed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sandbox.answers import Response
from sandbox.faults import FaultOrder

E = TypeVar("E")
"""A request that a core has begun to execute."""


class Wire(Protocol):
    """A connection to one client. Call each method at most once, except `write`."""

    def begin_answer(self, response: Response) -> None:
        """Send the status line and the headers, including the full Content-Length."""

    def write(self, part: bytes) -> None:
        """Send part of the body."""

    def cut(self) -> None:
        """Close the connection, even if the body is incomplete."""


@dataclass(frozen=True, slots=True)
class Work(Generic[E]):
    """The processing of one request by the core, and a wait that a shutdown interrupts."""

    begin: Callable[[], Response | E]
    finish: Callable[[E], Response]
    wait: Callable[[float], object]

    def do(self) -> Response:
        """Process the whole request."""
        started = self.begin()
        return started if isinstance(started, Response) else self.finish(started)


def serve_with_fault(fault: FaultOrder, work: Work[Any], wire: Wire) -> None:
    """Serve one request with a fault."""
    _HANDLERS[fault.kind](fault, work, wire)


def send(response: Response, wire: Wire) -> None:
    """Send a complete response."""
    wire.begin_answer(response)
    wire.write(response.body)


def _lost_before(_: FaultOrder, __: Work[Any], wire: Wire) -> None:
    wire.cut()


def _lost_after(_: FaultOrder, work: Work[Any], wire: Wire) -> None:
    work.do()
    wire.cut()


def _cut_body(_: FaultOrder, work: Work[Any], wire: Wire) -> None:
    response = work.do()
    wire.begin_answer(response)
    wire.write(response.body[: len(response.body) // 2])
    wire.cut()


def _slow(fault: FaultOrder, work: Work[Any], wire: Wire) -> None:
    """Wait within the execution, so that another request with the same key gets 409."""
    started = work.begin()
    work.wait(fault.seconds)
    send(started if isinstance(started, Response) else work.finish(started), wire)


def _hang(fault: FaultOrder, work: Work[Any], wire: Wire) -> None:
    if fault.executes:
        work.do()
    work.wait(fault.seconds)
    wire.cut()


def _dribble(fault: FaultOrder, work: Work[Any], wire: Wire) -> None:
    response = work.do()
    pause = fault.seconds / max(1, len(response.body))
    wire.begin_answer(response)
    for byte in response.body:
        work.wait(pause)
        wire.write(bytes([byte]))


_HANDLERS: dict[str, Callable[[FaultOrder, Work[Any], Wire], None]] = {
    "lost_before": _lost_before,
    "lost_after": _lost_after,
    "cut_body": _cut_body,
    "slow": _slow,
    "hang": _hang,
    "dribble": _dribble,
}
