"""GET /openapi.json: OpenAPI 3.1, generated from the request models and the error table."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from payment_service import __version__
from payment_service.errors import (
    AlreadyCaptured,
    AlreadyPaid,
    BadRequest,
    CardRefused,
    Changed,
    Forbidden,
    GatewayNotAccepted,
    InFlight,
    Misconfigured,
    NoLongerOpen,
    NotAuthorized,
    NotFound,
    NotPaid,
    OrderReused,
    Overloaded,
    PaymentError,
    RateLimited,
    RefundReused,
    Refused,
    StoreDown,
    StripeFailed,
    StripeUnreachable,
    TooManyRequests,
    Unauthorized,
)
from payment_service.payments.changes.status import OrderStatus
from payment_service.payments.request.create import PaymentRequest
from payment_service.payments.request.existing_order import (
    MAX_REFUND_METADATA,
    CancelRequest,
    CaptureRequest,
    RefundRequest,
    StatusRequest,
    UpdateRequest,
)
from payment_service.payments.request.metadata import RESERVED
from payment_service.web.openapi import answers, order_list
from payment_service.web.openapi.examples import ANSWERS, REQUESTS
from payment_service.web.openapi.responses import (
    ERROR,
    EVENT_BODY,
    JSON_BODY,
    UNREADABLE,
    Statuses,
    responses,
)
from payment_service.web.openapi.schemas import request_schema, schema_of

# Errors of every route that calls Stripe.
PAYMENT_ERRORS: tuple[type[PaymentError], ...] = (
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
ACCESS_ERRORS: tuple[type[PaymentError], ...] = (Unauthorized, Forbidden, TooManyRequests)

_REQUEST_ID: dict[str, Any] = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Identifies the request in the log; the response repeats it.",
}


def document(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the document. `guarded`: whether requests need a token or an API key."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments",
            "version": __version__,
            "description": "At most one payable PaymentIntent per order, forever. Every request "
            "can be retried safely.",
        },
        "paths": {
            "/create-payment-intent": {"post": _create(statuses, guarded=guarded)},
            "/payment-intent": {"get": _status(statuses, guarded=guarded)},
            "/orders": {"get": _list(statuses, guarded=guarded)},
            "/update-payment-intent": {"post": _update(statuses, guarded=guarded)},
            "/cancel-payment-intent": {"post": _cancel(statuses, guarded=guarded)},
            "/capture-payment-intent": {"post": _capture(statuses, guarded=guarded)},
            "/refund-payment-intent": {"post": _refund(statuses, guarded=guarded)},
            "/webhook": {"post": _webhook(statuses)},
            "/webhook/paypal": {"post": _paypal_webhook(statuses)},
            "/config": {"get": _config(statuses)},
            "/healthz": {"get": _plain("getHealth", "The process is alive", answers.OK)},
            "/readyz": {
                "get": _plain(
                    "getReadiness",
                    "An order can be stored",
                    answers.OK,
                    responses([StoreDown], statuses),
                )
            },
        },
        "components": {
            "schemas": {
                "Error": ERROR,
                "PaymentRequest": request_schema(PaymentRequest, signed=guarded),
                "UpdateRequest": request_schema(UpdateRequest),
                "CancelRequest": request_schema(CancelRequest),
                "CaptureRequest": request_schema(CaptureRequest),
                "RefundRequest": _refund_request(),
                "OrderStatus": _order_status(),
                "OrderPage": order_list.page_schema(),
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


def _create(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    operation = _post(
        "createPaymentIntent",
        "Create the order's PaymentIntent, or return the existing one",
        _body_of(PaymentRequest),
        _replayable("createPaymentIntent", "The order's PaymentIntent", answers.CREATED),
        responses(
            _errors(OrderReused, NoLongerOpen, GatewayNotAccepted, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "Repeated requests for the same order return the same PaymentIntent. Check `status` before "
        "you ask for money: a paid order returns `succeeded`. With `accept_gateways`, the payment "
        "may be at another gateway, which `gateway` names; send the same request again after the "
        "shopper has come back from `redirect_url`."
    )
    if guarded:
        description += " The request may omit fields that its order's token signs."
    return _guarded({**operation, "description": description}, guarded=guarded)


def _update(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    operation = _post(
        "updatePaymentIntent",
        "Change the order's PaymentIntent while it can be paid",
        _body_of(UpdateRequest),
        _replayable("updatePaymentIntent", "The PaymentIntent as it is now", answers.CHANGED),
        responses(
            _errors(NotFound, Changed, NoLongerOpen, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "Absent fields keep their values; Stripe merges `metadata` name by name. With "
        "`expected_amount` or `expected_revision`, an order in another state stays as it is."
    )
    return _guarded({**operation, "description": description}, guarded=guarded)


def _cancel(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    operation = _post(
        "cancelPaymentIntent",
        "Cancel the order's PaymentIntent",
        _body_of(CancelRequest),
        _answer("cancelPaymentIntent", "The PaymentIntent as it is now", answers.CHANGED),
        responses(
            _errors(NotFound, NoLongerOpen, AlreadyPaid, guarded=guarded), statuses, JSON_BODY
        ),
    )
    description = "A canceled order can be created again, as a new attempt."
    return _guarded({**operation, "description": description}, guarded=guarded)


def _capture(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    operation = _post(
        "capturePaymentIntent",
        "Capture the order's authorization",
        _body_of(CaptureRequest),
        _replayable("capturePaymentIntent", "The captured PaymentIntent", answers.CAPTURED),
        responses(
            _errors(NotFound, NotAuthorized, AlreadyCaptured, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "For orders that were created with `capture_method: manual`. Repeated requests capture "
        "once. Another amount afterwards is an error that names the captured `amount`."
    )
    return _guarded({**operation, "description": description}, guarded=guarded)


def _refund(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    operation = _post(
        "refundPaymentIntent",
        "Refund a paid order, in whole or in part",
        _body_of(RefundRequest),
        _replayable("refundPaymentIntent", "The refund as it is now", answers.REFUNDED),
        responses(
            _errors(NotFound, NotPaid, RefundReused, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "A `refund_id` of an order is refunded once, however often it is requested. A refund that "
        "failed at the gateway keeps its `refund_id`; try again with another one. An order that "
        "was paid at PayPal is refunded there; PayPal keeps no `metadata` and no `reason` of it."
    )
    return _guarded({**operation, "description": description}, guarded=guarded)


def _status(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    model = request_schema(StatusRequest, signed=guarded)
    query = [
        {
            "name": name,
            "in": "query",
            "required": name in model["required"],
            "schema": _of_query(field),
            "description": field["description"],
        }
        for name, field in model["properties"].items()
    ]
    status = {"$ref": "#/components/schemas/OrderStatus"}
    operation = {
        "operationId": "getPaymentIntent",
        "summary": "Get the state of an order",
        "description": "The record answers, without a call to Stripe. With `refresh`, the service "
        "asks Stripe first.",
        "parameters": [*query, _REQUEST_ID],
        "responses": {
            "200": _answer("getPaymentIntent", "The order", status),
            **responses(_errors(NotFound, guarded=guarded), statuses),
        },
    }
    return _guarded(operation, guarded=guarded)


def _list(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    access = ACCESS_ERRORS if guarded else (TooManyRequests,)
    page = {"$ref": "#/components/schemas/OrderPage"}
    operation = {
        "operationId": "listOrders",
        "summary": order_list.SUMMARY,
        "description": order_list.DESCRIPTION,
        "parameters": [*order_list.parameters(), _REQUEST_ID],
        "responses": {
            "200": _answer("listOrders", "A page of orders", page),
            **responses((BadRequest, StoreDown, PaymentError, *access), statuses),
        },
    }
    return _guarded(operation, guarded=guarded)


def _of_query(field: dict[str, Any]) -> dict[str, Any]:
    """Convert a field's schema for a query string, where values are text and never null."""
    choices = field.get("anyOf", [field])
    return {**next(each for each in choices if each.get("type") != "null"), "type": "string"}


def _webhook(statuses: Statuses) -> dict[str, Any]:
    signature = {
        "name": "Stripe-Signature",
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
    }
    return _receives_events(
        "receiveEvent", "Stripe", "webhook_secret_missing", [signature], statuses
    )


def _paypal_webhook(statuses: Statuses) -> dict[str, Any]:
    headers = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in (
            "PayPal-Transmission-Id",
            "PayPal-Transmission-Time",
            "PayPal-Transmission-Sig",
            "PayPal-Cert-Url",
            "PayPal-Auth-Algo",
        )
    ]
    return _receives_events("receivePayPalEvent", "PayPal", "webhook_id_missing", headers, statuses)


def _receives_events(
    name: str, sender: str, unset: str, headers: list[dict[str, Any]], statuses: Statuses
) -> dict[str, Any]:
    """Return the operation of a webhook. `unset`: the code while the service can verify nothing."""
    event = {"type": "object", "description": f"{sender}'s event"}
    kinds = tuple(kind for kind in PAYMENT_ERRORS if kind not in (Refused, CardRefused))
    found = responses((*kinds, TooManyRequests), statuses, EVENT_BODY)
    refused = found["400"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]
    refused["code"]["enum"] = [unset, "invalid_signature", "malformed_json", UNREADABLE]
    text = "Applied, or nothing to apply"
    answer = _answer(name, text, answers.RECEIVED)
    return {
        **_post(name, f"Receive an event from {sender}", event, answer, found),
        "description": "Authenticated by the signature over the bytes of the body.",
        "parameters": [*headers, _REQUEST_ID],
    }


def _body_of(model: type[Struct]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _post(
    name: str, summary: str, body: dict[str, Any], answer: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    content = {"application/json": {"schema": body, "examples": REQUESTS[name]}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [_REQUEST_ID],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answer, **errors},
    }


def _errors(*more: type[PaymentError], guarded: bool) -> tuple[type[PaymentError], ...]:
    return (*PAYMENT_ERRORS, *more, *(ACCESS_ERRORS if guarded else (TooManyRequests,)))


def _guarded(operation: dict[str, Any], *, guarded: bool) -> dict[str, Any]:
    return {**operation, "security": [{"proof": []}]} if guarded else operation


def _refund_request() -> dict[str, Any]:
    """Return the schema of a refund, whose metadata has a limit and a reserved name of its own."""
    schema = request_schema(RefundRequest)
    metadata = schema["properties"]["metadata"]
    names = {**metadata["anyOf"][0]["propertyNames"], "not": {"enum": [*RESERVED, "refund_id"]}}
    field = {
        **metadata["anyOf"][0],
        "propertyNames": names,
        "maxProperties": MAX_REFUND_METADATA,
    }
    schema["properties"]["metadata"] = {**metadata, "anyOf": [field, *metadata["anyOf"][1:]]}
    return schema


def _order_status() -> dict[str, Any]:
    schema = schema_of(OrderStatus)
    return {
        "type": "object",
        "description": OrderStatus.__doc__,
        "properties": schema["properties"],
        "required": schema["required"],
        "additionalProperties": False,
    }


def _config(statuses: Statuses) -> dict[str, Any]:
    client_id = {
        "name": "client_id",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "The client, if one service takes payments for several clients.",
    }
    operation = _plain(
        "getConfig",
        "Public settings for the checkout page",
        answers.CONFIG,
        responses([BadRequest, TooManyRequests], statuses),
    )
    return {**operation, "parameters": [client_id, _REQUEST_ID]}


def _plain(
    name: str, summary: str, schema: dict[str, Any], errors: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [_REQUEST_ID],
        "responses": {"200": _answer(name, summary, schema), **(errors or {})},
    }


def _answer(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": ANSWERS[name]}}
    return {"description": text, "content": content}


def _replayable(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    headers = {"Idempotent-Replayed": {"schema": {"const": "true"}}}
    return {**_answer(name, text, schema), "headers": headers}
