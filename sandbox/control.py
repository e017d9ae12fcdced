"""/_sandbox/: inspect state, inject faults, move the clock, end payments, refund and dispute."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from sandbox import lifecycle
from sandbox.action_page import action_page
from sandbox.answers import JsonObject, Refusal, Response, encode
from sandbox.authentication import Account
from sandbox.clock import MovableClock
from sandbox.core import Sandbox
from sandbox.dashboard import (
    change_dispute,
    change_refund,
    delete_intent,
    dispute_intent,
    refund_intent,
)
from sandbox.faults import BadOrder, parse_order
from sandbox.state import describe_account, describe_state
from sandbox.webhooks import WebhookSender, parse_detour

PREFIX = "/_sandbox/"

_ACTING = ("requires_action",)

# The kinds of objects that POST <kind>/:id/<verb> changes.
_CHANGED = ("payment_intents", "refunds", "disputes", "events")


class Control:
    """The control endpoints, for tests and the demo pages; not part of Stripe's API."""

    def __init__(self, sandbox: Sandbox, clock: MovableClock, webhooks: WebhookSender) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._webhooks = webhooks
        self._first_rules, self._first_rate_limit = sandbox.rules, sandbox.rate_limit
        self._routes: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "state"): lambda _: describe_state(sandbox),
            ("GET", "requests"): lambda _: {"requests": sandbox.log.shown()},
            ("GET", "faults"): lambda _: {"fired": dict(sandbox.faults.fired)},
            ("POST", "faults"): self._order_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "clock"): self._move_clock,
            ("GET", "rules"): lambda _: self._rules(),
            ("POST", "rules"): self._change_rules,
            ("POST", "reset"): self._reset,
            ("GET", "events"): lambda _: {"events": self._events()},
            ("GET", "webhooks"): lambda _: webhooks.shown(),
            ("POST", "webhooks"): self._change_webhooks,
        }

    def answer(self, method: str, path: str, body: bytes) -> Response:
        """Answer one control request."""
        try:
            with self._sandbox.lock:
                self._sandbox.settle()
                return self._answer(method, path.removeprefix(PREFIX), body)
        except Refusal as refused:
            return _json(refused.status, {"error": refused.error})
        except (BadOrder, ValueError, TypeError, KeyError) as wrong:
            return _json(400, {"error": {"message": f"{type(wrong).__name__}: {wrong}"}})

    def _answer(self, method: str, path: str, body: bytes) -> Response:
        route = self._routes.get((method, path))
        if route:
            return _json(200, route(json.loads(body or b"{}")))
        match path.split("/"):
            case ["accounts", name] if method == "GET":
                return _json(200, describe_account(self._sandbox, name))
            case ["payment_intents", intent_id, "action"] if method == "GET":
                return self._action_page(intent_id)
            case [kind, object_id, verb] if method == "POST" and kind in _CHANGED:
                return _json(200, self._change(kind, object_id, verb, json.loads(body or b"{}")))
        return _json(404, {"error": {"message": f"No such control: {method} {PREFIX}{path}"}})

    def _order_faults(self, given: Any) -> JsonObject:
        orders = [parse_order(order) for order in (given if isinstance(given, list) else [given])]
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

    def _rules(self) -> JsonObject:
        return {**asdict(self._sandbox.rules), "rate_limit": self._sandbox.rate_limit}

    def _change_rules(self, given: Any) -> JsonObject:
        if "rate_limit" in given:
            self._sandbox.rate_limit = float(given.pop("rate_limit"))
        self._sandbox.rules = replace(self._sandbox.rules, **given)
        return self._rules()

    def _reset(self, _: Any) -> JsonObject:
        self._sandbox.reset()
        self._sandbox.rules = self._first_rules
        self._sandbox.rate_limit = self._first_rate_limit
        self._webhooks.reset()
        self._clock.set_to_now()
        return {"now": self._clock()}

    def _events(self) -> list[JsonObject]:
        books = self._sandbox.books.values()
        return [event for book in books for event in book.ledger.events]

    def _change_webhooks(self, given: Any) -> JsonObject:
        if "detours" in given:
            self._webhooks.detour(*(parse_detour(each) for each in given["detours"]))
        if "url" in given:
            self._webhooks.send_to(given["url"], given.get("secret"))
        return self._webhooks.shown()

    def _change(self, kind: str, object_id: str, verb: str, given: Any) -> JsonObject:
        match kind, verb:
            case "events", "resend":
                return self._resend(object_id)
            case "payment_intents", "refund":
                return refund_intent(self._sandbox, object_id, **given)
            case "payment_intents", "dispute":
                return dispute_intent(self._sandbox, object_id, **given)
            case "payment_intents", "delete":
                return delete_intent(self._sandbox, object_id)
            case "payment_intents", _:
                return self._apply(object_id, verb)
            case "refunds", _:
                reason = given.get("reason", "unknown")
                return change_refund(self._sandbox, object_id, verb, reason)
            case "disputes", _:
                return change_dispute(self._sandbox, object_id, verb)
        raise ValueError(f"no such control: {kind}/:id/{verb}")

    def _resend(self, event_id: str) -> JsonObject:
        event = next(event for event in self._events() if event["id"] == event_id)
        self._webhooks.resend(event)
        return {"resent": event_id}

    def _apply(self, intent_id: str, verb: str) -> JsonObject:
        ends = {
            "succeed": (lifecycle.succeed_now, lifecycle.UNDER_WAY),
            "fail": (lifecycle.fail_now, lifecycle.UNDER_WAY),
            "complete_action": (lifecycle.succeed_now, _ACTING),
            "fail_action": (lifecycle.fail_now, _ACTING),
        }
        end, allowed = ends[verb]
        account, intent = self._find(intent_id)
        return end(self._sandbox.moment(account), intent, allowed)

    def _action_page(self, intent_id: str) -> Response:
        account, intent = self._find(intent_id)
        record = self._sandbox.books[account].ledger.records[intent_id]
        return action_page(intent, record.return_url)

    def _find(self, intent_id: str) -> tuple[Account, JsonObject]:
        for account, books in self._sandbox.books.items():
            if intent_id in books.ledger.records:
                return account, books.ledger.get(intent_id)
        raise ValueError(f"no such payment_intent: {intent_id}")


def _json(status: int, value: Any) -> Response:
    return Response(status, {"Content-Type": "application/json"}, encode(value))
