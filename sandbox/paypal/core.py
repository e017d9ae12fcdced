"""The stand-in's core, without sockets: authentication, request ids, orders, captures, refunds."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.answers import JsonObject, Response
from sandbox.core_faults import edge_response
from sandbox.faults import CORE_KINDS, TRANSPORT_KINDS, FaultOrder, Faults, stops_request
from sandbox.paypal import approval_page, creation, events, refunds
from sandbox.paypal.captures import check_capture, check_invoice
from sandbox.paypal.orders import Order, minimal, new_capture, shown
from sandbox.paypal.refusals import Refusal, as_json, parse_json
from sandbox.paypal.request import Log, read_request, refusal_of, replaced, skips_api
from sandbox.paypal.request_ids import Key, RequestIds
from sandbox.paypal.rules import Rules
from sandbox.paypal.tokens import AccessTokens
from sandbox.request import Request

ORDERS = "/v2/checkout/orders"
TOKEN = "/v1/oauth2/token"  # noqa: S105 - a path

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Execution:
    """A request that passed every check and is about to execute; `key` names its use."""

    request: Request
    account: str
    body: JsonObject
    key: Key
    fault: FaultOrder | None
    order: Order | None
    era: int


class PayPalSandbox:
    """PayPal's Orders v2 for any number of REST apps, thread-safe.

    `clock` returns Unix seconds and is the only source of time. A `seed` makes the ids
    reproducible. `on_event` receives every webhook event.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        seed: int | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.clock, self.rules = clock, rules or Rules()
        self.lock = threading.RLock()
        self.on_event: Callable[[JsonObject], None] | None = None
        self._random = random.Random(seed)
        self._era = 0
        self.reset()

    def reset(self) -> None:
        """Delete all orders, request ids, tokens, faults and logged requests; keep the rules."""
        with self.lock:
            self._era += 1
            self.faults, self.log = Faults(), Log()
            self.orders: dict[str, Order] = {}
            self.events: list[JsonObject] = []
            self._ids = RequestIds(lambda: self.rules)
            self.tokens = AccessTokens(self.clock, lambda: self.rules.token_seconds, self._id)

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
        """Run every check before the execution.

        Returns the response if one of them decides it, else the Execution, whose request id is in
        use until `finish`. The log records `note` as the fault of this request.
        """
        with self.lock:
            self.settle()
            request = read_request(method, target, headers, body, self._hex())
            fault = self.faults.draw(CORE_KINDS, request)
            try:
                started = self._begin(request, target, body, fault)
            except Refusal as refused:
                started = refused.response(request.id)
            if isinstance(started, Response):
                started = replaced(started, fault, request.id)
                return self._answer(request, started, note or (fault.kind if fault else None))
            return started

    def finish(self, execution: Execution) -> Response:
        """Execute and return the response."""
        with self.lock:
            self.settle()
            request, fault = execution.request, execution.fault
            try:
                made = self._execute(execution)
            except Refusal as refused:
                self._ids.release(execution.key)
                response = refused.response(request.id)
            except Exception:
                self._ids.release(execution.key)
                raise
            else:
                self._ids.end(execution.key, made)
                response = self._shown_as_made(request, made, 201)
            response = replaced(response, fault, request.id)
            return self._answer(request, response, fault.kind if fault else None)

    def draw_transport_fault(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> FaultOrder | None:
        """Return the transport fault of this request, for the server to carry out."""
        with self.lock:
            request = read_request(method, target, headers, body, "")
            fault = self.faults.draw(TRANSPORT_KINDS, request)
            if fault and stops_request(fault):
                self.log.add(request, self.clock(), None, fault.kind)
            return fault

    def settle(self) -> None:
        """Forget what has expired; every request does this first."""
        with self.lock:
            now = self.clock()
            for order in list(self.orders.values()):
                gone_at = order.gone_at(self.rules)
                if gone_at is not None and now >= gone_at:
                    del self.orders[order.id]
                    if order.approved_at is not None:
                        self.tell_order("CHECKOUT.PAYMENT-APPROVAL.REVERSED", order)

    def _begin(
        self, request: Request, target: str, body: bytes, fault: FaultOrder | None
    ) -> Response | Execution:
        instead = edge_response(fault) or refusal_of(fault, request.id)
        if instead:
            return instead
        if skips_api(fault):
            return Response(200, {}, b"")
        match request.method, request.path.removeprefix(ORDERS).split("/"):
            case "POST", _ if request.path == TOKEN:
                return self.tokens.issue(request.headers, body)
            case "GET", _ if request.path == events.CERTIFICATE_PATH:
                return Response(200, {"Content-Type": "text/plain"}, events.certificate())
            case _, _ if request.path == approval_page.PATH:
                return approval_page.answered(self, request.method, target, body)
            case "POST", [""]:
                return self._create(request, body, fault)
            case "GET", ["", order_id]:
                return self._shown(request, self._find(request, order_id), 200)
            case "POST", ["", order_id, "capture"]:
                return self._capture(request, order_id, body, fault)
            case "POST", _ if capture_id := refunds.captured_in(request.path):
                return self._refund(request, capture_id, body, fault)
        raise Refusal(404, "INVALID_RESOURCE_ID")

    def _create(
        self, request: Request, body: bytes, fault: FaultOrder | None
    ) -> Response | Execution:
        account = self.tokens.account_of(request.headers)
        found = _json_body(request, body)
        unit, _ = creation.checked(found)
        if self.rules.unique_invoices == "create":
            check_invoice(account, unit.get("invoice_id"), self.orders, self.rules)
        return self._claimed(request, account, found, fault, None)

    def _capture(
        self, request: Request, order_id: str, body: bytes, fault: FaultOrder | None
    ) -> Response | Execution:
        order = self._find(request, order_id)
        found = _json_body(request, body)
        if found:
            raise Refusal(400, "INVALID_PARAMETER_SYNTAX", field="/")
        return self._claimed(request, order.account, found, fault, order)

    def _refund(
        self, request: Request, capture_id: str, body: bytes, fault: FaultOrder | None
    ) -> Response | Execution:
        account = self.tokens.account_of(request.headers)
        order = refunds.order_of(self.orders.values(), account, capture_id)
        return self._claimed(request, account, _json_body(request, body), fault, order)

    def _claimed(
        self,
        request: Request,
        account: str,
        body: JsonObject,
        fault: FaultOrder | None,
        order: Order | None,
    ) -> Response | Execution:
        """Claim the request id; for a repeat, show the order's present state."""
        now = self.clock()
        key = self._ids.claim(account, request.path, request.key, now)
        known = self._ids.made_by(key)
        if known and (known in self.orders or refunds.find(self.orders.values(), known)):
            return self._shown_as_made(request, known, 200)
        self._ids.begin(key, now)
        return Execution(request, account, body, key, fault, order, self._era)

    def _execute(self, execution: Execution) -> str:
        """Return the id of the order, created or captured, or that of the refund."""
        if execution.era != self._era:
            # It must not change the state after a reset.
            raise Refusal(503)
        now = self.clock()
        if execution.order is None:
            unit, context = creation.checked(execution.body)
            order = Order(self._id(17), execution.account, unit, context, now, now)
            self.orders[order.id] = order
            return order.id
        order = execution.order
        if refunds.captured_in(execution.request.path):
            refund = refunds.made(order, execution.body, self._id(17), now, self.rules)
            self.tell_refund(refund)
            return str(refund["id"])
        check_capture(order, self.orders, self.rules)
        capture = new_capture(order, self._id(17), order.plan, now, self.rules)
        order.captures.append(capture)
        order.status, order.updated_at = "COMPLETED", now
        self.tell_capture(order, capture)
        return order.id

    def _find(self, request: Request, order_id: str) -> Order:
        account, order = self.tokens.account_of(request.headers), self.orders.get(order_id)
        if order is None or order.account != account:
            raise Refusal(404, "INVALID_RESOURCE_ID")
        return order

    def _shown(self, request: Request, order: Order, status: int) -> Response:
        full = request.headers.get("prefer") == "return=representation"
        is_creation = request.path == ORDERS
        if request.method == "GET":
            return as_json(200, shown(order, self.rules, link=self.rules.links_on_read))
        if not full or (is_creation and self.rules.minimal_always):
            return as_json(status, minimal(order, self.rules))
        return as_json(status, shown(order, self.rules))

    def _shown_as_made(self, request: Request, made: str, status: int) -> Response:
        """Return the present state of an order or a refund."""
        if made in self.orders:
            return self._shown(request, self.orders[made], status)
        refund = refunds.find(self.orders.values(), made)
        assert refund, made
        full = request.headers.get("prefer") == "return=representation"
        is_full = full and not self.rules.minimal_refunds
        return as_json(status, refund if is_full else refunds.minimal(refund))

    def _answer(self, request: Request, response: Response, fault: str | None) -> Response:
        self.log.add(request, self.clock(), response.status, fault)
        response.headers.setdefault("Paypal-Debug-Id", request.id)
        return response

    def tell_order(self, kind: str, order: Order) -> None:
        """Emit an event about an order."""
        now = self.clock()
        self._tell(events.order_event(self._event_id(), kind, shown(order, self.rules), now))

    def tell_capture(self, order: Order, capture: JsonObject) -> None:
        """Emit an event about a captured payment."""
        now = self.clock()
        self._tell(events.capture_event(self._event_id(), capture, order.id, now))

    def tell_refund(self, refund: JsonObject) -> None:
        """Emit an event about a refund."""
        self._tell(events.refund_event(self._event_id(), refund, self.clock()))

    def _tell(self, event: JsonObject) -> None:
        self.events.append(event)
        if self.on_event:
            self.on_event(event)

    def _event_id(self) -> str:
        return f"WH-{self._id(17)}-{self._id(17)}"

    def _id(self, length: int) -> str:
        return "".join(self._random.choices(_LETTERS, k=length))

    def _hex(self) -> str:
        return f"{self._random.getrandbits(52):013x}"


def _json_body(request: Request, body: bytes) -> JsonObject:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(415)
    return parse_json(body)
