"""/_sandbox/: inspect state, inject faults, move the clock, approve, void and refund orders."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from sandbox.answers import JsonObject, Response
from sandbox.clock import MovableClock
from sandbox.control import PREFIX
from sandbox.faults import BadOrder, FaultOrder, parse_order
from sandbox.paypal.acts import (
    approve,
    change_capture,
    change_refund,
    plan_refunds,
    refund,
    void,
)
from sandbox.paypal.core import PayPalSandbox
from sandbox.paypal.orders import Order, shown
from sandbox.paypal.refusals import Refusal, as_json
from sandbox.paypal.request import UNSUPPORTED
from sandbox.webhooks import WebhookSender, parse_detour


class PayPalControl:
    """The control endpoints, for tests and the demo pages; not part of PayPal's API."""

    def __init__(
        self, sandbox: PayPalSandbox, clock: MovableClock, webhooks: WebhookSender
    ) -> None:
        self._sandbox, self._clock, self._webhooks = sandbox, clock, webhooks
        self._first_rules = sandbox.rules
        self._routes: dict[tuple[str, str], Callable[[Any], JsonObject]] = {
            ("GET", "state"): lambda _: self._state(),
            ("GET", "requests"): lambda _: {"requests": list(sandbox.log.entries)},
            ("GET", "events"): lambda _: {"events": sandbox.events},
            ("GET", "faults"): lambda _: {"fired": dict(sandbox.faults.fired)},
            ("POST", "faults"): self._order_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "clock"): self._move_clock,
            ("GET", "rules"): lambda _: asdict(sandbox.rules),
            ("POST", "rules"): self._change_rules,
            ("POST", "tokens/revoke"): self._revoke_tokens,
            ("POST", "reset"): self._reset,
            ("GET", "webhooks"): lambda _: webhooks.shown(),
            ("POST", "webhooks"): self._change_webhooks,
        }

    def answer(self, method: str, path: str, body: bytes) -> Response:
        """Answer one control request."""
        try:
            with self._sandbox.lock:
                self._sandbox.settle()
                return self._answer(method, path.removeprefix(PREFIX), json.loads(body or b"{}"))
        except (BadOrder, Refusal, ValueError, TypeError, KeyError, StopIteration) as wrong:
            return as_json(400, {"error": {"message": f"{type(wrong).__name__}: {wrong}"}})

    def _answer(self, method: str, path: str, given: Any) -> Response:
        route = self._routes.get((method, path))
        if route:
            return as_json(200, route(given))
        match method, path.split("/"):
            case "GET", ["orders", order_id]:
                return as_json(200, self._shown(self._sandbox.orders[order_id]))
            case "POST", ["orders", order_id, verb]:
                return as_json(200, self._shown(self._act(order_id, verb, given)))
            case "POST", ["events", event_id, "resend"]:
                event = next(each for each in self._sandbox.events if each["id"] == event_id)
                self._webhooks.resend(event)
                return as_json(200, {"resent": event_id})
        return as_json(404, {"error": {"message": f"No such control: {method} {PREFIX}{path}"}})

    def _act(self, order_id: str, verb: str, given: JsonObject) -> Order:
        match verb:
            case "approve":
                return approve(self._sandbox, order_id, given.get("outcome", "COMPLETED"))
            case "decline":
                return approve(self._sandbox, order_id, "INSTRUMENT_DECLINED")
            case "void":
                return void(self._sandbox, order_id)
            case "capture_status":
                return change_capture(self._sandbox, order_id, given["status"])
            case "refund":
                return refund(self._sandbox, order_id, given.get("value"))
            case "refund_outcome":
                return plan_refunds(self._sandbox, order_id, given["outcome"])
            case "refund_status":
                return change_refund(self._sandbox, order_id, given["status"])
        raise ValueError(f"no such control: orders/:id/{verb}")

    def _shown(self, order: Order) -> JsonObject:
        return shown(order, self._sandbox.rules)

    def _state(self) -> JsonObject:
        """Return the time, the orders by custom_id, and the counts of requests."""
        orders: dict[str, list[JsonObject]] = {}
        for order in self._sandbox.orders.values():
            captures = [each["status"] for each in order.captures]
            told = {"id": order.id, "status": order.status, "captures": captures}
            orders.setdefault(order.unit.get("custom_id", ""), []).append(told)
        statuses = Counter(order.status for order in self._sandbox.orders.values())
        return {
            "now": self._clock(),
            "orders": orders,
            "statuses": dict(statuses),
            "requests": dict(self._sandbox.log.counts),
        }

    def _order_faults(self, given: Any) -> JsonObject:
        orders = [_parsed(each) for each in (given if isinstance(given, list) else [given])]
        self._sandbox.faults.order(*orders)
        return {"ordered": len(orders)}

    def _clear_faults(self, _: Any) -> JsonObject:
        self._sandbox.faults.clear()
        return {"ordered": 0}

    def _move_clock(self, given: Any) -> JsonObject:
        if "advance" in given:
            self._clock.advance(float(given["advance"]))
        else:
            self._clock.set(float(given["set"]))
        self._sandbox.settle()
        return {"now": self._clock()}

    def _change_rules(self, given: Any) -> JsonObject:
        self._sandbox.rules = replace(self._sandbox.rules, **given)
        return asdict(self._sandbox.rules)

    def _revoke_tokens(self, _: Any) -> JsonObject:
        self._sandbox.tokens.revoke()
        return {}

    def _reset(self, _: Any) -> JsonObject:
        self._sandbox.reset()
        self._sandbox.rules = self._first_rules
        self._webhooks.reset()
        self._clock.set_to_now()
        return {"now": self._clock()}

    def _change_webhooks(self, given: Any) -> JsonObject:
        if "detours" in given:
            self._webhooks.detour(*(parse_detour(each) for each in given["detours"]))
        if "url" in given:
            self._webhooks.send_to(given["url"], given.get("webhook_id"))
        return self._webhooks.shown()


def _parsed(given: Any) -> FaultOrder:
    order = parse_order(given)
    if order.kind in UNSUPPORTED:
        raise BadOrder(f"PayPal has no {order.kind}")
    return order
