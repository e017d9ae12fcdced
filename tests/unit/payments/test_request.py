"""A valid request is normalised, converted to Stripe's parameters, and fingerprinted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.errors import BadRequest
from payment_service.payments.request.create import PaymentRequest, check_request
from payment_service.payments.request.currencies import (
    THREE_DECIMAL,
    WHOLE_UNITS,
    ZERO_DECIMAL,
)
from payment_service.web.json_object import read_json_object
from sandbox import currencies as sandbox_currencies

OLD, NEW = "2025-09-30.clover", "2026-10-28.endive"

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


def test_minimal_request_is_usd_and_stripe_chooses_the_types() -> None:
    assert parsed().stripe_params(NEW) == {
        "amount": 100,
        "currency": "usd",
        "metadata": {"order_id": "A-1"},
    }


def test_old_api_version_needs_automatic_methods_enabled() -> None:
    sent = parsed().stripe_params("2022-11-15")
    assert sent["automatic_payment_methods"] == {"enabled": True}


def test_every_field_reaches_stripe() -> None:
    sent = parsed(**FULL).stripe_params(NEW)
    assert "payment_method_types" not in sent
    assert sent["metadata"] == {**FULL["metadata"], "order_id": "A-1", "client_id": "7"}
    assert sent["allowed_payment_method_types"] == ["acss_debit", "card"]
    same = set(FULL) - {"order_id", "client_id", "currency", "metadata", "payment_method_types"}
    assert {name: sent[name] for name in same} == {name: FULL[name] for name in same}


@pytest.mark.parametrize("version", ["2026-07-29.dahlia", "2026-09-30.endive", NEW])
def test_dahlia_uses_allowed_payment_method_types(version: str) -> None:
    sent = parsed(payment_method_types=["card"]).stripe_params(version)
    assert sent["allowed_payment_method_types"] == ["card"]
    assert "payment_method_types" not in sent
    assert "automatic_payment_methods" not in sent


@pytest.mark.parametrize("version", ["2026-06-24.dahlia", OLD, "2019-02-11"])
def test_versions_before_dahlia_use_payment_method_types(version: str) -> None:
    sent = parsed(payment_method_types=["card"]).stripe_params(version)
    assert sent["payment_method_types"] == ["card"]
    assert "allowed_payment_method_types" not in sent


def test_ach_is_us_bank_account_with_usd() -> None:
    sent = parsed(payment_method_types=["us_bank_account"]).stripe_params(NEW)
    assert (sent["currency"], sent["allowed_payment_method_types"]) == ("usd", ["us_bank_account"])


@pytest.mark.parametrize("currency", ["cad", "usd"])
@pytest.mark.parametrize(
    "terms",
    [
        MANDATE,
        {**MANDATE, "payment_schedule": "interval", "interval_description": "on the 1st"},
        {**MANDATE, "payment_schedule": "combined", "interval_description": "on the 1st"},
        {**MANDATE, "transaction_type": "business"},
    ],
)
def test_eft_is_acss_debit_with_its_mandate(currency: str, terms: dict[str, str]) -> None:
    options = {"acss_debit": {"mandate_options": terms}}
    sent = parsed(
        currency=currency, payment_method_types=["acss_debit"], payment_method_options=options
    ).stripe_params(NEW)
    assert sent["allowed_payment_method_types"] == ["acss_debit"]
    assert sent["payment_method_options"] == options


def test_interac_is_card_and_interac_present_with_cad() -> None:
    types = ["interac_present", "card_present"]
    sent = parsed(currency="cad", payment_method_types=types).stripe_params(NEW)
    assert sent["allowed_payment_method_types"] == ["card_present", "interac_present"]


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


def test_the_service_and_the_sandbox_know_the_same_decimals() -> None:
    theirs = sandbox_currencies
    assert (ZERO_DECIMAL, THREE_DECIMAL, WHOLE_UNITS) == (
        theirs.ZERO_DECIMAL,
        theirs.THREE_DECIMAL,
        theirs.WHOLE_UNITS,
    )


@pytest.mark.parametrize("name", sorted(set(FULL) - {"amount", "order_id"}))
def test_null_equals_absent(name: str) -> None:
    assert parsed(**{name: None}) == parsed()


def test_byte_order_mark_is_skipped() -> None:
    body = b'\xef\xbb\xbf{"amount": 100, "order_id": "A-1"}'
    assert read(body) == parsed()


def test_metadata_holds_49_names_or_48_with_a_client_id() -> None:
    names = {f"{n:040}": "x" * 500 for n in range(49)}
    assert len(parsed(metadata=names).stripe_params(NEW)["metadata"]) == 50
    names.popitem()
    assert len(parsed(metadata=names, client_id="c").stripe_params(NEW)["metadata"]) == 50


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


@given(st.permutations(sorted(FULL)), st.permutations(FULL["payment_method_types"]))
def test_same_fingerprint_sends_the_same_text(names: list[str], types: list[str]) -> None:
    """After a loss of the record we derive the same key, so we must derive the same params."""
    shuffled = read(
        json.dumps(
            {name: types if name == "payment_method_types" else FULL[name] for name in names}
        ).encode()
    )
    plain = parsed(**FULL)
    assert shuffled.fingerprint == plain.fingerprint
    for version in (OLD, NEW):
        sent, again = (json.dumps(each.stripe_params(version)) for each in (plain, shuffled))
        assert sent == again


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
