"""The store and the connection to Stripe of one worker, cut into steps that can go wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qs, urlsplit

from greenlet import GreenletExit

from payment_service.http_client import connection as http_client
from payment_service.http_client.failures import HttpFailure
from payment_service.key_store.contract import (
    KeyRecord,
    Order,
    Position,
    Selection,
    State,
    StoreUnavailable,
)
from sandbox.answers import Response
from sandbox.execution import Execution
from sandbox.faults import FaultOrder
from tests.proof.explorer.choices import Option

if TYPE_CHECKING:
    from tests.proof.explorer.actors import Worker

T = TypeVar("T")

FINE = Option("fine")

READ = (FINE, Option("store down", faults=1))
LOST_ANSWER = "written, answer lost"
WRITE = (*READ, Option(LOST_ANSWER, faults=1))

# What Stripe, or what lies before it, makes of a creation that arrives. Those that end in
# "throughout" befall every send of the call, so that its retries do not help.
THROUGHOUT = ("lost before", "lost after", "rate_limited", "key_in_use", "edge")
CREATION = (
    FINE,
    *(Option(f"{kind} throughout", faults=1) for kind in THROUGHOUT),
    Option("lost before", faults=1),
    Option("error_500_with_object", faults=1),
    Option("error_500_without_object", faults=1),
    Option("late_object", faults=1),
    Option("unauthorized", faults=1),
    Option("refused by validation", faults=1),
    Option("refused by execution", faults=1),
    Option("executes slowly", faults=1),
    Option("executes slowly, nobody waits", faults=1),
)
# The errors of a server in front of Stripe, which a worker's "edge" sends get one after the other.
# They share one option, because every further option lengthens every search.
EDGE_KINDS = ("request_timeout_408", "misdirected_421", "too_early_425", "error_503")
# One that takes effect after its saved 500, and after a look, is what docs/after-creation.md says.
UPDATE = tuple(option for option in CREATION if option.name != "late_object")
OTHER = (FINE, Option("lost before throughout", faults=1), Option("error_503", faults=1))
ANSWER = (FINE, Option("lost after", faults=1))

CREATE = "POST intents"
REFUND = "POST refunds"
WRITES = {
    CREATE: CREATION,
    "POST intents/pi": UPDATE,
    REFUND: CREATION,
    "POST intents/pi/capture": CREATION,
}

# More than any payment: the execution rejects it, and Stripe saves the rejection.
TOO_MUCH = {"amount": 10**9, "amount_to_capture": 10**9}

# Sandbox seconds until the object of a late_object appears.
LATE_SECONDS = 20.0

# Nothing that was sent arrives later than this: the margin that the rules keep of Stripe's day.
MOST_UNDER_WAY_SECONDS = 3600.0

VALIDATION = {"error": {"type": "invalid_request_error", "code": "parameter_invalid_integer",
                        "message": "Invalid integer."}}  # fmt: skip


class StepStore:
    """The world's store as one worker reaches it: every operation is a step."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def claim(self, record: KeyRecord) -> KeyRecord:
        return self._step("claim", WRITE, lambda: self._worker.world.store.claim(record))

    def read(self, order: Order) -> KeyRecord | None:
        return self._step("read", READ, lambda: self._worker.world.store.read(order))

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        what = f"replace by {new.state}"
        return self._step(what, WRITE, lambda: self._worker.world.store.replace(current, new))

    def forget(self, current: KeyRecord) -> bool:
        return self._step("forget", WRITE, lambda: self._worker.world.store.forget(current))

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        return self._worker.world.store.due(now, limit)

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        return self._worker.world.store.scan(state)

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        return self._worker.world.store.page(selection, limit, before)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:
        return self._worker.world.store.unlisted(again=again)

    def ping(self) -> None:
        return None

    def close(self) -> None:
        return None

    def _step(self, what: str, options: tuple[Option, ...], do: Callable[[], T]) -> T:
        worker = self._worker
        if worker.renewal is not None:
            return self._renewal(worker.renewal, options, do)
        worker.throughout = worker.gated_throughout = None
        worker.pause(what)
        chosen = worker.choose(what, options)
        if chosen == "store down":
            worker.notice(chosen)
            raise StoreUnavailable("down")
        found = do()
        if chosen == LOST_ANSWER:
            worker.notice(chosen)
            raise StoreUnavailable("lost")
        worker.notice(found)
        return found

    def _renewal(self, fault: str, options: tuple[Option, ...], do: Callable[[], T]) -> T:
        """A step of the lease keeper's thread, of which the worker's own thread learns nothing."""
        found = do()
        if fault == LOST_ANSWER and options is WRITE:
            raise StoreUnavailable("lost")
        return found


class StepTransport:
    """HTTP over the sandbox's core: to arrive and to be answered are steps of a write.

    The world's clock says when a worker gives up.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._edge_sends = -1

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
        parts = urlsplit(url)
        what = f"{method} {_short(parts.path)}"
        left_at = self._worker.world.now
        self._worker.pause(what)
        if self._worker.world.now - left_at > MOST_UNDER_WAY_SECONDS:
            self._worker.notice("too late")
            raise _lost()
        if parts.path.endswith("/search"):
            self._worker.world.search_begins(self._worker)
        fault = self._fault(what, WRITES.get(what, OTHER))
        wanted = (
            method,
            f"{parts.path}?{parts.query}" if parts.query else parts.path,
            {name.lower(): text for name, text in headers.items()},
            body or b"",
        )
        if what == CREATE:
            self._worker.world.judge.creation_arrives()
        if what == REFUND:
            amount = int(parse_qs((body or b"").decode())["amount"][0])
            self._worker.world.judge.money.refund_arrives(headers["Idempotency-Key"], amount)
        return self._read(self._arrive(fault, wanted), fault, what)

    def _fault(self, what: str, options: tuple[Option, ...]) -> str:
        worker, second = self._worker, self._worker.world.second
        if second and second.silent:
            return second.silent if what == CREATE else "lost before"
        if worker.throughout:
            return worker.throughout
        chosen = worker.choose(what, options)
        if chosen.endswith(" throughout"):
            worker.throughout = chosen.removesuffix(" throughout")
            return worker.throughout
        return chosen

    def _arrive(self, fault: str, wanted: tuple[str, str, dict[str, str], bytes]) -> Response:
        world = self._worker.world
        match fault:
            case "fine" | "lost after":
                return world.sandbox.handle(*wanted)
            case "lost before":
                self._worker.notice(fault)
                raise _lost()
            case "refused by validation":
                return Response(400, {}, json.dumps(VALIDATION).encode())
            case "refused by execution":
                return self._slowly(wanted, broken=True)
            case "executes slowly":
                return self._slowly(wanted)
            case "executes slowly, nobody waits":
                started = world.sandbox.begin(*wanted)
                if isinstance(started, Execution):
                    world.executing.append((world.now + LATE_SECONDS, started))
                self._worker.notice(fault)
                raise _lost()
            case _:
                kind = self._edge_kind() if fault == "edge" else fault
                world.sandbox.faults.order(FaultOrder(kind, seconds=LATE_SECONDS))
                answer = world.sandbox.handle(*wanted)
                world.sandbox.faults.clear()
                return answer

    def _edge_kind(self) -> str:
        self._edge_sends += 1
        return EDGE_KINDS[self._edge_sends % len(EDGE_KINDS)]

    def _slowly(
        self, wanted: tuple[str, str, dict[str, str], bytes], *, broken: bool = False
    ) -> Response:
        """Another send of the key that arrives in between gets 409."""
        started = self._worker.world.sandbox.begin(*wanted)
        if isinstance(started, Response):
            return started
        if broken:
            params = {**started.admitted.params, **_rejected(wanted[1], started.admitted.params)}
            started = dataclasses.replace(
                started, admitted=dataclasses.replace(started.admitted, params=params)
            )
        else:
            self._wait_for(started)
        return self._worker.world.sandbox.finish(started)

    def _wait_for(self, execution: Execution) -> None:
        """Stripe goes on, also if the worker does not."""
        world = self._worker.world
        try:
            self._worker.pause("executes")
        except GreenletExit:
            world.executing.append((world.now + LATE_SECONDS, execution))
            raise

    def _read(self, answer: Response, fault: str, what: str) -> http_client.Response:
        if what in WRITES:
            # The answer on its way decides the next steps, so two answers are two states.
            self._worker.notice((answer.status, answer.body))
            on_its_way = f"answer to {what}"
            self._worker.pause(on_its_way)
            if fault == "lost after" or self._worker.choose(on_its_way, ANSWER) == "lost after":
                self._worker.notice("lost after")
                raise _lost()
        text = answer.body.decode()
        self._worker.notice((answer.status, text, answer.headers.get("Idempotent-Replayed")))
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return http_client.Response(answer.status, headers, answer.body)


def _rejected(path: str, params: Mapping[str, object]) -> Mapping[str, object]:
    if path.endswith(("/refunds", "/capture")):
        return {name: value for name, value in TOO_MUCH.items() if name in params}
    return {"customer": "cus_missing"}


def _short(path: str) -> str:
    parts = path.removeprefix("/v1/").removeprefix("payment_").split("/")
    named = ["pi" if part.startswith("pi_") else part for part in parts]
    return "/".join(named)


def _lost() -> HttpFailure:
    return HttpFailure("wait", "lost")
