"""GET /openapi.json: OpenAPI 3.1, made from the models that check requests and the error table."""

from __future__ import annotations

from typing import Any

from access.errors import Forbidden, TooManyRequests, Unauthorized
from api_description.errors import ERROR, Answers, responses
from api_description.fields import described
from payment.errors import (
    BadRequest,
    CardRefused,
    InFlight,
    Misconfigured,
    OrderReused,
    Overloaded,
    PaymentError,
    RateLimited,
    Refused,
    StoreDown,
    StripeFailed,
    StripeUnreachable,
)
from payment.intents import STATUSES
from payment.request import PaymentRequest

VERSION = "1.0.0"

# What a route that asks Stripe can come to.
OF_PAYMENTS: tuple[type[PaymentError], ...] = (
    BadRequest,
    Refused,
    CardRefused,
    InFlight,
    OrderReused,
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
            "/config": {"get": _config(answers)},
            "/healthz": {"get": _plain("The process lives", _OK)},
            "/readyz": {
                "get": _plain("The key store answers", _OK, responses([StoreDown], answers))
            },
        },
        "components": {
            "schemas": {
                "Error": ERROR,
                "PaymentRequest": described(PaymentRequest.model_json_schema()),
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
    kinds = OF_PAYMENTS + (OF_ACCESS if guarded else (TooManyRequests,))
    request: dict[str, Any] = {"$ref": "#/components/schemas/PaymentRequest"}
    headers = {"Idempotent-Replayed": {"schema": {"const": "true"}}}
    operation = {
        "operationId": "createPaymentIntent",
        "summary": "Give the order its PaymentIntent",
        "description": "The same order gives the same PaymentIntent, however often it is asked "
        "for. Look at `status` before you ask for money: a paid order answers `succeeded`.",
        "parameters": [_REQUEST_ID],
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {**_answer("The order's PaymentIntent", _CREATED), "headers": headers},
            **responses(kinds, answers),
        },
    }
    return {**operation, "security": [{"proof": []}]} if guarded else operation


def _config(answers: Answers) -> dict[str, Any]:
    client_id = {
        "name": "client_id",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "Whose, where one service takes payments for several clients.",
    }
    operation = _plain("What a page may know", _CONFIG, responses([TooManyRequests], answers))
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
