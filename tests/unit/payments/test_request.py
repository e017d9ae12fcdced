"""A valid request is normalised and fingerprinted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payment_service.errors import BadRequest
from payment_service.payments.request.create import PaymentRequest, check_request
from payment_service.web.json_object import read_json_object
from sandbox import currencies as sandbox_currencies

MANDATE = {"payment_schedule": "sporadic", "transaction_type": "personal"}

FULL: dict[str, Any] = {
    "amount": 1999,
    "order_id": "A-1",
    "currency": "CAD",
    "client_id": 7,
    "payment_method_types": ["card", "acss_debit"],
    "payment_method_options": {
        "card": {"request_three_d_secure": "any", "installments": {"enabled": False}},
        "acss_debit": {"mandate_options": MANDATE},
    },
    "metadata": {"basket": "3 apples\n2 pears", "a": ""},
    "description": "Fruit, für Zoë 🍎",
    "receipt_email": "zoe@example.com",
    "customer": "cus_NffrFeUfNV2Hib",
    "capture_method": "manual",
    "setup_future_usage": "off_session",
    "statement_descriptor_suffix": "FRUIT 1",
}


def read(body: bytes) -> PaymentRequest:
    return check_request(read_json_object(body), PaymentRequest)


def parsed(**fields: Any) -> PaymentRequest:
    return read(json.dumps({"amount": 100, "order_id": "A-1", **fields}).encode())


def test_options_may_contain_lists() -> None:
    wanted = {"us_bank_account": {"financial_connections": {"permissions": ["payment_method"]}}}
    assert parsed(payment_method_options=wanted).payment_method_options == wanted


@pytest.mark.parametrize(
    ("given_id", "text"),
    [
        (5, "5"),
        (-5, "-5"),
        (0, "0"),
        (10**199, "1" + "0" * 199),
        ("x" * 200, "x" * 200),
        (" a b ", " a b "),
        ("Ünïcode-注文-🍎", "Ünïcode-注文-🍎"),
        ("[]{}\"'<>&%", "[]{}\"'<>&%"),
    ],
)
def test_order_names_are_kept_unchanged(given_id: object, text: str) -> None:
    request = parsed(order_id=given_id, client_id=given_id)
    assert (request.order_id, request.client_id) == (text, text)


def test_integer_and_its_digits_name_the_same_order() -> None:
    assert parsed(order_id=12).fingerprint == parsed(order_id="12").fingerprint


@pytest.mark.parametrize("code", ["USD", "usd", "Usd", "EUR", "jpy", "BHD"])
def test_currency_is_sent_in_lower_case(code: str) -> None:
    assert parsed(currency=code).currency == code.lower()


@pytest.mark.parametrize("code", [*sorted(sandbox_currencies.CURRENCIES), "kpw", "xyz"])
def test_hundred_is_a_valid_amount_in_every_currency(code: str) -> None:
    """Stripe's list of currencies grows, so an unknown code is Stripe's to reject."""
    assert parsed(currency=code).amount == 100


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        ("usd", 1),
        ("usd", 999_999_999_999),
        ("idr", 100_000_000),
        ("jpy", 1),
        ("isk", 500),
        ("ugx", 1000),
        ("kwd", 5120),
    ],
)
def test_amounts_at_the_limits_are_accepted(currency: str, amount: int) -> None:
    assert parsed(currency=currency, amount=amount).amount == amount


@pytest.mark.parametrize("name", sorted(set(FULL) - {"amount", "order_id"}))
def test_null_equals_absent(name: str) -> None:
    assert parsed(**{name: None}) == parsed()


def test_byte_order_mark_is_skipped() -> None:
    body = b'\xef\xbb\xbf{"amount": 100, "order_id": "A-1"}'
    assert read(body) == parsed()


def test_metadata_holds_49_names_or_48_with_a_client_id() -> None:
    names = {f"{n:040}": "x" * 500 for n in range(49)}
    assert parsed(metadata=names).metadata == names
    names.popitem()
    assert parsed(metadata=names, client_id="c").metadata == names


def test_canonical_text_never_changes() -> None:
    """Last month's records hold its hash: a change would answer each of them with a 422."""
    assert parsed().canonical() == '{"amount":100,"currency":"usd","order_id":"A-1"}'
    assert parsed(**FULL).canonical() == (
        '{"amount":1999,"capture_method":"manual","client_id":"7","currency":"cad",'
        '"customer":"cus_NffrFeUfNV2Hib","description":"Fruit, für Zoë 🍎",'
        '"metadata":{"a":"","basket":"3 apples\\n2 pears"},"order_id":"A-1",'
        '"payment_method_options":{"acss_debit":{"mandate_options":{"payment_schedule":"sporadic",'
        '"transaction_type":"personal"}},"card":{"installments":{"enabled":false},'
        '"request_three_d_secure":"any"}},"payment_method_types":["acss_debit","card"],'
        '"receipt_email":"zoe@example.com","setup_future_usage":"off_session",'
        '"statement_descriptor_suffix":"FRUIT 1"}'
    )
    assert parsed().fingerprint == (
        "c335c4c52ceeaf1014f2d2da97a85c2cd5e779bead2878cf4acb1178d9b62569"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 101},
        {"order_id": "A-2"},
        {"currency": "eur"},
        {"client_id": "c"},
        {"payment_method_types": ["card"]},
        {"payment_method_options": {"card": {"request_three_d_secure": "any"}}},
        {"metadata": {"a": "b"}},
        {"description": "x"},
        {"receipt_email": "a@b.example"},
        {"customer": "cus_1"},
        {"capture_method": "automatic"},
        {"setup_future_usage": "on_session"},
        {"statement_descriptor_suffix": "x"},
    ],
)
def test_fingerprint_covers_every_field(fields: dict[str, Any]) -> None:
    assert parsed(**fields).fingerprint != parsed().fingerprint


@pytest.mark.parametrize(
    "fields",
    [{"currency": "USD"}, {"metadata": {}}, {"payment_method_options": {}}, {"client_id": None}],
)
def test_equivalent_requests_have_the_same_fingerprint(fields: dict[str, Any]) -> None:
    assert parsed(**fields).fingerprint == parsed().fingerprint


def test_request_is_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        parsed().amount = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", "A\ud800"),
        ("client_id", "\udfff"),
        ("currency", "us\ud800"),
        ("description", "x\ud800"),
        ("receipt_email", "\ud800@b.cd"),
        ("customer", "cus_\ud800"),
        ("statement_descriptor_suffix", "A\ud800"),
        ("payment_method_types", ["card\ud800"]),
        ("payment_method_options", {"card": {"a": "\ud800"}}),
        ("payment_method_options", {"card": {"a\ud800": 1}}),
        ("metadata", {"a": "\ud800"}),
        ("metadata", {"a\ud800": "b"}),
        ("capture_method", "\ud800"),
        ("\ud800", "x"),
    ],
)
def test_half_a_surrogate_pair_is_rejected_from_any_source(field: str, value: Any) -> None:
    """A body cannot hold one, but the token library parses the signed claims by itself."""
    with pytest.raises(BadRequest) as caught:
        check_request({"amount": 100, "order_id": "A-1", field: value}, PaymentRequest)
    assert str(caught.value).encode()


@pytest.mark.parametrize("given", [["stripe"], ["paypal"], ["stripe", "paypal"]])
def test_accepted_gateways_are_no_part_of_the_order(given: list[str]) -> None:
    request = parsed(accept_gateways=given)
    assert request.accept_gateways == tuple(given)
    assert request.fingerprint == parsed().fingerprint
    assert request.canonical() == parsed().canonical()


@pytest.mark.parametrize(
    "given", [[], ["adyen"], ["stripe", "stripe"], ["Stripe"], [1], "stripe", {"stripe": 1}, True]
)
def test_other_lists_of_gateways_are_refused(given: object) -> None:
    with pytest.raises(BadRequest, match="accept_gateways"):
        parsed(accept_gateways=given)


def test_without_accepted_gateways_nothing_is_accepted_by_name() -> None:
    assert parsed().accept_gateways is None
    assert parsed(accept_gateways=None).accept_gateways is None
