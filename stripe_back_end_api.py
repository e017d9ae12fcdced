"""HTTP: parse, ask for the payment, answer. The only module that knows Flask.

`gunicorn stripe_back_end_api:app` serves it; importing it builds nothing.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

import front_door
import telemetry
from access.clients import NOBODY
from access.errors import Forbidden, TooManyRequests, Unauthorized
from api_description.document import document
from api_description.page import CONTENT_SECURITY_POLICY, page
from checkout.pages import Demo, open_pages
from live_money import refuse_unsafe
from metrics.opening import Uncounted
from order_commands import add_commands, is_serving
from order_events import start_courier, start_second_looks
from payment import errors
from payment.body import MAX_EVENT_BYTES, read_body
from payment.intents import Intent
from payment.json_body import read_json_object
from payment.order_requests import CancelRequest, OrderRequest, StatusRequest, UpdateRequest
from payment.request import OrderFields, PaymentRequest
from settings import Settings, SettingsError, load_settings
from stripe_payment import Payments
from stripe_webhook import read_event
from wiring import Parts, open_parts

log = logging.getLogger("stripe_back_end_api")

Asked = TypeVar("Asked", bound=OrderFields | OrderRequest)

# gunicorn ends for good, instead of starting the worker again, when one leaves with this code.
WORKER_BOOT_ERROR = 3

FAILED = "Failed to create payment intent"

# Error → HTTP status and what a program should do; a class that is not here has its parent's.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    errors.BadRequest: (400, "fix_request"),
    errors.Refused: (400, "fix_request"),
    errors.CardRefused: (402, "fix_request"),
    errors.OrderReused: (422, "fix_request"),
    errors.NotFound: (404, "fix_request"),
    errors.Changed: (409, "fix_request"),
    errors.NoLongerOpen: (409, "fix_request"),
    errors.InFlight: (409, "retry_same"),
    errors.RateLimited: (429, "retry_same"),
    errors.Misconfigured: (500, "stop"),
    errors.StripeFailed: (502, "retry_same"),
    errors.StripeUnreachable: (503, "retry_same"),
    errors.StoreDown: (503, "retry_same"),
    errors.Overloaded: (503, "retry_same"),
    Unauthorized: (401, "fix_request"),
    Forbidden: (403, "fix_request"),
    TooManyRequests: (429, "retry_same"),
    errors.PaymentError: (500, "stop"),
}

# A bad request of these kinds has a status of its own.
BAD_REQUESTS = {"too_large": 413, "not_json": 415}

# Answers of the web framework itself: what they are called, and a sentence for a person.
HTTP_ERRORS = {
    404: ("not_found", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not take this method: see the Allow header"),
}
UNREADABLE = ("bad_request", "The request cannot be read")


class JsonResponse(Response):
    """Everything is JSON here, an empty body included."""

    default_mimetype = "application/json"


def create_app(settings: Settings | None = None, payments: Payments | None = None) -> Flask:
    """Build the service.

    Without settings the environment is read and the log is started; with them, both are the
    caller's. `payments` is for those who bring their own. Raises SettingsError.
    """
    if settings is None:
        settings = load_settings()
        telemetry.start_logging(settings.log_level)
    parts = open_parts(settings, payments)
    app = _bare_app()
    _add_routes(app, parts)
    _add_own_description(app, parts)
    _add_order_routes(app, parts)
    add_commands(app.cli, settings, parts.payments)
    if settings.checkout_demo or settings.sandbox_url:
        _add_pages(app, Demo(settings.sandbox_url, settings.demo_stage_url))
    _add_error_handlers(app)
    app.before_request(_begin)
    app.after_request(lambda response: _end(response, parts.counting))
    front_door.hang(app, settings, parts.clients)
    app.teardown_request(_forget)
    if settings.order_events_delivery == "embedded" and is_serving():
        start_courier(settings, parts.payments)
    if payments is None and is_serving():
        start_second_looks(settings, parts.payments)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _app() -> Flask:
    try:
        return create_app()
    except SettingsError as wrong:
        sys.stderr.write(f"{wrong}\n")
        raise SystemExit(WORKER_BOOT_ERROR) from None


def _bare_app() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.response_class = JsonResponse
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A redirect would be a page of HTML, and a client would send its payment twice.
    app.url_map.merge_slashes = False
    return app


def _add_routes(app: Flask, parts: Parts) -> None:
    settings, payments = parts.settings, parts.payments

    @app.post("/create-payment-intent")
    def create_payment_intent() -> Response:
        asked = _asked(read_json_object(_json_bytes()), PaymentRequest)
        answer = payments.create(asked)
        response = jsonify(
            payment_intent_id=answer.payment_intent_id,
            client_secret=answer.client_secret,
            status=answer.status,
        )
        if answer.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @app.get("/config")
    def config() -> Response:
        client = (parts.clients or NOBODY).get(request.args.get("client_id", ""))
        key = client.stripe_publishable_key if client else None
        account = {"stripe_account": client.stripe_account} if client else {}
        return jsonify(publishable_key=key or settings.stripe_publishable_key, **account)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> Response:
        payments.ready()
        return jsonify(status="ok")


def _add_order_routes(app: Flask, parts: Parts) -> None:
    payments = parts.payments

    @app.get("/payment-intent")
    def payment_intent() -> Response:
        asked = _asked(request.args.to_dict(), StatusRequest)
        orders = payments.orders_of(asked.client_id)
        return jsonify(asdict(orders.status(asked, refresh=asked.refresh == "true")))

    @app.post("/update-payment-intent")
    def update_payment_intent() -> Response:
        front_door.access().must_be_the_shop()
        asked = _asked(read_json_object(_json_bytes()), UpdateRequest)
        updated = payments.orders_of(asked.client_id).update(asked)
        response = jsonify({**_shown(updated.intent), "revision": updated.revision})
        if updated.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @app.post("/cancel-payment-intent")
    def cancel_payment_intent() -> Response:
        front_door.access().must_be_the_shop()
        asked = _asked(read_json_object(_json_bytes()), CancelRequest)
        return jsonify(_shown(payments.orders_of(asked.client_id).cancel(asked)))

    @app.post("/webhook")
    def webhook() -> Response:
        body = read_body(request.stream.read, request.content_length, MAX_EVENT_BYTES)
        event = read_event(body, request.headers.get("Stripe-Signature"), parts.webhook_secrets)
        orders = payments.orders_of(event.order.client_id if event else None)
        return jsonify(received=True, outcome=orders.apply(event))


def _add_own_description(app: Flask, parts: Parts) -> None:
    described = document(ANSWERS, guarded=parts.clients is not None)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(described)

    @app.get("/docs")
    def documentation() -> Response:
        response = Response(page(described), mimetype="text/html")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


def _asked(given: Mapping[str, Any], kind: type[Asked]) -> Asked:
    """Check a request with the access of whoever sends it; its log lines name its order."""
    asked = front_door.access().checked(given, kind)
    telemetry.know(order=asked.order_id, client=asked.client_id)
    return asked


def _shown(intent: Intent) -> dict[str, Any]:
    """Never the client_secret: whoever may pay has it from the creation."""
    return {
        "payment_intent_id": intent.id,
        "status": intent.status,
        "amount": intent.amount,
        "currency": intent.currency,
    }


def _add_pages(app: Flask, demo: Demo) -> None:
    pages = open_pages(demo)

    def show() -> Response:
        shown = pages[request.path]
        return Response(shown.body, headers=dict(shown.headers))

    for path in pages:
        app.add_url_rule(path, endpoint="demo", view_func=show)


def _json_bytes() -> bytes:
    charset = request.mimetype_params.get("charset", "utf-8")
    if request.mimetype != "application/json" or charset.lower() not in ("utf-8", "utf8"):
        message = "Send JSON in UTF-8, with Content-Type: application/json"
        raise errors.BadRequest(message, code="not_json")
    return read_body(request.stream.read, request.content_length)


def _add_error_handlers(app: Flask) -> None:
    @app.errorhandler(errors.PaymentError)
    def payment_error(error: errors.PaymentError) -> Response:
        status, action = answer_to(error)
        facts = {**error.facts, "request_id": error.request_id}
        response = _error(status, error.code, error.message, action, facts)
        if error.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @app.errorhandler(429)
    def limited(_: HTTPException) -> Response:
        return payment_error(front_door.too_many_requests())

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code, message = HTTP_ERRORS.get(status, UNREADABLE)
        response = _error(status, code, message, "fix_request")
        response.headers.extend(_allowed_methods(error))
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        log.error("internal error", exc_info=error)
        return _error(500, "internal", "an internal error", "stop")


def answer_to(error: errors.PaymentError) -> tuple[int, str]:
    """Return the HTTP status and the action of an error."""
    status, action = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
    if isinstance(error, errors.BadRequest):
        status = BAD_REQUESTS.get(error.code, status)
    return status, action


def _allowed_methods(error: HTTPException) -> dict[str, str]:
    methods = getattr(error, "valid_methods", None)
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _error(
    status: int, code: str, message: str, action: str, facts: Mapping[str, Any] | None = None
) -> Response:
    if status >= 500 and not message.startswith(FAILED):
        message = f"{FAILED}: {message}"
    body = {"error": telemetry.redacted(message), "code": code, "action": action}
    body |= {name: value for name, value in (facts or {}).items() if value is not None}
    g.error_code = code
    response = jsonify(body)
    response.status_code = status
    return response


def _begin() -> None:
    g.started = time.monotonic()
    g.correlation_id = telemetry.begin_request(request.headers.get("X-Request-ID"))


def _end(response: Response, counting: Uncounted) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Request-ID"] = g.correlation_id
    route = str(request.url_rule) if request.url_rule else None
    seconds = time.monotonic() - g.started
    counting.request(route, response.status_code, seconds)
    telemetry.tell_request(
        method=request.method,
        route=route,
        status=response.status_code,
        code=g.get("error_code"),
        seconds=round(seconds, 4),
    )
    return response


def _forget(_: BaseException | None) -> None:
    telemetry.end_request()


def main() -> None:
    """Become the production server, or say in one line which settings are wrong."""
    os.chdir(Path(__file__).resolve().parent)
    try:
        refuse_unsafe(load_settings())
    except SettingsError as wrong:
        sys.exit(str(wrong))
    server = [sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"]
    os.execv(sys.executable, server)  # noqa: S606


if __name__ == "__main__":
    main()
