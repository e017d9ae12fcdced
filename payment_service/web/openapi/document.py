"""GET /openapi.json: OpenAPI 3.1, made from the models that check requests and the error table."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from payment_service.errors import (
    BadRequest,
    CardRefused,
    Changed,
    Forbidden,
    InFlight,
    Misconfigured,
    NoLongerOpen,
    NotFound,
    OrderReused,
    Overloaded,
    PaymentError,
    RateLimited,
    Refused,
    StoreDown,
    StripeFailed,
    StripeUnreachable,
    TooManyRequests,
    Unauthorized,
)
from payment_service.gateways.intent import STATUSES
from payment_service.payments.changes.status import OrderStatus
from payment_service.payments.request.create import PaymentRequest
from payment_service.payments.request.existing_order import (
    CancelRequest,
    StatusRequest,
    UpdateRequest,
)
from payment_service.web.openapi.responses import (
    ERROR,
    EVENT_BODY,
    JSON_BODY,
    UNREADABLE,
    Answers,
    responses,
)
from payment_service.web.openapi.schemas import described, schema_of

VERSION = "1.0.0"

# What a route that asks Stripe can come to.
OF_PAYMENTS: tuple[type[PaymentError], ...] = (
    BadRequest,
    Refused,
    CardRefused,
    InFlight,
    RateLimited,
    Misconfigured,
    StripeFailed,
    StripeUnreachable,
    StoreDown,
    Overloaded,
    PaymentError,
)
OF_ACCESS: tuple[type[PaymentError], ...] = (Unauthorized, Forbidden, TooManyRequests)

_CREATED: dict[str, Any] = {
    "type": "object",
    "required": ["payment_intent_id", "client_secret", "status"],
    "properties": {
        "payment_intent_id": {"type": "string", "examples": ["pi_3S"]},
        "client_secret": {"type": "string", "examples": ["pi_3S_secret_x"]},
        "status": {"type": "string", "enum": sorted(STATUSES)},
    },
    "additionalProperties": False,
}

_CHANGED: dict[str, Any] = {
    "type": "object",
    "required": ["payment_intent_id", "status", "amount", "currency"],
    "properties": {
        "payment_intent_id": {"type": "string"},
        "status": {"type": "string", "enum": sorted(STATUSES)},
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "revision": {"type": "integer", "description": "counts the updates"},
    },
    "additionalProperties": False,
}

_RECEIVED: dict[str, Any] = {
    "type": "object",
    "required": ["received", "outcome"],
    "properties": {"received": {"const": True}, "outcome": {"type": "string"}},
    "additionalProperties": False,
}

_CONFIG: dict[str, Any] = {
    "type": "object",
    "required": ["publishable_key"],
    "properties": {
        "publishable_key": {"type": ["string", "null"]},
        "stripe_account": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}

_OK: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "ok"}},
    "additionalProperties": False,
}

_REQUEST_ID: dict[str, Any] = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Follows the request through the log, and comes back in the answer.",
}


def document(answers: Answers, *, guarded: bool) -> dict[str, Any]:
    """Return the description. `guarded`: whether a token or an API key is needed."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments",
            "version": VERSION,
            "description": "At most one payable PaymentIntent for each order, for ever. Every "
            "request may be sent again.",
        },
        "paths": {
            "/create-payment-intent": {"post": _create(answers, guarded=guarded)},
            "/payment-intent": {"get": _status(answers, guarded=guarded)},
            "/update-payment-intent": {"post": _update(answers, guarded=guarded)},
            "/cancel-payment-intent": {"post": _cancel(answers, guarded=guarded)},
            "/webhook": {"post": _webhook(answers)},
            "/config": {"get": _config(answers)},
            "/healthz": {"get": _plain("The process lives", _OK)},
            "/readyz": {
                "get": _plain("The key store answers", _OK, responses([StoreDown], answers))
            },
        },
        "components": {
            "schemas": {
                "Error": ERROR,
                "PaymentRequest": described(PaymentRequest, signed=guarded),
                "UpdateRequest": described(UpdateRequest),
                "CancelRequest": described(CancelRequest),
                "OrderStatus": _order_status(),
            },
            "securitySchemes": {
                "proof": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An order's token, signed by the shop, or a client's API key.",
                }
            },
        },
    }


def _create(answers: Answers, *, guarded: bool) -> dict[str, Any]:
    operation = _asks(
        "createPaymentIntent",
        "Give the order its PaymentIntent",
        PaymentRequest,
        _replayable("The order's PaymentIntent", _CREATED),
        responses(_kinds(OrderReused, guarded=guarded), answers, JSON_BODY),
    )
    said = (
        "The same order gives the same PaymentIntent, however often it is asked for. Look at "
        "`status` before you ask for money: a paid order answers `succeeded`."
    )
    if guarded:
        said += " What an order's token signs may be left out; with an API key it must be said."
    return _guarded({**operation, "description": said}, guarded=guarded)


def _update(answers: Answers, *, guarded: bool) -> dict[str, Any]:
    operation = _asks(
        "updatePaymentIntent",
        "Change the order's PaymentIntent while it can be paid",
        UpdateRequest,
        _replayable("The PaymentIntent as it is now", _CHANGED),
        responses(_kinds(NotFound, Changed, NoLongerOpen, guarded=guarded), answers, JSON_BODY),
    )
    return _guarded(operation, guarded=guarded)


def _cancel(answers: Answers, *, guarded: bool) -> dict[str, Any]:
    operation = _asks(
        "cancelPaymentIntent",
        "Cancel the order's PaymentIntent",
        CancelRequest,
        _answer("The PaymentIntent as it is now", _CHANGED),
        responses(_kinds(NotFound, Changed, NoLongerOpen, guarded=guarded), answers, JSON_BODY),
    )
    return _guarded(operation, guarded=guarded)


def _status(answers: Answers, *, guarded: bool) -> dict[str, Any]:
    model = described(StatusRequest, signed=guarded)
    query = [
        {
            "name": name,
            "in": "query",
            "required": name in model["required"],
            "schema": _of_query(field),
        }
        for name, field in model["properties"].items()
    ]
    status = {"$ref": "#/components/schemas/OrderStatus"}
    operation = {
        "operationId": "getPaymentIntent",
        "summary": "What is known of an order",
        "parameters": [*query, _REQUEST_ID],
        "responses": {
            "200": _answer("The order", status),
            **responses(_kinds(NotFound, guarded=guarded), answers),
        },
    }
    return _guarded(operation, guarded=guarded)


def _of_query(field: dict[str, Any]) -> dict[str, Any]:
    """In a query everything is text, and there is no null."""
    choices = field.get("anyOf", [field])
    return {**next(each for each in choices if each.get("type") != "null"), "type": "string"}


def _webhook(answers: Answers) -> dict[str, Any]:
    signature = {
        "name": "Stripe-Signature",
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
    }
    event = {"type": "object", "description": "Stripe's Event"}
    kinds = tuple(kind for kind in OF_PAYMENTS if kind not in (Refused, CardRefused))
    found = responses(kinds, answers, EVENT_BODY)
    refused = found["400"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]
    refused["code"]["enum"] = [
        "webhook_secret_missing",
        "invalid_signature",
        "malformed_json",
        UNREADABLE,
    ]
    return {
        "operationId": "receiveEvent",
        "summary": "Take an event of Stripe's",
        "description": "Proves itself by its signature over the bytes of the body.",
        "parameters": [signature, _REQUEST_ID],
        "requestBody": {"required": True, "content": {"application/json": {"schema": event}}},
        "responses": {"200": _answer("Applied, or nothing to apply", _RECEIVED), **found},
    }


def _asks(
    name: str,
    summary: str,
    model: type[Struct],
    answer: dict[str, Any],
    errors: dict[str, Any],
) -> dict[str, Any]:
    request = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [_REQUEST_ID],
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {"200": answer, **errors},
    }


def _kinds(*more: type[PaymentError], guarded: bool) -> tuple[type[PaymentError], ...]:
    return (*OF_PAYMENTS, *more, *(OF_ACCESS if guarded else (TooManyRequests,)))


def _guarded(operation: dict[str, Any], *, guarded: bool) -> dict[str, Any]:
    return {**operation, "security": [{"proof": []}]} if guarded else operation


def _order_status() -> dict[str, Any]:
    schema = schema_of(OrderStatus)
    return {
        "type": "object",
        "description": OrderStatus.__doc__,
        "properties": schema["properties"],
        "required": schema["required"],
        "additionalProperties": False,
    }


def _config(answers: Answers) -> dict[str, Any]:
    client_id = {
        "name": "client_id",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "Whose, where one service takes payments for several clients.",
    }
    operation = _plain(
        "What a page may know", _CONFIG, responses([BadRequest, TooManyRequests], answers)
    )
    return {**operation, "parameters": [client_id, _REQUEST_ID]}


def _plain(
    summary: str, schema: dict[str, Any], errors: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": [_REQUEST_ID],
        "responses": {"200": _answer(summary, schema), **(errors or {})},
    }


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _replayable(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    headers = {"Idempotent-Replayed": {"schema": {"const": "true"}}}
    return {**_answer(text, schema), "headers": headers}
