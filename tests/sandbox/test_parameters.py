"""Validation before the execution, with Stripe's error messages."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.form import decode_form
from tests.support.sandbox_in_process import INTENTS, Shop, error

DAHLIA = "2026-06-24.dahlia"
MANDATE = "payment_method_options[acss_debit][mandate_options]"
ACH = {"allowed_payment_method_types[]": "us_bank_account"}
UPI = {"allowed_payment_method_types[]": "upi"}
TERMS = {f"{MANDATE}[payment_schedule]": "sporadic", f"{MANDATE}[transaction_type]": "personal"}


@pytest.fixture
def shop() -> Shop:
    return Shop()


def refused(shop: Shop, params: dict[str, Any], **headers: str) -> tuple[int, str | None, str]:
    answer = shop.post(INTENTS, {"amount": 1099, "currency": "usd", **params}, **headers)
    found = error(answer)
    assert answer.headers["Request-Id"].startswith("req_")
    return answer.status, found.get("code"), found.get("param", "")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": ""}, "parameter_invalid_empty", "amount"),
        ({"amount": "1.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": "-1"}, "parameter_invalid_integer", "amount"),
        ({"amount": "0"}, "parameter_invalid_integer", "amount"),
        ({"amount": "1000000000000"}, "amount_too_large", "amount"),
        ({"amount": "100000000", **ACH}, "amount_too_large", "amount"),
        ({"amount": "1000000000", "currency": "inr", **UPI}, "amount_too_large", "amount"),
        ({"amount": "49"}, "amount_too_small", "amount"),
        ({"amount": "29", "currency": "gbp"}, "amount_too_small", "amount"),
        ({"amount": "49", "currency": "jpy"}, "amount_too_small", "amount"),
        ({"amount": "1001", "currency": "kwd"}, "parameter_invalid_integer", "amount"),
        ({"amount": "1050", "currency": "isk"}, "parameter_invalid_integer", "amount"),
        ({"currency": "usdollar"}, None, "currency"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"metdata[order_id]": "A"}, "parameter_unknown", "metdata"),
        ({"payment_method_options[cards][x]": "1"}, "parameter_unknown",
         "payment_method_options[cards]"),
        ({"capture_method": "sometimes"}, None, "capture_method"),
        ({"setup_future_usage": "maybe"}, None, "setup_future_usage"),
        ({"confirm": "yes"}, None, "confirm"),
        ({"receipt_email": "nobody"}, "email_invalid", "receipt_email"),
        ({"return_url": "nowhere", "confirm": "true"}, "url_invalid", "return_url"),
        ({"return_url": "https://shop.example"}, None, "return_url"),
        ({"statement_descriptor_suffix": "x" * 23}, "parameter_invalid_string_too_long",
         "statement_descriptor_suffix"),
        ({"description[a]": "x"}, None, "description"),
        ({"metadata": "x"}, None, "metadata"),
        ({"metadata[a][b]": "x"}, None, "metadata[a]"),
        ({f"metadata[{'k' * 41}]": "x"}, None, "metadata"),
        ({"metadata[k]": "x" * 501}, None, "metadata[k]"),
        ({f"metadata[k{n}]": "x" for n in range(51)}, None, "metadata"),
        ({"automatic_payment_methods[allow_redirects]": "never"}, "parameter_missing",
         "automatic_payment_methods[enabled]"),
        ({"expand[]": "customer"}, None, "expand"),
    ],
)  # fmt: skip
def test_an_invalid_parameter_is_rejected(
    shop: Shop, params: dict[str, Any], code: str | None, param: str
) -> None:
    assert refused(shop, params) == (400, code, param)
    assert shop.get(INTENTS).json()["data"] == []


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_amount_and_currency_are_required(shop: Shop, missing: str) -> None:
    params = {"amount": 1099, "currency": "usd"}
    del params[missing]
    found = error(shop.post(INTENTS, params))
    assert (found["code"], found["param"]) == ("parameter_missing", missing)
    assert found["doc_url"].endswith("/error-codes/parameter-missing")


@pytest.mark.parametrize(
    "params",
    [
        {"currency": "JPY", "amount": "50"},
        {"currency": "bhd", "amount": "1000"},
        {"currency": "isk", "amount": "5000"},
        {"amount": "999999999999"},
        {"amount": "100000000000", "currency": "idr"},
        {"amount": "99999999", **ACH},
        {"amount": "999999999", "currency": "inr", **UPI},
        {f"metadata[k{n}]": "x" * 500 for n in range(50)},
        {f"metadata[{'k' * 40}]": "x"},
        {"metadata[0]": "a numeric key is not an array"},
        {"description": "", "receipt_email": "a@b.example"},
    ],
)
def test_valid_parameters_are_accepted(shop: Shop, params: dict[str, Any]) -> None:
    assert shop.post(INTENTS, {"amount": 1099, "currency": "usd", **params}).status == 200


def test_a_large_amount_cannot_be_confirmed_by_bank_debit(shop: Shop) -> None:
    types = {
        f"payment_method_types[{n}]": kind for n, kind in enumerate(("card", "us_bank_account"))
    }
    made = shop.post(
        INTENTS, {"amount": 100_000_000, "currency": "usd", **types}, Stripe_Version=DAHLIA
    ).json()
    debit = shop.act(made["id"], "confirm", payment_method="pm_usBankAccount")
    assert error(debit)["code"] == "amount_too_large"
    assert shop.act(made["id"], "confirm", payment_method="pm_card_visa").status == 200


@pytest.mark.parametrize(
    ("kinds", "currency", "param"),
    [
        (["us_bank_account"], "cad", "currency"),
        (["acss_debit"], "eur", "currency"),
        (["card_present", "interac_present"], "usd", "currency"),
        (["carrier_pigeon"], "usd", "payment_method_types[0]"),
    ],
)
def test_a_type_must_support_the_currency(
    shop: Shop, kinds: list[str], currency: str, param: str
) -> None:
    asked = {f"payment_method_types[{n}]": kind for n, kind in enumerate(kinds)}
    found = refused(shop, {"currency": currency, **asked}, Stripe_Version=DAHLIA)
    assert (found[0], found[2]) == (400, param)


@pytest.mark.parametrize(
    ("kinds", "currency"),
    [
        (["us_bank_account"], "usd"),
        (["card_present", "interac_present"], "cad"),
        (["card"], "eur"),
    ],
)
def test_supported_types_are_accepted(shop: Shop, kinds: list[str], currency: str) -> None:
    asked = {f"payment_method_types[{n}]": kind for n, kind in enumerate(kinds)}
    params = {"amount": 1099, "currency": currency, **asked}
    made = shop.post(INTENTS, params, Stripe_Version=DAHLIA).json()
    assert (made["payment_method_types"], made["automatic_payment_methods"]) == (kinds, None)


@pytest.mark.parametrize(
    ("terms", "missing"),
    [
        ({}, "payment_schedule"),
        ({f"{MANDATE}[payment_schedule]": "sporadic"}, "transaction_type"),
        (TERMS | {f"{MANDATE}[payment_schedule]": "interval"}, "interval_description"),
    ],
)
@pytest.mark.parametrize("name", ["payment_method_types", "allowed_payment_method_types"])
def test_acss_debit_requires_mandate_terms(
    shop: Shop, terms: dict[str, str], missing: str, name: str
) -> None:
    version = DAHLIA if name == "payment_method_types" else "2026-10-28.endive"
    params = {"currency": "cad", f"{name}[]": "acss_debit", **terms}
    found = refused(shop, params, Stripe_Version=version)
    assert found == (400, "parameter_missing", f"{MANDATE}[{missing}]")


# docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-…
def test_payment_method_types_is_rejected_since_endive(shop: Shop) -> None:
    params = {"payment_method_types[]": "card"}
    code = "payment_method_types_no_longer_supported"
    assert refused(shop, params) == (400, code, "payment_method_types")
    assert refused(shop, params, Stripe_Version="2026-09-30.endive")[1] == code


# docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter
def test_unsupported_allowed_types_are_dropped(shop: Shop) -> None:
    kinds = {"allowed_payment_method_types[0]": "card", "allowed_payment_method_types[1]": "ideal"}
    made = shop.post(INTENTS, {"amount": 1099, "currency": "usd", **kinds}).json()
    assert made["payment_method_types"] == ["card"]


def test_allowed_types_are_unknown_to_older_versions(shop: Shop) -> None:
    params = {"allowed_payment_method_types[]": "card"}
    assert refused(shop, params, Stripe_Version=DAHLIA)[1] == "parameter_unknown"


def test_one_allowed_type_must_support_the_currency(shop: Shop) -> None:
    found = refused(shop, {"allowed_payment_method_types[]": "interac_present"})
    assert found[2] == "allowed_payment_method_types"


@pytest.mark.parametrize(
    "other",
    [
        {"automatic_payment_methods[enabled]": "true"},
        {"excluded_payment_method_types[]": "link"},
        {"payment_method_configuration": "pmc_1"},
    ],
)
def test_types_can_be_selected_in_one_way_only(shop: Shop, other: dict[str, str]) -> None:
    found = refused(shop, {"allowed_payment_method_types[]": "card", **other})
    assert (found[0], found[1]) == (400, None)


def test_payment_methods_are_automatic_by_default(shop: Shop) -> None:
    made = shop.post(INTENTS, {"amount": 1099, "currency": "eur"}).json()
    assert made["automatic_payment_methods"]["enabled"] is True
    assert made["payment_method_types"] == ["card", "link"]


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("", "You did not provide an API key"),
        ("Bearer sk_test_invalid_1234", "Invalid API Key provided: sk_test_****1234"),
        ("Bearer token", "Invalid API Key"),
        ("Bearer sk_live_51abc", "never give it a live key"),
        ("Basic ???", "Invalid Basic"),
    ],
)
def test_an_invalid_api_key_gets_401(shop: Shop, authorization: str, message: str) -> None:
    answer = shop.sandbox.handle("GET", INTENTS, {"Authorization": authorization})
    assert (answer.status, message in error(answer)["message"]) == (401, True)


def test_basic_authentication_is_supported(shop: Shop) -> None:
    basic = {"authorization": "Basic c2tfdGVzdF9zaG9wOg=="}
    assert shop.sandbox.handle("GET", INTENTS, basic).status == 200


def test_an_unknown_path_gets_404(shop: Shop) -> None:
    for path in ("/v1/customers", "/v1/payment_intents/pi_1/refund", "/"):
        assert "Unrecognized request URL" in error(shop.get(path))["message"]


def test_a_json_body_is_rejected(shop: Shop) -> None:
    headers = shop.headers(Content_Type="application/json")
    answer = shop.sandbox.handle("POST", INTENTS, headers, b'{"amount": 1}')
    assert "content type" in error(answer)["message"]


def test_the_api_version_is_validated_and_echoed(shop: Shop) -> None:
    assert shop.get(INTENTS, Stripe_Version=DAHLIA).headers["Stripe-Version"] == DAHLIA
    assert shop.get(INTENTS, Stripe_Version="yesterday").status == 400


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=x%20y+z", {"a": "x y z"}),
        ("a[b]=1&a[c]=2", {"a": {"b": "1", "c": "2"}}),
        ("a%5Bb%5D=1", {"a": {"b": "1"}}),
        ("a[]=1&a[]=2", {"a": {"0": "1", "1": "2"}}),
        ("a[1]=2&a[0]=1", {"a": {"1": "2", "0": "1"}}),
        ("a[0][b]=1&a[1][b]=2", {"a": {"0": {"b": "1"}, "1": {"b": "2"}}}),
        ("a=1&a=2", {"a": "2"}),
    ],
)
def test_a_form_is_parsed(text: str, form: dict[str, Any]) -> None:
    assert decode_form(text) == form


@pytest.mark.parametrize("body", [b"a[b=1", b"[a]=1", b"a=1&a[b]=2", b"a[[b]]=1", b"a=%FF"])
def test_an_invalid_form_is_rejected(shop: Shop, body: bytes) -> None:
    assert shop.sandbox.handle("POST", INTENTS, shop.headers(), body).status == 400


def test_the_nesting_of_a_form_is_limited(shop: Shop) -> None:
    body = b"a" + b"[b]" * 10_000 + b"=1"
    assert shop.sandbox.handle("POST", INTENTS, shop.headers(), body).status == 400
