"""The description and the behaviour agree, and both are made from the same tables."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from msgspec.structs import fields

from payment_service.errors import (
    AlreadyCaptured,
    BadRequest,
    CardRefused,
    Changed,
    GatewayNotAccepted,
    NoLongerOpen,
    NotAuthorized,
    NotFound,
    NotPaid,
    PaymentError,
    RefundReused,
    Refused,
    StoreDown,
)
from payment_service.gateways.intent import STATUSES
from payment_service.payments.request.create import PaymentRequest, check_request
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    RefundRequest,
    UpdateRequest,
)
from payment_service.schema.fields import names_of
from payment_service.schema.secret import Secret
from payment_service.web.body import MAX_BODY_BYTES, MAX_EVENT_BYTES
from payment_service.web.errors import ERROR_RESPONSES, UNREADABLE
from payment_service.web.openapi.document import document as guarded_document
from payment_service.web.openapi.page import page
from tests.support.fake_payments import Answer, FakePayments, client_of
from tests.support.json_schema import Schemas
from tests.unit.web.test_api import ORDER, PATH, ROWS, ask

UPDATE = "/update-payment-intent"
CAPTURE, REFUND = "/capture-payment-intent", "/refund-payment-intent"

MODELS = (PaymentRequest, UpdateRequest, CancelRequest, CaptureRequest, RefundRequest)

# The routes that describe the errors that not every route can have.
ROUTES = {
    NotFound: UPDATE,
    Changed: UPDATE,
    NoLongerOpen: UPDATE,
    NotAuthorized: CAPTURE,
    AlreadyCaptured: CAPTURE,
    NotPaid: REFUND,
    RefundReused: REFUND,
}


@pytest.fixture(scope="module")
def document() -> Any:
    response = client_of(FakePayments()).get("/openapi.json")
    assert response.status_code == 200
    return response.get_json()


def test_every_field_of_the_model_is_described_and_no_other(document: Any) -> None:
    for model in MODELS:
        schema = document["components"]["schemas"][model.__name__]
        assert set(schema["properties"]) == set(names_of(model))
        required = {each.name for each in fields(model) if each.required}
        assert set(schema["required"]) == required
        assert schema["additionalProperties"] is False
        for name, field in schema["properties"].items():
            assert field.get("description"), name
            [example] = (field if "examples" in field else field["anyOf"][0])["examples"]
            assert Schemas(document).fits(example, field), name


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


def test_as_many_names_of_a_refunds_metadata_are_taken_as_are_described(document: Any) -> None:
    schema = document["components"]["schemas"]["RefundRequest"]
    most = schema["properties"]["metadata"]["anyOf"][0]["maxProperties"]
    refund = {"order_id": "A-1", "refund_id": "R-1"}
    for names in ({str(n): "" for n in range(most + 1)}, {"refund_id": ""}, {"order_id": ""}):
        assert not Schemas(document).fits({**refund, "metadata": names}, schema)
        with pytest.raises(BadRequest, match="metadata: "):
            check_request({**refund, "metadata": names}, RefundRequest)
    names = {str(n): "" for n in range(most)}
    assert Schemas(document).fits({**refund, "metadata": names}, schema)
    assert check_request({**refund, "metadata": names}, RefundRequest).metadata == names


def operations(document: Any) -> list[Any]:
    return [each for methods in document["paths"].values() for each in methods.values()]


def contents(document: Any) -> list[Any]:
    """Every body of a request or an answer."""
    return [
        part["content"]["application/json"]
        for operation in operations(document)
        for part in (operation.get("requestBody"), *operation["responses"].values())
        if part is not None
    ]


@pytest.mark.parametrize("guarded", [False, True])
def test_every_body_has_examples_that_fit_its_schema(guarded: bool) -> None:
    document = guarded_document(ERROR_RESPONSES, guarded=guarded)
    schemas = Schemas(document)
    for content in contents(document):
        examples = [each["value"] for each in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples, content
        for example in examples:
            assert schemas.fits(example, content["schema"]), (example, content["schema"])


def test_the_examples_of_requests_pass_the_services_own_checks(document: Any) -> None:
    checked = 0
    for content in contents(document):
        for model in MODELS:
            named = content["schema"].get("$ref", "").endswith(f"/{model.__name__}")
            for example in content["examples"].values() if named else ():
                check_request(example["value"], model)
                checked += 1
    assert checked >= 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 1099},
        {"amount": "1099", "order_id": "A-1"},
        {"amount": 0, "order_id": "A-1"},
        {"amount": 10**12, "order_id": "A-1"},
        {"amount": 1099, "order_id": "A-1", "currency": "usdx"},
        {"amount": 1099, "order_id": "A-1", "colour": "red"},
        {"amount": 1099, "order_id": "A-1", "metadata": {"order_id": "B"}},
        {"amount": 1099, "order_id": "A-1", "payment_method_types": []},
    ],
)
def test_the_schema_rejects_what_the_service_rejects(document: Any, wrong: dict[str, Any]) -> None:
    assert not Schemas(document).fits(wrong, document["components"]["schemas"]["PaymentRequest"])
    with pytest.raises(BadRequest):
        check_request(wrong, PaymentRequest)


def described_responses(document: Any) -> list[tuple[str, Any]]:
    found = operations(document)
    return [answer for operation in found for answer in operation["responses"].items()]


def rules(document: Any, status: int, path: str) -> Any:
    found = document["paths"][path]["post"]["responses"][str(status)]
    return found, found["content"]["application/json"]["schema"]["allOf"][1]["properties"]


@pytest.mark.parametrize(("error", "status", "code", "action"), ROWS)
def test_every_error_is_described_as_it_is_answered(
    document: Any, error: Exception, status: int, code: str, action: str
) -> None:
    route = ROUTES.get(type(error), PATH)
    guarded = guarded_document(ERROR_RESPONSES, guarded=True)
    response, (said, shape) = ask(error), rules(guarded, status, route)
    assert action in shape["action"]["enum"]
    if not isinstance(error, Refused | CardRefused) and status != 400:
        assert code in shape["code"]["enum"]
    if "Retry-After" in response.headers:
        assert "Retry-After" in said["headers"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "paypal_rate_limited"), (502, "paypal_error"), (503, "paypal_unreachable")],
)
def test_the_errors_of_the_second_gateway_are_described(
    document: Any, status: int, code: str
) -> None:
    assert code in rules(document, status, PATH)[1]["code"]["enum"]


def test_the_error_schema_matches_the_error_responses(document: Any) -> None:
    schema = document["components"]["schemas"]["Error"]
    changed, over = Changed("x", revision=1, amount=5), NoLongerOpen("succeeded")
    down, elsewhere = StoreDown("x", "read_only"), GatewayNotAccepted("paypal")
    held = {
        name
        for error in (changed, over, elsewhere, down, Refused("x", request_id="req_1"))
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
    assert rules(document, 415, "/webhook")[1]["code"]["enum"] == ["encoded_body"]
    assert rules(document, 415, PATH)[1]["code"]["enum"] == ["not_json", "encoded_body"]


def test_replayable_routes_describe_the_replay_header(document: Any) -> None:
    told = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if "Idempotent-Replayed" in operation["responses"]["200"].get("headers", {})
    }
    assert told == {PATH, UPDATE, CAPTURE, REFUND}


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_that_is_answered_is_described(document: Any, status: str) -> None:
    answer = client_of(FakePayments(Answer(status=status))).post(PATH, json=ORDER).get_json()
    schema = document["paths"][PATH]["post"]["responses"]["200"]["content"]["application/json"]
    assert set(answer) == set(schema["schema"]["required"])
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
    assert text.count("<link") == text.count('<link rel="icon" href="data:,">') == 1
    assert not re.findall(r"<script|<img|https?://", text)
    for word in (
        "bad_request",
        "invalid_parameter",
        "Stripe&#x27;s own",
        "in_flight",
        "order_reused",
        "store_unavailable",
    ):
        assert word in text


def docs(*, guarded: bool) -> str:
    return page(guarded_document(ERROR_RESPONSES, guarded=guarded), "pay.example:4242")


def section_of(text: str, heading: str) -> str:
    [found] = re.findall(
        rf"<section><h2><code>{re.escape(heading)}</code>.*?</section>", text, re.S
    )
    return html.unescape(str(found))


@pytest.mark.parametrize("guarded", [False, True])
def test_the_page_has_the_fields_and_examples_of_each_operation(guarded: bool) -> None:
    document = guarded_document(ERROR_RESPONSES, guarded=guarded)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            text = section_of(docs(guarded=guarded), f"{method.upper()} {path}")
            schema = content_of(operation).get("schema", {})
            model = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2])
            for name in (model or {"properties": {}})["properties"]:
                assert f"<code>{name}</code>" in text
            for example in content_of(operation).get("examples", {}).values():
                assert json.dumps(example["value"]) in text or path.startswith("/webhook")
            if method == "get" or model:
                assert f"pay.example:4242{path}" in text
            assert ("Authorization: Bearer" in text) == ("security" in operation)


def content_of(operation: Any) -> Any:
    return operation.get("requestBody", {}).get("content", {}).get("application/json", {})


@pytest.mark.parametrize(("guarded", "says"), [(False, "None: "), (True, "Authorization: Bearer")])
def test_the_page_says_how_callers_authenticate(guarded: bool, says: str) -> None:
    text = docs(guarded=guarded)
    assert says in text.partition("<h2>Authentication</h2>")[2].partition("</section>")[0]
    assert "`" not in text


def test_the_page_escapes_the_host() -> None:
    text = page(guarded_document(ERROR_RESPONSES, guarded=False), '<b>"&')
    assert '<b>"&' not in text


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
