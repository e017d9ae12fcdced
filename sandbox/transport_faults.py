"""What breaks between two machines: done or not, the answer does not arrive whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sandbox.answers import Response
from sandbox.execution import Execution
from sandbox.faults import FaultOrder


class Wire(Protocol):
    """A connection to one client. Every method may be called once, but `write`."""

    def begin_answer(self, response: Response) -> None:
        """Send the status line and the headers, with the full Content-Length."""

    def write(self, part: bytes) -> None:
        """Send a part of the body."""

    def cut(self) -> None:
        """Close the connection, whatever was announced."""


@dataclass(frozen=True, slots=True)
class Work:
    """The request's way through the core, to be taken or not, and a wait that a shutdown ends."""

    begin: Callable[[], Response | Execution]
    finish: Callable[[Execution], Response]
    wait: Callable[[float], object]

    def do(self) -> Response:
        """Begin and finish."""
        started = self.begin()
        return started if isinstance(started, Response) else self.finish(started)


def answer_badly(fault: FaultOrder, work: Work, wire: Wire) -> None:
    """Serve one request in the way that the fault orders."""
    _WAYS[fault.kind](fault, work, wire)


def send(response: Response, wire: Wire) -> None:
    """Send a whole answer."""
    wire.begin_answer(response)
    wire.write(response.body)


def _lost_before(_: FaultOrder, __: Work, wire: Wire) -> None:
    wire.cut()


def _lost_after(_: FaultOrder, work: Work, wire: Wire) -> None:
    work.do()
    wire.cut()


def _cut_body(_: FaultOrder, work: Work, wire: Wire) -> None:
    response = work.do()
    wire.begin_answer(response)
    wire.write(response.body[: len(response.body) // 2])
    wire.cut()


def _slow(fault: FaultOrder, work: Work, wire: Wire) -> None:
    """The wait lies inside the execution, so another send of the key meanwhile gets 409."""
    started = work.begin()
    work.wait(fault.seconds)
    send(started if isinstance(started, Response) else work.finish(started), wire)


def _hang(fault: FaultOrder, work: Work, wire: Wire) -> None:
    if fault.executes:
        work.do()
    work.wait(fault.seconds)
    wire.cut()


def _dribble(fault: FaultOrder, work: Work, wire: Wire) -> None:
    response = work.do()
    pause = fault.seconds / max(1, len(response.body))
    wire.begin_answer(response)
    for byte in response.body:
        work.wait(pause)
        wire.write(bytes([byte]))


_WAYS: dict[str, Callable[[FaultOrder, Work, Wire], None]] = {
    "lost_before": _lost_before,
    "lost_after": _lost_after,
    "cut_body": _cut_body,
    "slow": _slow,
    "hang": _hang,
    "dribble": _dribble,
}
