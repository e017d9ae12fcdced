"""The routing table: method and path to endpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox import event_list, listing, payment_intents, refund_endpoint, search
from sandbox import payment_intent_parameters as parameters
from sandbox import payment_intent_schemas as schemas
from sandbox.answers import JsonObject, refusal
from sandbox.form import Form
from sandbox.moment import Moment
from sandbox.object_endpoints import list_of, list_schema, retrieve_of, retrieve_schema
from sandbox.parameters import Schema, check

Check = Callable[[Form, str], Form]
Run = Callable[[Moment, str, Form], JsonObject]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: `check` runs before the idempotency layer, `run` after it."""

    template: str
    check: Check
    run: Run
    browser: bool = False


def find(method: str, path: str) -> tuple[Endpoint, str]:
    """Return the endpoint and the id in its path; 404 if Stripe or the sandbox has none."""
    endpoint = ROUTES.get((method, path))
    if endpoint:
        return endpoint, ""
    parts = path.split("/")
    if len(parts) > 3:
        subject, parts[3] = parts[3], ":id"
        endpoint = ROUTES.get((method, "/".join(parts)))
        if endpoint and subject:
            return endpoint, subject
    message = (
        f"Unrecognized request URL ({method}: {path}). The sandbox answers what README.md lists."
    )
    raise refusal(message, status=404)


def _plain(schema: Schema) -> Check:
    return lambda params, _: check(params, schema)


def _readable(kind: str) -> tuple[tuple[str, Endpoint], tuple[str, Endpoint]]:
    path = f"/v1/{kind}s"
    one = Endpoint(f"{path}/:id", _plain(retrieve_schema(kind)), retrieve_of(kind))
    return ("GET", Endpoint(path, _plain(list_schema(kind)), list_of(kind))), ("GET", one)


_INTENTS = "/v1/payment_intents"

ROUTES: dict[tuple[str, str], Endpoint] = {
    (method, endpoint.template): endpoint
    for method, endpoint in (
        ("POST", Endpoint(_INTENTS, parameters.check_create, payment_intents.create)),
        ("GET", Endpoint(_INTENTS, listing.check_list, listing.list_intents)),
        ("GET", Endpoint(f"{_INTENTS}/search", search.check_search, search.search_intents)),
        (
            "GET",
            Endpoint(
                f"{_INTENTS}/:id",
                _plain(schemas.RETRIEVE),
                payment_intents.retrieve,
                browser=True,
            ),
        ),
        ("POST", Endpoint(f"{_INTENTS}/:id", parameters.check_update, payment_intents.update)),
        (
            "POST",
            Endpoint(
                f"{_INTENTS}/:id/confirm",
                parameters.check_confirm,
                payment_intents.confirm,
                browser=True,
            ),
        ),
        (
            "POST",
            Endpoint(f"{_INTENTS}/:id/cancel", _plain(schemas.CANCEL), payment_intents.cancel),
        ),
        (
            "POST",
            Endpoint(f"{_INTENTS}/:id/capture", _plain(schemas.CAPTURE), payment_intents.capture),
        ),
        *_readable("charge"),
        *_readable("refund"),
        *_readable("dispute"),
        ("POST", Endpoint("/v1/refunds", refund_endpoint.check_create, refund_endpoint.create)),
        ("GET", Endpoint("/v1/events", event_list.check_list, event_list.list_events)),
        ("GET", Endpoint("/v1/events/:id", _plain({}), event_list.retrieve)),
    )
}
