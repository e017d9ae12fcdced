"""Bad requests, listed and generated: a clear 4xx in the one shape, and no payment asked for."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from payment_service.errors import BadRequest
from payment_service.payments.request.create import PaymentRequest
from payment_service.schema.fields import names_of
from payment_service.web.json_object import read_json_object
from tests.support.examples import examples
from tests.support.fake_payments import FakePayments, client_of

VALID: dict[str, Any] = {"amount": 100, "order_id": "A-1"}

MANDATE = {"payment_schedule": "sporadic", "transaction_type": "personal"}

EMPTY_OPTIONS: list[dict[str, Any]] = [
    {"card": {}},
    {"card": {"a": []}},
    {"card": {"a": {}}},
    {"card": {"a": [{}]}},
]


@functools.cache
def service() -> tuple[FakePayments, Client]:
    """Return one service for all requests: it takes ten times longer to build than to answer."""
    payments = FakePayments()
    return payments, client_of(payments)


def post(body: bytes) -> TestResponse:
    """Post the bytes, and hold the answer to what every refusal must be."""
    payments, client = service()
    payments.asked.clear()
    response = client.post("/create-payment-intent", data=body, content_type="application/json")
    if response.status_code == 200:
        assert len(payments.asked) == 1
        return response
    assert 400 <= response.status_code < 500
    assert response.content_type == "application/json"
    found = response.get_json()
    assert set(found) == {"error", "code", "action"}
    assert found["action"] == "fix_request"
    assert len(found["error"]) < 1500
    assert found["error"].isprintable()
    assert payments.asked == []
    return response


def refusal(body: bytes) -> tuple[int, str, str]:
    response = post(body)
    found = response.get_json()
    return response.status_code, found["code"], found["error"]


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1) if depth else 1}


def acss(**terms: Any) -> dict[str, Any]:
    return {
        "currency": "cad",
        "payment_method_types": ["acss_debit"],
        "payment_method_options": {"acss_debit": {"mandate_options": terms}},
    }


MALFORMED = {
    "empty": b"",
    "only spaces": b" \r\n\t ",
    "only a byte order mark": b"\xef\xbb\xbf",
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"amount":1,"order_id":"a"}',
    "not JSON": b"amount=100&order_id=A-1",
    "cut off": b'{"amount": 100, "order_id": "A-',
    "two objects": b'{"amount":100,"order_id":"A-1"}{"amount":100,"order_id":"A-1"}',
    "comma at the end": b'{"amount":100,"order_id":"A-1",}',
    "single quotes": b"{'amount':100,'order_id':'A-1'}",
    "comment": b'{"amount":100,/* x */"order_id":"A-1"}',
    "raw line break in text": b'{"amount":100,"order_id":"A\n1"}',
    "raw NUL": b'{"amount":100,"order_id":"A-1"}\x00',
    "list": b'[{"amount":100,"order_id":"A-1"}]',
    "text": b'"amount"',
    "number": b"100",
    "null": b"null",
    "true": b"true",
    "Latin-1": '{"amount":100,"order_id":"é"}'.encode("latin-1"),
    "UTF-16": '{"amount":100,"order_id":"A-1"}'.encode("utf-16"),
    "UTF-32": '{"amount":100,"order_id":"A-1"}'.encode("utf-32"),
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "overlong UTF-8": b'{"amount":100,"order_id":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"amount":100,"order_id":"\xed\xa0\x80"}',
    "high surrogate alone": b'{"amount":100,"order_id":"\\ud800"}',
    "low surrogate alone": b'{"amount":100,"order_id":"\\udc00x"}',
    "surrogates in the wrong order": b'{"amount":100,"order_id":"\\udc00\\ud800"}',
    "surrogate in a name": b'{"amount":100,"order_id":"A-1","\\ud800":1}',
    "surrogate deep inside": b'{"amount":100,"order_id":"A","metadata":{"a":["\\ud800"]}}',
    "amount twice": b'{"amount":100,"amount":999,"order_id":"A-1"}',
    "amount twice, the same": b'{"amount":100,"amount":100,"order_id":"A-1"}',
    "amount twice, once escaped": b'{"amount":100,"\\u0061mount":999,"order_id":"A-1"}',
    "twice in metadata": b'{"amount":100,"order_id":"A","metadata":{"a":"1","a":"2"}}',
    "twice in a list": b'{"amount":100,"order_id":"A","metadata":[[{"a":1,"a":1}]]}',
    "NaN": b'{"amount":NaN,"order_id":"A-1"}',
    "Infinity": b'{"amount":Infinity,"order_id":"A-1"}',
    "-Infinity": b'{"amount":-Infinity,"order_id":"A-1"}',
    "1e400": b'{"amount":1e400,"order_id":"A-1"}',
    "-1e400 inside": b'{"amount":1,"order_id":"A-1","metadata":{"a":-1e400}}',
    "leading zero": b'{"amount":0100,"order_id":"A-1"}',
    "plus sign": b'{"amount":+100,"order_id":"A-1"}',
    "hexadecimal": b'{"amount":0x64,"order_id":"A-1"}',
    "thousands separator": b'{"amount":1_000,"order_id":"A-1"}',
    "lists 30,000 deep": b"[" * 30_000 + b"]" * 30_000,
    "lists 60,000 deep, open": b"[" * 60_000,
    "objects 12,000 deep": b'{"a":' * 12_000,
    "deep inside metadata": b'{"amount":1,"order_id":"A","metadata":' + b"[" * 60_000,
}

INVALID: dict[str, tuple[str, Any]] = {
    "amount 0": ("amount", {"amount": 0}),
    "amount -1": ("amount", {"amount": -1}),
    "amount of 13 digits": ("amount", {"amount": 1_000_000_000_000}),
    "amount of 200 digits": ("amount", {"amount": 10**199}),
    "amount of 201 digits": ("amount", {"amount": 10**200}),
    "amount 10.0": ("amount", {"amount": 10.0}),
    "amount 1e2": ("amount", {"amount": 1e2}),
    "amount 10.5": ("amount", {"amount": 10.5}),
    "amount in text": ("amount", {"amount": "100"}),
    "amount true": ("amount", {"amount": True}),
    "amount false": ("amount", {"amount": False}),
    "amount in a list": ("amount", {"amount": [100]}),
    "amount in an object": ("amount", {"amount": {"value": 100}}),
    "order_id empty": ("order_id", {"order_id": ""}),
    "order_id blank": ("order_id", {"order_id": "   "}),
    "order_id of 201": ("order_id", {"order_id": "x" * 201}),
    "order_id of 201 digits": ("order_id", {"order_id": 10**200}),
    "order_id of 4,000 digits": ("order_id", {"order_id": -(10**3999)}),
    "order_id with NUL": ("order_id", {"order_id": "A\x00"}),
    "order_id with a line break": ("order_id", {"order_id": "A\n1"}),
    "order_id with a tab": ("order_id", {"order_id": "A\t1"}),
    "order_id with DEL": ("order_id", {"order_id": "A\x7f"}),
    "order_id with an escape": ("order_id", {"order_id": "\x1b[31mA"}),
    "order_id with a bidi override": ("order_id", {"order_id": "A\u202e1"}),
    "order_id with a zero-width space": ("order_id", {"order_id": "A\u200b1"}),
    "order_id with a line separator": ("order_id", {"order_id": "A\u2028"}),
    "order_id true": ("order_id", {"order_id": True}),
    "order_id 1.5": ("order_id", {"order_id": 1.5}),
    "order_id 10.0": ("order_id", {"order_id": 10.0}),
    "order_id in a list": ("order_id", {"order_id": ["A"]}),
    "order_id in an object": ("order_id", {"order_id": {"id": "A"}}),
    "client_id empty": ("client_id", {"client_id": ""}),
    "client_id of 201": ("client_id", {"client_id": "x" * 201}),
    "client_id false": ("client_id", {"client_id": False}),
    "client_id with NUL": ("client_id", {"client_id": "\x00"}),
    "currency empty": ("currency", {"currency": ""}),
    "currency too long": ("currency", {"currency": "usdx"}),
    "currency with a space": ("currency", {"currency": "usd "}),
    "currency in Kelvin": ("currency", {"currency": "\u212arw"}),
    "currency in full width": ("currency", {"currency": "\uff35\uff33\uff24"}),
    "currency 840": ("currency", {"currency": 840}),
    "currency in a list": ("currency", {"currency": ["usd"]}),
    "currency too short": ("currency", {"currency": "us"}),
    "currency with a digit": ("currency", {"currency": "us1"}),
    "currency with a line break": ("currency", {"currency": "usd\n"}),
    "ugx 501": ("amount", {"currency": "UGX", "amount": 501}),
    "isk 1050": ("amount", {"currency": "isk", "amount": 1050}),
    "isk 1": ("amount", {"currency": "isk", "amount": 1}),
    "bhd 5123": ("amount", {"currency": "bhd", "amount": 5123}),
    "jod 1": ("amount", {"currency": "jod", "amount": 1}),
    "kwd 11": ("amount", {"currency": "KWD", "amount": 11}),
    "omr 999999999999": ("amount", {"currency": "omr", "amount": 999_999_999_999}),
    "tnd 1001": ("amount", {"currency": "tnd", "amount": 1001}),
    "types empty": ("payment_method_types", {"payment_method_types": []}),
    "types in text": ("payment_method_types", {"payment_method_types": "card"}),
    "types twice": ("payment_method_types", {"payment_method_types": ["card", "card"]}),
    "type in capitals": ("payment_method_types", {"payment_method_types": ["Card"]}),
    "type empty": ("payment_method_types", {"payment_method_types": [""]}),
    "type 1": ("payment_method_types", {"payment_method_types": [1]}),
    "type null": ("payment_method_types", {"payment_method_types": [None]}),
    "type with a bracket": ("payment_method_types", {"payment_method_types": ["card]["]}),
    "51 types": ("payment_method_types", {"payment_method_types": [f"t{n}" for n in range(51)]}),
    "ACH in cad": ("currency", {"payment_method_types": ["us_bank_account"], "currency": "cad"}),
    "EFT in eur": ("currency", {**acss(**MANDATE), "currency": "eur"}),
    "Interac in usd": ("currency", {"payment_method_types": ["card_present", "interac_present"]}),
    "EFT without options": (
        "payment_method_options.acss_debit.mandate_options.payment_schedule",
        {"payment_method_types": ["acss_debit"]},
    ),
    "EFT with other terms": (
        "payment_method_options.acss_debit.mandate_options.payment_schedule",
        acss(payment_schedule="weekly", transaction_type="personal"),
    ),
    "EFT with a list for a term": (
        "payment_method_options.acss_debit.mandate_options.payment_schedule",
        acss(payment_schedule=["sporadic"], transaction_type="personal"),
    ),
    "EFT without its type": (
        "payment_method_options.acss_debit.mandate_options.transaction_type",
        acss(payment_schedule="sporadic"),
    ),
    "EFT without its interval": (
        "payment_method_options.acss_debit.mandate_options.interval_description",
        acss(payment_schedule="interval", transaction_type="business"),
    ),
    "EFT with its mandate in text": (
        "payment_method_options.acss_debit.mandate_options.payment_schedule",
        {
            "payment_method_types": ["acss_debit"],
            "payment_method_options": {"acss_debit": {"mandate_options": "x"}},
        },
    ),
    "options in a list": ("payment_method_options", {"payment_method_options": []}),
    "options of a text": ("payment_method_options", {"payment_method_options": {"card": "x"}}),
    "options 6 deep": ("payment_method_options", {"payment_method_options": {"card": nested(6)}}),
    "options 200 deep": (
        "payment_method_options",
        {"payment_method_options": {"card": nested(200)}},
    ),
    "options with a bracket": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a][b": 1}}},
    ),
    "options of a bracket": ("payment_method_options", {"payment_method_options": {"card][": {}}}),
    **{
        f"options with {wrong} inside": (
            "payment_method_options",
            {"payment_method_options": {"acss_debit": {"mandate_options": MANDATE}, **wrong}},
        )
        for wrong in EMPTY_OPTIONS
    },
    "options with a float": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": 1.5}}},
    ),
    "options with null": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": None}}},
    ),
    "options with NUL": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": "\x00"}}},
    ),
    "options with a long text": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": "x" * 5001}}},
    ),
    "options with a long integer": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": 10**18}}},
    ),
    "options with an integer of 400 digits": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": 10**399}}},
    ),
    "options with lists of lists": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": [[1]]}}},
    ),
    "options with true in a list": (
        "payment_method_options",
        {"payment_method_options": {"card": {"a": [True]}}},
    ),
    "metadata in a list": ("metadata", {"metadata": ["a"]}),
    "metadata in text": ("metadata", {"metadata": "a=b"}),
    "metadata with 50 names": ("metadata", {"metadata": {str(n): "" for n in range(50)}}),
    "metadata with 49 names and a client_id": (
        "metadata",
        {"client_id": "c", "metadata": {str(n): "" for n in range(49)}},
    ),
    "metadata name of 41": ("metadata", {"metadata": {"x" * 41: "1"}}),
    "metadata name empty": ("metadata", {"metadata": {"": "1"}}),
    "metadata name with [": ("metadata", {"metadata": {"a[b": "1"}}),
    "metadata name with ]": ("metadata", {"metadata": {"a]b": "1"}}),
    "metadata name with NUL": ("metadata", {"metadata": {"a\x00": "1"}}),
    "metadata value of 501": ("metadata", {"metadata": {"a": "x" * 501}}),
    "metadata value 1": ("metadata", {"metadata": {"a": 1}}),
    "metadata value of 400 digits": ("metadata", {"metadata": {"a": 10**399}}),
    "metadata value null": ("metadata", {"metadata": {"a": None}}),
    "metadata value true": ("metadata", {"metadata": {"a": True}}),
    "metadata value in an object": ("metadata", {"metadata": {"a": {}}}),
    "metadata value with NUL": ("metadata", {"metadata": {"a": "\x00"}}),
    "metadata with order_id": ("metadata", {"metadata": {"order_id": "A-2"}}),
    "metadata with moved_to": ("metadata", {"metadata": {"moved_to": "paypal:5O190127TN364715T"}}),
    "metadata with the same order_id": ("metadata", {"metadata": {"order_id": "A-1"}}),
    "metadata with client_id": ("metadata", {"metadata": {"client_id": "c"}}),
    "description empty": ("description", {"description": ""}),
    "description of 1001": ("description", {"description": "x" * 1001}),
    "description with NUL": ("description", {"description": "a\x00b"}),
    "description 1": ("description", {"description": 1}),
    "receipt_email without @": ("receipt_email", {"receipt_email": "zoe.example.com"}),
    "receipt_email with a space": ("receipt_email", {"receipt_email": "z oe@example.com"}),
    "receipt_email with a line": ("receipt_email", {"receipt_email": "z@example.com\nBcc: x@y.z"}),
    "receipt_email of 600": ("receipt_email", {"receipt_email": "x" * 600 + "@example.com"}),
    "receipt_email empty": ("receipt_email", {"receipt_email": ""}),
    "customer of another kind": ("customer", {"customer": "acct_123"}),
    "customer with a slash": ("customer", {"customer": "cus_1/../2"}),
    "customer with a line": ("customer", {"customer": "cus_1\n"}),
    "customer 1": ("customer", {"customer": 1}),
    "capture_method unknown": ("capture_method", {"capture_method": "later"}),
    "capture_method true": ("capture_method", {"capture_method": True}),
    "setup_future_usage none": ("setup_future_usage", {"setup_future_usage": "none"}),
    "suffix empty": ("statement_descriptor_suffix", {"statement_descriptor_suffix": ""}),
    "suffix of 23": ("statement_descriptor_suffix", {"statement_descriptor_suffix": "x" * 23}),
    "suffix of digits": ("statement_descriptor_suffix", {"statement_descriptor_suffix": "123"}),
    "suffix with *": ("statement_descriptor_suffix", {"statement_descriptor_suffix": "A*B"}),
    "suffix with a quote": ("statement_descriptor_suffix", {"statement_descriptor_suffix": "A'B"}),
    "suffix with a tab": ("statement_descriptor_suffix", {"statement_descriptor_suffix": "A\tB"}),
    "orderId": ("orderId", {"orderId": "A-1"}),
    "Amount": ("Amount", {"Amount": 100}),
    "confirm": ("confirm", {"confirm": True}),
    "idempotency_key": ("idempotency_key", {"idempotency_key": "x"}),
    "name empty": ('""', {"": 1}),
    "name of a page": (
        r'"\u003cscript\u003ealert(1)\u003c/script…"',
        {"<script>alert(1)</script>": 1},
    ),
    "name of 60,000": (f'"{"x" * 40}…"', {"x" * 60_000: 1}),
    "name of an emoji 60 times": (r'"' + r"\ud83c\udf4e" * 3 + '…"', {"🍎" * 60: 1}),
    "name of a proto": ('"__proto__"', {"__proto__": {"amount": 1}}),
    "name with a hyphen": ('"order-id"', {"order-id": "A-1"}),
    "name with a space": ('"order id"', {"order id": "A-1"}),
    "name with a space behind": ('"order_id "', {"order_id ": "A-1"}),
    "name with an underscore in front": ('"_x"', {"_x": 1}),
    "name with a dot": ('"a.b"', {"a.b": 1}),
    "name with a digit": ('"line2"', {"line2": 1}),
    "name with an umlaut": (r'"\u00e4mount"', {"ämount": 1}),
    "name with a Cyrillic letter": (r'"\u0430mount"', {"\u0430mount": 1}),
    "name with a zero-width space": (r'"amount\u200b"', {"amount\u200b": 1}),
    "name with a bidi override": (r'"\u202eamount"', {"\u202eamount": 1}),
    "name with a line break": (r'"a\nb"', {"a\nb": 1}),
    "name with an escape": (r'"\u001b[31m"', {"\x1b[31m": 1}),
    "name with a quote": (r'"a\"b"', {'a"b': 1}),
    "name of a sentence": ('"a; amount', {"a; amount: must be 5": 1}),
    "name of a card": ("a field", {"4242 4242 4242 4242": 1}),
    "name self": ("self", {"self": 1}),
    "name model_config": ("model_config", {"model_config": {"extra": "allow"}}),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_an_ambiguous_or_non_object_body_is_malformed(body: bytes) -> None:
    status, code, message = refusal(body)
    assert (status, code) == (400, "malformed_json")
    assert message.startswith("The ")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"amount":1,"order_id":"a","metadata":['])
def test_nesting_of_100_000_is_malformed(opening: bytes) -> None:
    with pytest.raises(BadRequest, match="nested too deeply"):
        read_json_object(opening * 100_000)


@pytest.mark.parametrize(("field", "fields"), INVALID.values(), ids=INVALID)
def test_a_broken_rule_is_reported_with_its_field(field: str, fields: dict[str, Any]) -> None:
    status, code, message = refusal(json.dumps({**VALID, **fields}).encode())
    assert (status, code) == (400, "invalid_parameter")
    name, colon, rule = message.partition(": ")
    assert name == field
    assert colon
    assert len(rule) > 10


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "amount, order_id"),
        ({"order_id": "A"}, "amount"),
        ({"amount": 1}, "order_id"),
        ({"amount": None, "order_id": None}, "amount, order_id"),
        ({"order_id": "", "currency": 5}, "amount"),
        ({"orderId": "A", "Amount": 1}, "amount, order_id"),
    ],
)
def test_missing_fields_are_named(body: dict[str, Any], missing: str) -> None:
    assert refusal(json.dumps(body).encode()) == (
        400,
        "missing_parameter",
        f"Missing required parameters: {missing}",
    )


def test_an_integer_as_large_as_a_body_is_refused_by_its_field() -> None:
    """Python itself reads 4,300 digits, and no more."""
    body = b'{"order_id": "A-1", "amount": ' + b"9" * 60_000 + b"}"
    assert refusal(body)[:2] == (400, "invalid_parameter")
    assert refusal(body)[2].startswith("amount: must be an integer from 1 to 999999999999")


def test_all_broken_rules_are_reported_together() -> None:
    _, _, message = refusal(b'{"amount": "1", "order_id": "", "currency": "xy"}')
    fields = [sentence.partition(":")[0] for sentence in message.split("; ")]
    assert fields == ["amount", "order_id", "currency"]


def test_thousands_of_unknown_names_get_a_short_answer() -> None:
    many = {**VALID, **{f"x_{'y' * n}": 1 for n in range(30)}}
    assert refusal(json.dumps(many).encode())[2].endswith("; and 25 more")


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "my_rk_live_4eC39",
        "pi_1_secret_2",
        "sk_test_abc",
        "whsec_abc",
        "x" * 38 + " sk_live_4eC39",
        "Bearer abc.def",
        f"api_{'a' * 32}",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJvcmRlcl9pZCI6ImEifQ.abc",
        "4242424242424242",
        "4242-4242-4242-4242",
    ],
)
def test_a_secret_used_as_a_name_is_not_echoed(secret: str) -> None:
    message = refusal(json.dumps({**VALID, secret: 1}).encode())[2]
    assert message == "a field: is not a field of this request"


def test_five_names_of_any_characters_get_a_short_answer() -> None:
    many = {f"{n}{character * 60}": 1 for n, character in enumerate("\x00<🍎\U000e0001ä")}
    assert len(refusal(json.dumps({**VALID, **many}).encode())[2]) < 500


@pytest.mark.parametrize("size", [64 * 1024 + 1, 2 * 1024 * 1024])
def test_a_large_body_is_too_large(size: int) -> None:
    body = json.dumps({**VALID, "description": "x" * size}).encode()
    assert refusal(body)[:2] == (413, "too_large")


def test_a_body_of_64_kib_is_read() -> None:
    body = json.dumps(VALID).encode()
    assert post(body + b" " * (64 * 1024 - len(body))).status_code == 200


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["usd", "card", "\x00", "\ud800", "cus_1", "order_id", "manual"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["card", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)
fields = st.sampled_from(sorted(names_of(PaymentRequest))) | st.text(max_size=8)


@given(json_values)
def test_any_json_value_is_refused_in_the_one_shape(value: Any) -> None:
    """No generated value happens to have both an amount and an order_id."""
    assert post(json.dumps(value).encode()).status_code == 400


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_the_one_shape(body: bytes) -> None:
    assert post(body).status_code == 400


@given(st.dictionaries(fields, json_values, max_size=4))
@settings(max_examples=examples(300))
def test_a_valid_request_with_anything_in_it_is_taken_or_refused(changes: dict[str, Any]) -> None:
    assert post(json.dumps({**VALID, **changes}).encode()).status_code in (200, 400)


@given(st.data())
@settings(max_examples=examples(200))
def test_a_valid_request_with_a_broken_byte_is_taken_or_refused(data: st.DataObject) -> None:
    body = bytearray(json.dumps({**VALID, "currency": "cad", "metadata": {"a": "b"}}).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert post(bytes(body)).status_code in (200, 400)
