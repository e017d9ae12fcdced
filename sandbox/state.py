"""The state of the sandbox for tests: PaymentIntents and refunds by order, and request counts."""

from __future__ import annotations

from sandbox.answers import JsonObject
from sandbox.core import Sandbox


def describe_state(sandbox: Sandbox) -> JsonObject:
    """Return totals, orders and request counts as JSON; `payable` means not canceled."""
    with sandbox.lock:
        sandbox.settle()
        intents, refunds = _intents(sandbox), _refunds(sandbox)
        return {
            "now": sandbox.clock(),
            "payment_intents": len(intents),
            "payable": sum(map(_payable, intents)),
            "refunds": sum(map(len, refunds.values())),
            "orders": _orders(intents, refunds),
            "requests": sandbox.log.shown_counts(),
            "faults_fired": dict(sandbox.faults.fired),
            "events": sum(len(books.ledger.events) for books in sandbox.books.values()),
            "idempotency_keys": sum(len(books.keys) for books in sandbox.books.values()),
        }


def describe_account(sandbox: Sandbox, name: str) -> JsonObject:
    """Return the orders and the request counts of one account."""
    with sandbox.lock:
        sandbox.settle()
        intents, refunds = _intents(sandbox, name), _refunds(sandbox, name)
        return {
            "payment_intents": len(intents),
            "payable": sum(map(_payable, intents)),
            "refunds": sum(map(len, refunds.values())),
            "orders": _orders(intents, refunds),
            "requests": sandbox.log.shown_counts(name),
        }


def _intents(sandbox: Sandbox, name: str | None = None) -> list[JsonObject]:
    return [
        record.intent
        for account, books in sandbox.books.items()
        if name in (None, account.name)
        for record in books.ledger.records.values()
    ]


def _refunds(sandbox: Sandbox, name: str | None = None) -> dict[str, list[JsonObject]]:
    """Return the refunds by PaymentIntent, newest first."""
    shown = ("id", "status", "amount", "payment_intent", "metadata", "created")
    found: dict[str, list[JsonObject]] = {}
    for account, books in sandbox.books.items():
        for refund in books.ledger.refunds.newest_first() if name in (None, account.name) else ():
            made = found.setdefault(refund["payment_intent"], [])
            made.append({each: refund[each] for each in shown})
    return found


def _orders(intents: list[JsonObject], refunds: dict[str, list[JsonObject]]) -> list[JsonObject]:
    orders: dict[tuple[str | None, str | None], list[JsonObject]] = {}
    for intent in intents:
        names = intent["metadata"].get("order_id"), intent["metadata"].get("client_id")
        orders.setdefault(names, []).append(intent)
    return [
        {
            **_order(order_id, client_id, made),
            "refunds": [each for intent in made for each in refunds.get(intent["id"], ())],
        }
        for (order_id, client_id), made in orders.items()
    ]


def _order(order_id: str | None, client_id: str | None, made: list[JsonObject]) -> JsonObject:
    shown = ("id", "status", "amount", "amount_received", "currency", "created", "livemode")
    return {
        "order_id": order_id,
        "client_id": client_id,
        "count": len(made),
        "payable": sum(map(_payable, made)),
        "payment_intents": [{name: intent[name] for name in shown} for intent in made],
    }


def _payable(intent: JsonObject) -> bool:
    return bool(intent["status"] != "canceled")
