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
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

import telemetry
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
from payment.request import parse_payment_request
from settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from stripe_payment import Payments

log = logging.getLogger("stripe_back_end_api")

MAX_BODY_BYTES = 64 * 1024

# Of a body that is too large this much is read and dropped: a client that is still sending when
# the connection closes sees a broken connection and not the answer.
MAX_READ_BYTES = 4 * 1024 * 1024

# gunicorn ends for good, instead of starting the worker again, when one leaves with this code.
WORKER_BOOT_ERROR = 3

FAILED = "Failed to create payment intent"

# Error → HTTP status and what a program should do; a class that is not here has its parent's.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    BadRequest: (400, "fix_request"),
    Refused: (400, "fix_request"),
    CardRefused: (402, "fix_request"),
    OrderReused: (422, "fix_request"),
    InFlight: (409, "retry_same"),
    RateLimited: (429, "retry_same"),
    Misconfigured: (500, "stop"),
    StripeFailed: (502, "retry_same"),
    StripeUnreachable: (503, "retry_same"),
    StoreDown: (503, "retry_same"),
    Overloaded: (503, "retry_same"),
    PaymentError: (500, "stop"),
}

# Answers of the web framework itself: what they are called, and a sentence for a person.
HTTP_ERRORS: dict[int, tuple[str, str]] = {
    404: ("not_found", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not take this method: see the Allow header"),
    413: ("too_large", f"The body is larger than {MAX_BODY_BYTES} bytes"),
    415: ("not_json", "Send JSON in UTF-8, with Content-Type: application/json"),
}


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
    app = _bare_app()
    _add_routes(app, settings, payments or _open_payments(settings))
    _add_error_handlers(app)
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)
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


def _open_payments(settings: Settings) -> Payments:
    from stripe_payment import open_payments

    return open_payments(
        settings,
        observe=telemetry.tell_happening,
        tell=telemetry.tell_send,
        tell_retry=telemetry.tell_retry,
    )


def _bare_app() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.response_class = JsonResponse
    app.config["MAX_CONTENT_LENGTH"] = MAX_READ_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A redirect would be a page of HTML, and a client would send its payment twice.
    app.url_map.merge_slashes = False
    return app


def _add_routes(app: Flask, settings: Settings, payments: Payments) -> None:
    @app.post("/create-payment-intent")
    def create_payment_intent() -> Response:
        answer = payments.create(parse_payment_request(_json_bytes()))
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
        return jsonify(publishable_key=settings.stripe_publishable_key)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> Response:
        payments.ready()
        return jsonify(status="ok")


def _json_bytes() -> bytes:
    charset = request.mimetype_params.get("charset", "utf-8")
    if request.mimetype != "application/json" or charset.lower() not in ("utf-8", "utf8"):
        raise BadRequest(HTTP_ERRORS[415][1], code="not_json")
    try:
        body = _body()
    except HTTPException:
        raise
    except Exception as broken:  # noqa: BLE001 - each server has its own errors for it
        raise BadRequest("The body broke off", code="malformed_json") from broken
    # What came before the break may happen to be JSON.
    if request.content_length not in (None, len(body)):
        raise BadRequest("The body broke off", code="malformed_json")
    return body


def _body() -> bytes:
    body = b""
    while piece := request.stream.read(MAX_BODY_BYTES):
        if len(body) + len(piece) > MAX_BODY_BYTES:
            _read_on()
        body += piece
    return body


def _read_on() -> NoReturn:
    while request.stream.read(MAX_BODY_BYTES):
        pass
    raise RequestEntityTooLarge


def _add_error_handlers(app: Flask) -> None:
    @app.errorhandler(PaymentError)
    def payment_error(error: PaymentError) -> Response:
        status, action = answer_to(error)
        response = _error(status, error.code, error.message, action, request_id=error.request_id)
        if error.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code, message = HTTP_ERRORS.get(status, ("bad_request", "The request cannot be read"))
        response = _error(status, code, message, "fix_request")
        response.headers.extend(_allowed_methods(error))
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        log.error("internal error", exc_info=error)
        return _error(500, "internal", "an internal error", "stop")


def answer_to(error: PaymentError) -> tuple[int, str]:
    """Return the HTTP status and the action of an error."""
    if error.code == "not_json":
        return 415, "fix_request"
    return next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)


def _allowed_methods(error: HTTPException) -> dict[str, str]:
    methods = getattr(error, "valid_methods", None)
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _error(
    status: int, code: str, message: str, action: str, request_id: str | None = None
) -> Response:
    if status >= 500 and not message.startswith(FAILED):
        message = f"{FAILED}: {message}"
    body = {"error": telemetry.redacted(message), "code": code, "action": action}
    if request_id is not None:
        body["request_id"] = request_id
    g.error_code = code
    response = jsonify(body)
    response.status_code = status
    return response


def _begin() -> None:
    g.started = time.monotonic()
    g.correlation_id = telemetry.new_correlation_id(request.headers.get("X-Request-ID"))
    telemetry.correlation_id.set(g.correlation_id)


def _end(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Request-ID"] = g.correlation_id
    facts = {
        "method": request.method,
        "route": str(request.url_rule) if request.url_rule else None,
        "status": response.status_code,
        "code": g.get("error_code"),
        "seconds": round(time.monotonic() - g.started, 4),
    }
    log.info("request", extra=facts)
    return response


def _forget(_: BaseException | None) -> None:
    telemetry.correlation_id.set(None)


def main() -> None:
    """Become the production server, or say in one line which settings are wrong."""
    os.chdir(Path(__file__).resolve().parent)
    try:
        load_settings()
    except SettingsError as wrong:
        sys.exit(str(wrong))
    server = [sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"]
    os.execv(sys.executable, server)  # noqa: S606


if __name__ == "__main__":
    main()
