"""The connection to PayPal of one worker, cut into steps that can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from greenlet import GreenletExit

from payment_service.http_client import connection as http_client
from payment_service.http_client.failures import HttpFailure
from sandbox.answers import Response
from sandbox.faults import FaultOrder
from sandbox.paypal.core import ORDERS, TOKEN, Execution
from tests.proof.explorer.choices import Option
from tests.proof.explorer.gated_world import Second
from tests.proof.explorer.wires import ANSWER, FINE, LATE_SECONDS, MOST_UNDER_WAY_SECONDS

if TYPE_CHECKING:
    from tests.proof.explorer.actors import Worker

CREATE, READ, CAPTURE = "POST order", "GET order", "POST capture"

COMMON = (
    FINE,
    Option("lost before throughout", faults=1),
    Option("lost after throughout", faults=1),
    Option("lost before", faults=1),
    Option("error_500_with_object", faults=1),
    Option("error_503", faults=1),
    Option("key_in_use", faults=1),
    Option("forbidden", faults=1),
    Option("executes slowly", faults=1),
    Option("executes slowly, nobody waits", faults=1),
)

# The end to which PayPal or the bank brings a capture; see sandbox.paypal.acts.
PLANS = ("INSTRUMENT_DECLINED", "PAYER_CANNOT_PAY", "DECLINED", "PENDING")

OPTIONS = {
    CREATE: COMMON,
    READ: (FINE, Option("lost before throughout", faults=1), Option("error_503", faults=1)),
    CAPTURE: (*COMMON, *(Option(plan, faults=1) for plan in PLANS)),
}


class GatedTransport:
    """HTTP over PayPal's core: to arrive and to be answered are steps of a write.

    The call for a token is no step: without a token nothing is sent.
    """

    def __init__(self, worker: Worker, second: Second) -> None:
        self._worker, self._second = worker, second

    def close(self) -> None:
        """Nothing is open."""

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        ends_at: float,
    ) -> http_client.Response:
        """Send once."""
        path, world = urlsplit(url).path, self._worker.world
        if path == TOKEN:
            return _received(self._second.sandbox.issue(headers, body or b""))
        what, left_at = _named(method, path), world.now
        self._worker.pause(what)
        if world.now - left_at > MOST_UNDER_WAY_SECONDS:
            self._worker.notice("too late")
            raise _lost()
        fault = self._fault(what)
        wanted = (method, path, {name.lower(): text for name, text in headers.items()}, body or b"")
        return self._read(self._arrive(fault, what, wanted), fault, what)

    def _fault(self, what: str) -> str:
        worker = self._worker
        if worker.gated_throughout:
            return worker.gated_throughout
        chosen = worker.choose(what, OPTIONS[what])
        if chosen.endswith(" throughout"):
            worker.gated_throughout = chosen.removesuffix(" throughout")
            return worker.gated_throughout
        return chosen

    def _arrive(
        self, fault: str, what: str, wanted: tuple[str, str, dict[str, str], bytes]
    ) -> Response:
        if fault == "lost before":
            self._worker.notice(fault)
            raise _lost()
        self._arrives(what, wanted)
        sandbox = self._second.sandbox
        match fault:
            case "fine" | "lost after":
                return sandbox.handle(*wanted)
            case "executes slowly" | "executes slowly, nobody waits":
                started = sandbox.begin(*wanted)
                if isinstance(started, Response):
                    return started
                return self._slowly(started, waits=fault == "executes slowly")
            case _ if fault in PLANS:
                order = sandbox.orders.get(_order_id(wanted[1]))
                if order and not order.captures:
                    order.plan = fault
                return sandbox.handle(*wanted)
            case _:
                sandbox.faults.order(FaultOrder(fault))
                answer = sandbox.handle(*wanted)
                sandbox.faults.clear()
                return answer

    def _arrives(self, what: str, wanted: tuple[str, str, dict[str, str], bytes]) -> None:
        judge = self._second.judge
        if what == CREATE:
            judge.creation_arrives(wanted[2]["paypal-request-id"], wanted[3])
        if what == CAPTURE:
            judge.capture_arrives(_order_id(wanted[1]))

    def _slowly(self, execution: Execution, *, waits: bool) -> Response:
        """PayPal goes on, also if the worker does not."""
        late = (self._worker.world.now + LATE_SECONDS, execution)
        if not waits:
            self._second.executing.append(late)
            self._worker.notice("nobody waits")
            raise _lost()
        try:
            self._worker.pause("executes")
        except GreenletExit:
            self._second.executing.append(late)
            raise
        return self._second.sandbox.finish(execution)

    def _read(self, answer: Response, fault: str, what: str) -> http_client.Response:
        self._worker.notice((answer.status, answer.body))
        if what != READ:
            # The answer on its way decides the next step, so two answers are two states.
            on_its_way = f"answer to {what}"
            self._worker.pause(on_its_way)
            if fault == "lost after" or self._worker.choose(on_its_way, ANSWER) == "lost after":
                self._worker.notice("lost after")
                raise _lost()
        return _received(answer)


def _received(answer: Response) -> http_client.Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return http_client.Response(answer.status, headers, answer.body)


def _named(method: str, path: str) -> str:
    if path == ORDERS:
        return CREATE
    return CAPTURE if path.endswith("/capture") else f"{method} order"


def _order_id(path: str) -> str:
    return path.removeprefix(f"{ORDERS}/").removesuffix("/capture")


def _lost() -> HttpFailure:
    return HttpFailure("wait", "lost")
