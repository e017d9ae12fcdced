"""The sandbox in process: one request in, one response out, without sockets or sleeps.

    authentication → limiter → parameters → idempotency → execution

`handle` runs all layers. `begin` stops before the execution, with the idempotency key in use;
`finish` executes. Between the two, a test can send the same key again and deterministically get
409.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from sandbox.admission import admit
from sandbox.answers import Answer, JsonObject, Refusal, Response, refusal
from sandbox.authentication import Account, Caller
from sandbox.books import Books
from sandbox.core_faults import NO_RESULT, edge_response, replace_body, saved_500, skips_api
from sandbox.events import new_event
from sandbox.execution import Execution, execute
from sandbox.faults import CORE_KINDS, TRANSPORT_KINDS, FaultOrder, Faults, stops_request
from sandbox.identifiers import Identifiers
from sandbox.ledger import Due
from sandbox.limiter import Limiter
from sandbox.moment import Moment, Rules
from sandbox.replies import reply
from sandbox.request import Request, read_request
from sandbox.request_log import RequestLog, entry_of
from sandbox.scheduled import run_scheduled

Clock = Callable[[], float]

# The response to a request that was executing during a reset: it must not change the new state.
RESET_REFUSAL = refusal("The sandbox was reset.", status=503, kind="api_error")


class Sandbox:
    """Stripe's API for PaymentIntents, charges, refunds and disputes, thread-safe.

    `clock` returns Unix seconds and is the only source of time. A `seed` makes the ids
    reproducible. Creating and copying a Sandbox are cheap.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int | None = None,
        rules: Rules | None = None,
        rate_limit: float = 0,
    ) -> None:
        self.clock = clock
        self.rules = rules or Rules()
        self.faults = Faults()
        self.log = RequestLog()
        self.books: dict[Account, Books] = {}
        self.on_event: Callable[[JsonObject], None] | None = None
        self.lock = threading.RLock()
        self._ids = Identifiers(seed)
        self._limiter = Limiter(rate_limit)
        self._era = 0

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Response:
        """Answer one request."""
        started = self.begin(method, target, headers, body)
        return started if isinstance(started, Response) else self.finish(started)

    def begin(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        note: str | None = None,
    ) -> Response | Execution:
        """Run every layer before the execution.

        Returns the response if one of them decides it (an error or a replay), else the Execution,
        whose idempotency key gets 409 until `finish` or `abandon`. The request log records `note`
        as the fault of this request.
        """
        with self.lock:
            self.settle()
            request_id = self._ids.request()
            try:
                request = read_request(method, target, headers, body, request_id, note)
            except Refusal as refused:
                request = Request(method, target.partition("?")[0], {}, request_id, "", note=note)
                return self._respond(request, refused.answer())
            return self._begin(request)

    def finish(self, execution: Execution) -> Response:
        """Execute, save the result under the idempotency key, and return it."""
        with self.lock:
            self.settle()
            request, fault = execution.request, execution.fault
            if execution.era != self._era:
                return self._respond(request, RESET_REFUSAL.answer())
            try:
                answer = self._outcome(execution)
            except Exception:
                self.abandon(execution)
                raise
            if request.key:
                self._books(execution.admitted.caller).keys.save(request.key, answer)
            return self._respond(request, replace_body(answer, fault), fault)

    def abandon(self, execution: Execution) -> None:
        """Undo a `begin`, as if the request had never arrived."""
        with self.lock:
            if execution.request.key and execution.era == self._era:
                self._books(execution.admitted.caller).keys.release(execution.request.key)

    def draw_transport_fault(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> FaultOrder | None:
        """Return the transport fault of this request, for the server to carry out.

        If the fault keeps the request from the core, the request is logged here.
        """
        if not self.faults:
            return None
        with self.lock:
            try:
                request = read_request(method, target, headers, body, "")
            except Refusal:
                return None
            fault = self._draw(request, TRANSPORT_KINDS)
            if fault and stops_request(fault):
                self._note(replace(request, note=fault.kind), None, None)
            return fault

    @property
    def rate_limit(self) -> float:
        """Requests per second and account; 0 means no limit."""
        return self._limiter.per_second

    @rate_limit.setter
    def rate_limit(self, per_second: float) -> None:
        self._limiter = Limiter(per_second)

    def settle(self) -> None:
        """Run all scheduled changes that are due; every request does this first."""
        with self.lock:
            now = self.clock()
            for account, books in self.books.items():
                while due := books.ledger.pop_due(now):
                    self._run_due(account, due)

    def moment(self, account: Account, now: float | None = None) -> Moment:
        """Return a Moment to change an account outside a request; the caller holds `lock`."""
        return self._moment(
            Caller(account, publishable=False), self.clock() if now is None else now
        )

    def copy(self, clock: Clock | None = None) -> Sandbox:
        """Return an independent sandbox in the same state."""
        with self.lock:
            twin = Sandbox(clock or self.clock, seed=0, rules=self.rules)
            twin.faults, twin.log = self.faults.copy(), self.log.copy()
            twin.books = {account: books.copy() for account, books in self.books.items()}
            twin._ids, twin._limiter = self._ids.copy(), self._limiter.copy()
            twin._era = self._era
            return twin

    def reset(self) -> None:
        """Delete all objects, keys, faults and logged requests; keep the rules and the clock."""
        with self.lock:
            self._era += 1
            self.books.clear()
            self.faults, self.log = Faults(), RequestLog()
            self._limiter = Limiter(self._limiter.per_second)

    def _begin(self, request: Request) -> Response | Execution:
        fault = self._draw(request, CORE_KINDS)
        if edge := edge_response(fault):
            self._note(request, edge.status, fault)
            return edge
        if fault and skips_api(fault):
            return self._respond(request, replace_body(NO_RESULT, fault), fault)
        try:
            version = self.rules.api_version
            admitted = admit(request, fault, self._limiter, self.clock(), version)
            replay = self._claim(request, admitted.caller)
        except Refusal as refused:
            return self._respond(request, refused.answer(), fault)
        return replay or Execution(request, admitted, fault, self._era)

    def _claim(self, request: Request, caller: Caller) -> Response | None:
        if not request.key:
            return None
        keys, now = self._books(caller).keys, self.clock()
        saved = keys.claim(request.key, request.path, request.params, now, request.id)
        if saved is None or saved.answer is None:
            return None
        return self._respond(request, saved.answer, original=saved.request_id)

    def _outcome(self, execution: Execution) -> Answer:
        fault, now = execution.fault, self.clock()
        kind = fault.kind if fault else None
        if fault and kind == "late_object":
            ledger = self._books(execution.admitted.caller).ledger
            ledger.schedule(now + fault.seconds, "appear", (execution, now))
            return saved_500(fault)
        if kind == "error_500_without_object":
            return saved_500(fault)
        answer = execute(execution, self._moment(execution.admitted.caller, now))
        return saved_500(fault) if kind == "error_500_with_object" else answer

    def _run_due(self, account: Account, due: Due) -> None:
        if due.kind == "appear":
            execution, sent_at = due.subject
            execute(execution, self._moment(execution.admitted.caller, due.at, sent_at))
        else:
            run_scheduled(self.moment(account, due.at), due)

    def _draw(self, request: Request, kinds: tuple[str, ...]) -> FaultOrder | None:
        if not self.faults:
            return None
        return self.faults.draw(kinds, request)

    def _books(self, caller: Caller) -> Books:
        return self.books.setdefault(caller.account, Books())

    def _moment(self, caller: Caller, now: float, sent_at: float | None = None) -> Moment:
        ledger = self._books(caller).ledger

        def publish(kind: str, subject: JsonObject, at: float) -> None:
            event_id, version = self._ids.new("evt_3"), self.rules.api_version
            livemode = caller.account.livemode
            event = new_event(event_id, kind, subject, at, version, livemode=livemode)
            ledger.events.append(event)
            if self.on_event:
                self.on_event(event)

        sent_at = now if sent_at is None else sent_at
        return Moment(now, sent_at, caller, ledger, self._ids, self.rules, publish)

    def _respond(
        self,
        request: Request,
        answer: Answer,
        fault: FaultOrder | None = None,
        original: str | None = None,
    ) -> Response:
        self._note(request, answer.status, fault, replayed=bool(original))
        return reply(request, answer, self.rules.api_version, original)

    def _note(
        self,
        request: Request,
        status: int | None,
        fault: FaultOrder | None,
        *,
        replayed: bool = False,
    ) -> None:
        kind = fault.kind if fault else None
        self.log.add(entry_of(request, self.clock(), status, kind, replayed=replayed))
