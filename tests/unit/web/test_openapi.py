"""The description and the behaviour agree, and both are made from the same tables."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import fields

from payment_service.errors import (
    BadRequest,
    CardRefused,
    Changed,
    NoLongerOpen,
    NotFound,
    PaymentError,
    Refused,
    StoreDown,
)
from payment_service.gateways.intent import STATUSES
from payment_service.payments.request.create import PaymentRequest, check_request
from payment_service.payments.request.existing_order import CancelRequest, UpdateRequest
from payment_service.schema.fields import names_of
from payment_service.schema.secret import Secret
from payment_service.web.body import MAX_BODY_BYTES, MAX_EVENT_BYTES
from payment_service.web.errors import ERROR_RESPONSES, UNREADABLE
from payment_service.web.openapi.document import document as guarded_document
from tests.support.fake_payments import Answer, FakePayments, client_of
from tests.unit.web.test_api import ORDER, PATH, ROWS, ask

UPDATE = "/update-payment-intent"


@pytest.fixture(scope="module")
def document() -> Any:
    response = client_of(FakePayments()).get("/openapi.json")
    assert response.status_code == 200
    return response.get_json()


def test_every_field_of_the_model_is_described_and_no_other(document: Any) -> None:
    for model in (PaymentRequest, UpdateRequest, CancelRequest):
        schema = document["components"]["schemas"][model.__name__]
        assert set(schema["properties"]) == set(names_of(model))
        required = {each.name for each in fields(model) if each.required}
        assert set(schema["required"]) == required
        assert schema["additionalProperties"] is False
        for name, field in schema["properties"].items():
            assert field.get("description"), name


def test_an_order_may_be_a_number_as_it_is_described(document: Any) -> None:
    properties = document["components"]["schemas"]["PaymentRequest"]["properties"]
    assert properties["order_id"]["type"] == ["string", "integer"]
    assert "anyOf" not in properties["order_id"]
    assert properties["client_id"]["anyOf"][0]["type"] == ["string", "integer"]


def test_signed_fields_are_optional_in_the_schema() -> None:
    guarded = guarded_document(ERROR_RESPONSES, guarded=True)
    schemas = guarded["components"]["schemas"]
    assert schemas["PaymentRequest"]["required"] == []
    assert {"type": "null"} in schemas["PaymentRequest"]["properties"]["amount"]["anyOf"]
    query = guarded["paths"]["/payment-intent"]["get"]["parameters"]
    assert not any(each["required"] for each in query)
    assert schemas["UpdateRequest"]["required"] == ["amount", "order_id"]


@pytest.mark.parametrize("model", [PaymentRequest, UpdateRequest])
def test_as_many_names_of_metadata_are_taken_as_are_described(
    document: Any, model: type[PaymentRequest | UpdateRequest]
) -> None:
    properties = document["components"]["schemas"][model.__name__]["properties"]
    most = properties["metadata"]["anyOf"][0]["maxProperties"]
    names = {str(n): "" for n in range(most)}
    assert check_request({**ORDER, "metadata": names}, model).metadata == names
    with pytest.raises(BadRequest, match=f"metadata: may have at most {most} names"):
        check_request({**ORDER, "metadata": {**names, "more": ""}}, model)


def described_responses(document: Any) -> list[tuple[str, Any]]:
    operations = [each for path in document["paths"].values() for each in path.values()]
    return [answer for operation in operations for answer in operation["responses"].items()]


def rules(document: Any, status: int, path: str) -> Any:
    found = document["paths"][path]["post"]["responses"][str(status)]
    return found, found["content"]["application/json"]["schema"]["allOf"][1]["properties"]


@pytest.mark.parametrize(("error", "status", "code", "action"), ROWS)
def test_every_error_is_described_as_it_is_answered(
    document: Any, error: Exception, status: int, code: str, action: str
) -> None:
    route = PATH if not isinstance(error, NotFound | Changed | NoLongerOpen) else UPDATE
    guarded = guarded_document(ERROR_RESPONSES, guarded=True)
    response, (said, shape) = ask(error), rules(guarded, status, route)
    assert action in shape["action"]["enum"]
    if not isinstance(error, Refused | CardRefused) and status != 400:
        assert code in shape["code"]["enum"]
    if "Retry-After" in response.headers:
        assert "Retry-After" in said["headers"]


def test_the_error_schema_matches_the_error_responses(document: Any) -> None:
    schema = document["components"]["schemas"]["Error"]
    changed, over = Changed("x", revision=1, amount=5), NoLongerOpen("succeeded")
    down = StoreDown("x", "read_only")
    held = {
        name
        for error in (changed, over, down, Refused("x", request_id="req_1"))
        for name in ask(error).get_json()
    }
    assert set(schema["properties"]) == held
    assert schema["additionalProperties"] is False


def test_descriptions_of_errors_name_nothing_that_no_error_holds(document: Any) -> None:
    held = {*document["components"]["schemas"]["Error"]["properties"], "payment_"}
    for status, response in described_responses(document):
        if status != "200":
            assert set(re.findall(r"`(\w+)`", response["description"])) <= held


@pytest.mark.parametrize(("path", "limit"), [(PATH, MAX_BODY_BYTES), ("/webhook", MAX_EVENT_BYTES)])
def test_how_large_a_body_may_be_is_described(document: Any, path: str, limit: int) -> None:
    client = client_of(FakePayments(), stripe_webhook_secret=Secret("whsec_x"))
    answer = client.post(path, data=b" " * (limit + 1), content_type="application/json")
    assert answer.status_code == 413
    assert answer.get_json()["error"] == rules(document, 413, path)[0]["description"]


def test_an_event_may_be_of_any_content_type(document: Any) -> None:
    assert "415" not in document["paths"]["/webhook"]["post"]["responses"]


def test_replayable_routes_describe_the_replay_header(document: Any) -> None:
    told = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if "Idempotent-Replayed" in operation["responses"]["200"].get("headers", {})
    }
    assert told == {PATH, UPDATE}


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_that_is_answered_is_described(document: Any, status: str) -> None:
    answer = client_of(FakePayments(Answer(status=status))).post(PATH, json=ORDER).get_json()
    schema = document["paths"][PATH]["post"]["responses"]["200"]["content"]["application/json"]
    assert set(answer) == set(schema["schema"]["properties"])
    assert answer["status"] in schema["schema"]["properties"]["status"]["enum"]


def test_every_route_is_described(document: Any) -> None:
    app = client_of(FakePayments()).application
    undescribed = {"openapi", "documentation"}
    routes = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in undescribed
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, m) for path, methods in document["paths"].items() for m in methods}
    assert routes == described


def test_the_page_needs_nothing_from_elsewhere() -> None:
    response = client_of(FakePayments()).get("/docs")
    assert response.content_type.startswith("text/html")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    text = response.get_data(as_text=True)
    assert not re.findall(r"<script|<link|<img|https?://", text)
    for name in names_of(PaymentRequest):
        assert f"<code>{name}</code>" in text
    for word in (
        "bad_request",
        "invalid_parameter",
        "Stripe&#x27;s own",
        "in_flight",
        "order_reused",
        "store_unavailable",
    ):
        assert word in text


def test_every_400_describes_malformed_http(document: Any) -> None:
    """These responses may have Stripe's codes too, so ours are only examples."""
    found = [response for status, response in described_responses(document) if status == "400"]
    assert len(found) > 5
    for response in found:
        _, shape = response["content"]["application/json"]["schema"]["allOf"]
        code = shape["properties"]["code"]
        assert UNREADABLE[0] in code.get("enum", code.get("examples"))


def test_the_error_classes_have_sentences() -> None:
    kinds = [PaymentError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.__doc__
