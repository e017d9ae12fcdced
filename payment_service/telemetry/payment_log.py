"""The log of payments: what happens to orders, the sends to gateways, and the circuits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.payments.observer import ALARMS, EXPECTED
from payment_service.telemetry.logs import write_event
from payment_service.telemetry.request_log import add_fields, collected_fields

if TYPE_CHECKING:
    from payment_service.gateways.send_report import RetryDetails, Send
    from payment_service.payments.observer import Observation

_payments = logging.getLogger("payments")

# Enough to find a key in Stripe's dashboard.
KEY_CHARACTERS = len("order-") + 8


def log_observation(seen: Observation) -> None:
    """Log an event of an order, on level ERROR if a person must look.

    Expected events are logged on DEBUG, because the request's last line names the outcome.
    """
    order, level = seen.order, _level(seen.what)
    named = {
        "order": order.order_id,
        "client": order.client_id,
        "attempt": seen.attempt,
        "livemode": order.livemode,
    }
    add_fields(outcome=seen.what, **named)
    if _payments.isEnabledFor(level):
        write_event(_payments, level, seen.what, {**named, **seen.facts})


def _level(what: str) -> int:
    if what in EXPECTED:
        return logging.DEBUG
    return logging.ERROR if what in ALARMS else logging.INFO


def log_send(send: Send, gateway: str | None = None) -> None:
    """Log a request to a gateway, with the reason of a failure.

    A success on the first send is logged on DEBUG, because the request's last line reports it.
    `gateway`: its name where the service has several; None means Stripe.
    """
    expected = _add_send(send, gateway) and send.verdict is None and send.number == 1
    level = logging.DEBUG if expected else logging.WARNING if send.verdict else logging.INFO
    if _payments.isEnabledFor(level):
        write_event(_payments, level, "sent", {**_order_of_request(), **_facts_of(send, gateway)})


def _add_send(send: Send, gateway: str | None) -> bool:
    """Add the send to the request's last line; return False outside of a request."""
    title = gateway or DEFAULT_GATEWAY
    known = collected_fields()
    if known is None:
        return False
    known["sends"] = known.get("sends", 0) + 1
    spent = known.get(f"{title}_seconds", 0.0)
    known[f"{title}_seconds"] = round(spent + send.seconds, 4)
    known["key"], known[f"{title}_request_id"] = _start_of_key(send), send.request_id
    return True


def _facts_of(send: Send, gateway: str | None) -> dict[str, Any]:
    verdict = send.verdict
    return {
        **({"gateway": gateway} if gateway else {}),
        "method": send.method,
        "path": send.path,
        "send": send.number,
        "seconds": round(send.seconds, 4),
        f"{gateway or DEFAULT_GATEWAY}_request_id": send.request_id,
        "key": _start_of_key(send),
        "status": send.status,
        "reason": verdict.meaning.name.lower() if verdict else None,
        **({"phase": send.phase} if send.phase else {}),
        **({"cause": send.cause} if send.cause else {}),
    }


def _start_of_key(send: Send) -> str | None:
    return send.key[:KEY_CHARACTERS] if send.key else None


def log_retry(details: RetryDetails) -> None:
    """Log that a request to Stripe will be sent again, and when."""
    wait = round(details.wait_seconds, 3)
    facts = {**_order_of_request(), "send": details.send, "wait_seconds": wait}
    write_event(_payments, logging.INFO, "will_send_again", facts)


def log_circuit(gateway: str, change: str) -> None:
    """Log that new orders of this process avoid a gateway, or no longer do."""
    level = logging.WARNING if change == "circuit_opened" else logging.INFO
    write_event(_payments, level, change, {"gateway": gateway})


def _order_of_request() -> dict[str, Any]:
    known = collected_fields() or {}
    return {name: known[name] for name in ("order", "client", "attempt") if name in known}
