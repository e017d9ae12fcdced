"""The web application: parse a request, create the payment, answer. web/ has the parts.

`gunicorn stripe_back_end_api:app` serves it; importing this module builds nothing.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, jsonify, request

from payment_service import wiring
from payment_service.background.start import (
    start_approvals,
    start_delivery,
    start_enlisting,
    start_late_look_ups,
    start_witnesses,
)
from payment_service.cli.commands import (
    add_commands,
    from_environment,
    is_looking_for_a_command,
    is_serving,
)
from payment_service.cli.serve import become_server
from payment_service.payments.payments import PaymentAnswer, Payments
from payment_service.payments.request.create import PaymentRequest
from payment_service.settings import Settings, SettingsError, load_settings
from payment_service.settings.otel import publish_otel
from payment_service.telemetry import request_log
from payment_service.telemetry.logs import start_logging
from payment_service.telemetry.metrics.none import NoMetrics
from payment_service.web import access_control
from payment_service.web.errors import ERROR_RESPONSES, STATUSES, add_error_handlers
from payment_service.web.flask_app import App
from payment_service.web.operator_routes import add_operator_routes
from payment_service.web.order_routes import add_order_routes
from payment_service.web.orders_list_routes import add_orders_list_routes
from payment_service.web.parse import parse_body
from payment_service.web.query_string import read_query
from payment_service.web.rebuild_after_fork import (
    rebuild_after_fork,
    refuse_uwsgi_without_lazy_apps,
)
from payment_service.web.webhooks import add_webhooks
from payment_service.wiring import Parts, configure, open_parts

# Endpoints of files, which no metric counts one by one.
PAGES = ("demo", "operator_page")

# If a worker exits with this code, gunicorn shuts down instead of restarting the worker.
WORKER_BOOT_ERROR = 3


def create_app(settings: Settings | None = None, payments: Payments | None = None) -> Flask:
    """Build the service.

    Without `settings`, takes those that the server inherits or reads the environment, and starts
    logging; with it, the caller does both. `payments` replaces the default payments. Raises
    SettingsError.
    """
    if settings is None:
        refuse_uwsgi_without_lazy_apps()
        configuration = wiring.inherited or configure(load_settings())
        if wiring.inherited is None:
            # A worker has those that the master read. The file may be in the middle of an edit.
            publish_otel()
        start_logging(configuration.settings.log_level)
    else:
        configuration = configure(settings)
    parts, settings = open_parts(configuration, payments), configuration.settings
    app = App(__name__)
    _add_routes(app, parts)
    _add_own_description(app, parts)
    add_order_routes(app, parts)
    add_webhooks(app, parts)
    add_orders_list_routes(app, parts)
    if parts.clients is not None:
        add_operator_routes(app, parts, parts.clients)
    add_commands(app.cli, lambda: parts)
    if settings.checkout_demo or settings.sandbox_url:
        _add_pages(app, settings)
    add_error_handlers(app)
    routes = {each.rule for each in app.url_map.iter_rules() if each.endpoint not in PAGES}
    parts.metrics.start_requests_at_zero(routes, STATUSES)
    app.before_request(_begin)
    app.after_request(lambda response: _end(response, parts.metrics))
    access_control.install(app, settings, parts.clients)
    app.teardown_request(_forget)
    app.wsgi_app = parts.tracing.traced_app(app.wsgi_app, routes)  # type: ignore[assignment,method-assign]
    if settings.order_events_delivery == "embedded" and is_serving():
        start_delivery(settings, parts.payments, parts.receivers, parts.tracing)
    if payments is None and is_serving():
        start_late_look_ups(settings, parts.payments, parts.tracing)
        start_approvals(settings, parts.payments, parts.tracing)
        start_witnesses(settings, parts.payments, parts.tracing)
        start_enlisting(parts.payments)
    if is_serving():
        parts.metrics.serve()
    if payments is None:
        rebuild_after_fork(app, lambda: create_app(settings))
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return _commands_only() if is_looking_for_a_command() else _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _commands_only() -> Flask:
    """Return an app without settings: commands load them, and --help and some others need none."""
    app = Flask(__name__)
    add_commands(app.cli, from_environment)
    return app


@functools.cache
def _app() -> Flask:
    try:
        return create_app()
    except SettingsError as wrong:
        sys.stderr.write(f"{wrong}\n")
        raise SystemExit(WORKER_BOOT_ERROR) from None


def _add_routes(app: Flask, parts: Parts) -> None:
    settings, payments = parts.settings, parts.payments

    @app.post("/create-payment-intent")
    def create_payment_intent() -> Response:
        wanted = parse_body(PaymentRequest)
        answer = payments.create(wanted)
        shown = {
            "payment_intent_id": answer.payment_intent_id,
            "client_secret": answer.client_secret,
            "status": answer.status,
        }
        if wanted.accept_gateways is not None:
            shown |= _gateway_fields(answer)
        response = jsonify(shown)
        if answer.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @app.get("/config")
    def config() -> Response:
        client_id = read_query(request.query_string).get("client_id", "")
        client = parts.clients.get(client_id) if parts.clients else None
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


def _gateway_fields(answer: PaymentAnswer) -> dict[str, str]:
    """Return what a page needs that can handle several gateways."""
    link = {"redirect_url": answer.redirect_url} if answer.redirect_url else {}
    return {"gateway": answer.gateway, **link}


def _add_own_description(app: Flask, parts: Parts) -> None:
    @functools.cache
    def described() -> dict[str, Any]:
        # Built on the first request, so that it does not delay the start.
        from payment_service.web.openapi.document import document

        return document(ERROR_RESPONSES, guarded=parts.clients is not None)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(described())

    @app.get("/docs")
    def documentation() -> Response:
        from payment_service.web.openapi.page import CONTENT_SECURITY_POLICY, page

        response = Response(page(described(), request.host), mimetype="text/html")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


def _add_pages(app: Flask, settings: Settings) -> None:
    from payment_service.checkout.pages import Demo, open_pages

    key = settings.demo_api_key if settings.clients_file else None
    demo_key = key.get_secret_value() if key else None
    gateways = settings.listed_gateways if settings.several_gateways else ()
    # The stand-in has no credentials that the page could disclose; PayPal itself is not for pages.
    paypal_url = settings.paypal_api_base if settings.sandbox_url and gateways else None
    client_id = _demo_client() if demo_key else None
    demo = Demo(
        settings.sandbox_url, settings.demo_stage_url, demo_key, paypal_url, gateways, client_id
    )
    pages = open_pages(demo)

    def show() -> Response:
        shown = pages[request.path]
        return Response(shown.body, headers=dict(shown.headers))

    for path in pages:
        app.add_url_rule(path, endpoint="demo", view_func=show)


def _demo_client() -> str:
    # It is loaded already where there is a clients file, and only then.
    from payment_service.access.clients import DEMO

    return DEMO


def _begin() -> None:
    kept = g._get_current_object()
    kept.started = time.monotonic()
    kept.correlation_id = request_log.begin_request(request.headers.get("X-Request-ID"))


def _end(response: Response, metrics: NoMetrics) -> Response:
    # Bypass Flask's proxies: each look-up through one costs as much as the line that uses it.
    kept, asked = g._get_current_object(), request._get_current_object()  # type: ignore[attr-defined]
    if "Cache-Control" not in response.headers:
        response.headers.add("Cache-Control", "no-store")
    response.headers.add("X-Request-ID", kept.correlation_id)
    route = asked.url_rule.rule if asked.url_rule else None
    seconds = time.monotonic() - kept.started
    metrics.request(route, response.status_code, seconds)
    request_log.log_request(
        method=asked.method,
        route=route,
        status=response.status_code,
        code=kept.get("error_code"),
        seconds=round(seconds, 4),
    )
    return response


def _forget(_: BaseException | None) -> None:
    request_log.end_request()


def main() -> None:
    """Become the production server, or report invalid settings in one line."""
    here = Path(__file__).resolve().parent
    # In a checkout, use its own .env and gunicorn.conf.py, whatever the working directory.
    if (here / "gunicorn.conf.py").exists():
        os.chdir(here)
    become_server()


if __name__ == "__main__":
    main()
