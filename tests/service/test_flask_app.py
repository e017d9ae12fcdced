"""The trimmed Flask application behaves like Flask."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from flask import Flask, jsonify
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, run_wsgi_app

from payment_service.schema.secret import Secret
from payment_service.settings import Settings
from payment_service.web.flask_app import App
from stripe_back_end_api import create_app
from tests.support.fake_payments import FakePayments, client_of
from tests.support.sandbox_process import SandboxProcess

ORDER = {"amount": 100, "order_id": "A-1"}
PATH = "/create-payment-intent"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_response_equals_flasks(value: Any) -> None:
    flask = Flask("tests")
    flask.json.sort_keys = False  # type: ignore[attr-defined]
    said = []
    for app in (flask, App("tests")):
        with app.app_context():
            response = jsonify(value)
        said.append((response.data, response.content_type, response.status))
    assert said[0] == said[1]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/healthz", PATH, "//healthz", "/healthz/", "/nowhere", "/%2e"])
def test_routing_equals_flasks(method: str, path: str) -> None:
    app = client_of(FakePayments()).application
    assert isinstance(app, App)
    environ = EnvironBuilder(path, method=method).get_environ()
    found: list[object] = []
    for create in (App.create_url_adapter, Flask.create_url_adapter):
        adapter = create(app, app.request_class(environ))
        assert adapter
        try:
            found.append(adapter.match())
        except Exception as refused:  # noqa: BLE001 - which one is what is compared
            found.append((type(refused), getattr(refused, "valid_methods", None)))
    assert found[0] == found[1]


@pytest.mark.parametrize("protocol", ["websocket", "WebSocket", "h2c"])
def test_upgrade_header_is_ignored(protocol: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": protocol}
    response = client_of(FakePayments()).get("/healthz", headers=upgrade)
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_response_without_a_body_has_a_content_length() -> None:
    client = client_of(FakePayments())
    options = client.options(PATH)
    assert (options.data, options.headers["Content-Length"]) == (b"", "0")
    head, get = client.head("/healthz"), client.get("/healthz")
    assert head.data == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.data))


def test_no_response_sets_a_cookie() -> None:
    client = client_of(FakePayments())
    for response in (client.get("/healthz"), client.post(PATH, json=ORDER), client.get("/nowhere")):
        assert "Set-Cookie" not in response.headers
        assert "Cookie" not in response.headers.get("Vary", "")


def garbage_of(app: Flask, asked: list[EnvironBuilder], status: str) -> int:
    """Return how many objects only the garbage collector frees, after a warm-up."""
    begun = 10

    def ask(builder: EnvironBuilder) -> None:
        assert run_wsgi_app(app, builder.get_environ())[1] == status

    for builder in asked[:begun]:
        ask(builder)
    gc.collect()
    gc.disable()
    try:
        for builder in asked[begun:]:
            ask(builder)
        return gc.collect()
    finally:
        gc.enable()


def orders(count: int, **fields: Any) -> list[EnvironBuilder]:
    return [
        EnvironBuilder(PATH, method="POST", json=ORDER | {"order_id": f"G-{number}", **fields})
        for number in range(count)
    ]


@pytest.fixture
def app(sandbox: SandboxProcess) -> Flask:
    return create_app(Settings(stripe_secret_key=Secret("sk_test_g"), stripe_api_base=sandbox.url))


def test_orders_leave_no_garbage(app: Flask) -> None:
    """A collection pauses every request: up to 0.2 s with 400 connections."""
    assert garbage_of(app, orders(60), "200 OK") < 50


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"order_id": "G-1", "amount": 200}, "422 UNPROCESSABLE ENTITY"),
        ({"order_id": "R-1", "currency": "usd", "amount": 1}, "400 BAD REQUEST"),
    ],
)
def test_rejections_leave_no_garbage(app: Flask, order: dict[str, Any], status: str) -> None:
    """A traceback is a reference cycle: its frames refer to the error, and to the request."""
    garbage_of(app, orders(11), "200 OK")
    assert garbage_of(app, orders(60, **order), status) < 50


@pytest.mark.parametrize("unreachable", ["http://127.0.0.1:1"])
def test_unreachable_stripe_leaves_no_garbage(unreachable: str) -> None:
    app = create_app(
        Settings(
            stripe_secret_key=Secret("sk_test_g"),
            stripe_api_base=unreachable,
            stripe_max_attempts=1,
        )
    )
    assert garbage_of(app, orders(60), "503 SERVICE UNAVAILABLE") < 50
