"""Requests as Stripe's parameters, and the combinations that Stripe certainly rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.errors import BadRequest
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.create_params import create_params, update_params
from payment_service.gateways.stripe.request_rules import (
    THREE_DECIMAL,
    WHOLE_UNITS,
    ZERO_DECIMAL,
)
from payment_service.payments.request.create import check_request
from payment_service.payments.request.existing_order import UpdateRequest
from sandbox import currencies as sandbox_currencies
from tests.support.flow_bench import FlowBench
from tests.unit.payments.test_request import FULL, MANDATE, parsed, read

OLD, NEW = "2025-09-30.clover", "2026-10-28.endive"
PLAIN: dict[str, Any] = {"amount": 100, "order_id": "A-1"}

# The texts of the releases before: a record that holds one is sent again with exactly its bytes.
TEXTS = [
    (
        "create",
        PLAIN,
        "2022-11-15",
        (
            '{"api_version":"2022-11-15","params":{"amount":100,"currency":"usd","metadata":{'
            '"order_id":"A-1"},"automatic_payment_methods":{"enabled":true}}}'
        ),
    ),
    (
        "update",
        PLAIN,
        "2022-11-15",
        ('{"api_version":"2022-11-15","params":{"amount":100,"currency":"usd"}}'),
    ),
    (
        "create",
        PLAIN,
        "2025-09-30.clover",
        (
            '{"api_version":"2025-09-30.clover","params":{"amount":100,"currency":"usd","meta'
            'data":{"order_id":"A-1"}}}'
        ),
    ),
    (
        "update",
        PLAIN,
        "2025-09-30.clover",
        ('{"api_version":"2025-09-30.clover","params":{"amount":100,"currency":"usd"}}'),
    ),
    (
        "create",
        PLAIN,
        "2026-10-28.endive",
        (
            '{"api_version":"2026-10-28.endive","params":{"amount":100,"currency":"usd","meta'
            'data":{"order_id":"A-1"}}}'
        ),
    ),
    (
        "update",
        PLAIN,
        "2026-10-28.endive",
        ('{"api_version":"2026-10-28.endive","params":{"amount":100,"currency":"usd"}}'),
    ),
    (
        "create",
        FULL,
        "2022-11-15",
        (
            '{"api_version":"2022-11-15","params":{"amount":1999,"currency":"cad","metadata":'
            '{"a":"","basket":"3 apples\\n2 pears","order_id":"A-1","client_id":"7"},"payment_'
            'method_types":["acss_debit","card"],"payment_method_options":{"acss_debit":{"man'
            'date_options":{"payment_schedule":"sporadic","transaction_type":"personal"}},"ca'
            'rd":{"installments":{"enabled":false},"request_three_d_secure":"any"}},"descript'
            'ion":"Fruit, für Zoë 🍎","receipt_email":"zoe@example.com","customer":"cus_NffrFe'
            'UfNV2Hib","capture_method":"manual","setup_future_usage":"off_session","statemen'
            't_descriptor_suffix":"FRUIT 1"}}'
        ),
    ),
    (
        "update",
        FULL,
        "2022-11-15",
        (
            '{"api_version":"2022-11-15","params":{"amount":1999,"currency":"cad","payment_me'
            'thod_types":["acss_debit","card"],"payment_method_options":{"acss_debit":{"manda'
            'te_options":{"payment_schedule":"sporadic","transaction_type":"personal"}},"card'
            '":{"installments":{"enabled":false},"request_three_d_secure":"any"}},"descriptio'
            'n":"Fruit, für Zoë 🍎","receipt_email":"zoe@example.com","customer":"cus_NffrFeUf'
            'NV2Hib","capture_method":"manual","setup_future_usage":"off_session","statement_'
            'descriptor_suffix":"FRUIT 1","metadata":{"a":"","basket":"3 apples\\n2 pears"}}}'
        ),
    ),
    (
        "create",
        FULL,
        "2025-09-30.clover",
        (
            '{"api_version":"2025-09-30.clover","params":{"amount":1999,"currency":"cad","met'
            'adata":{"a":"","basket":"3 apples\\n2 pears","order_id":"A-1","client_id":"7"},"p'
            'ayment_method_types":["acss_debit","card"],"payment_method_options":{"acss_debit'
            '":{"mandate_options":{"payment_schedule":"sporadic","transaction_type":"personal'
            '"}},"card":{"installments":{"enabled":false},"request_three_d_secure":"any"}},"d'
            'escription":"Fruit, für Zoë 🍎","receipt_email":"zoe@example.com","customer":"cus'
            '_NffrFeUfNV2Hib","capture_method":"manual","setup_future_usage":"off_session","s'
            'tatement_descriptor_suffix":"FRUIT 1"}}'
        ),
    ),
    (
        "update",
        FULL,
        "2025-09-30.clover",
        (
            '{"api_version":"2025-09-30.clover","params":{"amount":1999,"currency":"cad","pay'
            'ment_method_types":["acss_debit","card"],"payment_method_options":{"acss_debit":'
            '{"mandate_options":{"payment_schedule":"sporadic","transaction_type":"personal"}'
            '},"card":{"installments":{"enabled":false},"request_three_d_secure":"any"}},"des'
            'cription":"Fruit, für Zoë 🍎","receipt_email":"zoe@example.com","customer":"cus_N'
            'ffrFeUfNV2Hib","capture_method":"manual","setup_future_usage":"off_session","sta'
            'tement_descriptor_suffix":"FRUIT 1","metadata":{"a":"","basket":"3 apples\\n2 pea'
            'rs"}}}'
        ),
    ),
    (
        "create",
        FULL,
        "2026-10-28.endive",
        (
            '{"api_version":"2026-10-28.endive","params":{"amount":1999,"currency":"cad","met'
            'adata":{"a":"","basket":"3 apples\\n2 pears","order_id":"A-1","client_id":"7"},"a'
            'llowed_payment_method_types":["acss_debit","card"],"payment_method_options":{"ac'
            'ss_debit":{"mandate_options":{"payment_schedule":"sporadic","transaction_type":"'
            'personal"}},"card":{"installments":{"enabled":false},"request_three_d_secure":"a'
            'ny"}},"description":"Fruit, für Zoë 🍎","receipt_email":"zoe@example.com","custom'
            'er":"cus_NffrFeUfNV2Hib","capture_method":"manual","setup_future_usage":"off_ses'
            'sion","statement_descriptor_suffix":"FRUIT 1"}}'
        ),
    ),
    (
        "update",
        FULL,
        "2026-10-28.endive",
        (
            '{"api_version":"2026-10-28.endive","params":{"amount":1999,"currency":"cad","all'
            'owed_payment_method_types":["acss_debit","card"],"payment_method_options":{"acss'
            '_debit":{"mandate_options":{"payment_schedule":"sporadic","transaction_type":"pe'
            'rsonal"}},"card":{"installments":{"enabled":false},"request_three_d_secure":"any'
            '"}},"description":"Fruit, für Zoë 🍎","receipt_email":"zoe@example.com","customer'
            '":"cus_NffrFeUfNV2Hib","capture_method":"manual","setup_future_usage":"off_sessi'
            'on","statement_descriptor_suffix":"FRUIT 1","metadata":{"a":"","basket":"3 apple'
            's\\n2 pears"}}}'
        ),
    ),
]


def params(version: str, **fields: Any) -> dict[str, Any]:
    return create_params(parsed(**fields), version)


@pytest.mark.parametrize(("kind", "fields", "version", "text"), TEXTS)
def test_texts_of_parameters_never_change(
    kind: str, fields: dict[str, Any], version: str, text: str
) -> None:
    if kind == "create":
        made = params(version, **fields)
    else:
        request = check_request(fields, UpdateRequest)
        made = update_params(request, request.currency or "usd", version)
    assert SentParams(version, made).text() == text
    assert SentParams.parse(text).params == made


def test_the_gateway_names_itself_and_its_version() -> None:
    gateway = FlowBench().context.gateway
    expected = SentParams(gateway.api_version, params(gateway.api_version, **FULL), "stripe")
    assert gateway.params_of(parsed(**FULL)) == expected


def test_minimal_request_is_usd_and_stripe_chooses_the_types() -> None:
    assert params(NEW) == {
        "amount": 100,
        "currency": "usd",
        "metadata": {"order_id": "A-1"},
    }


def test_old_api_version_needs_automatic_methods_enabled() -> None:
    sent = params("2022-11-15")
    assert sent["automatic_payment_methods"] == {"enabled": True}


def test_every_field_reaches_stripe() -> None:
    sent = params(NEW, **FULL)
    assert "payment_method_types" not in sent
    assert sent["metadata"] == {**FULL["metadata"], "order_id": "A-1", "client_id": "7"}
    assert sent["allowed_payment_method_types"] == ["acss_debit", "card"]
    same = set(FULL) - {"order_id", "client_id", "currency", "metadata", "payment_method_types"}
    assert {name: sent[name] for name in same} == {name: FULL[name] for name in same}


@pytest.mark.parametrize("version", ["2026-07-29.dahlia", "2026-09-30.endive", NEW])
def test_dahlia_uses_allowed_payment_method_types(version: str) -> None:
    sent = params(version, payment_method_types=["card"])
    assert sent["allowed_payment_method_types"] == ["card"]
    assert "payment_method_types" not in sent
    assert "automatic_payment_methods" not in sent


@pytest.mark.parametrize("version", ["2026-06-24.dahlia", OLD, "2019-02-11"])
def test_versions_before_dahlia_use_payment_method_types(version: str) -> None:
    sent = params(version, payment_method_types=["card"])
    assert sent["payment_method_types"] == ["card"]
    assert "allowed_payment_method_types" not in sent


def test_ach_is_us_bank_account_with_usd() -> None:
    sent = params(NEW, payment_method_types=["us_bank_account"])
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
    sent = params(
        NEW,
        currency=currency,
        payment_method_types=["acss_debit"],
        payment_method_options=options,
    )
    assert sent["allowed_payment_method_types"] == ["acss_debit"]
    assert sent["payment_method_options"] == options


def test_interac_is_card_and_interac_present_with_cad() -> None:
    types = ["interac_present", "card_present"]
    sent = params(NEW, currency="cad", payment_method_types=types)
    assert sent["allowed_payment_method_types"] == ["card_present", "interac_present"]


def test_the_service_and_the_sandbox_know_the_same_decimals() -> None:
    theirs = sandbox_currencies
    assert (ZERO_DECIMAL, THREE_DECIMAL, WHOLE_UNITS) == (
        theirs.ZERO_DECIMAL,
        theirs.THREE_DECIMAL,
        theirs.WHOLE_UNITS,
    )


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
        sent, again = (json.dumps(create_params(each, version)) for each in (plain, shuffled))
        assert sent == again


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"currency": "ugx", "amount": 501},
            "amount: ugx is sent with two decimals that must be 00, so 5 ugx is 500",
        ),
        (
            {"currency": "kwd", "amount": 11},
            "amount: kwd has three decimals and the last digit must be 0, so 5.12 kwd is 5120",
        ),
        (
            {"currency": "cad", "payment_method_types": ["us_bank_account"]},
            "currency: us_bank_account takes only usd",
        ),
        (
            {"payment_method_types": ["acss_debit"]},
            "payment_method_options.acss_debit.mandate_options.payment_schedule: "
            "must be one of combined, interval, sporadic",
        ),
    ],
)
def test_certain_rejection_names_the_field_and_sends_nothing(
    fields: dict[str, Any], sentence: str
) -> None:
    bench = FlowBench()
    with pytest.raises(BadRequest) as raised:
        bench.context.gateway.params_of(parsed(**fields))
    assert (raised.value.message, raised.value.param) == (sentence, sentence.partition(":")[0])
    assert bench.sends("") == 0


def test_an_updated_amount_is_checked_in_the_currency_after_the_update() -> None:
    gateway = FlowBench().context.gateway
    request = check_request({"order_id": "A-1", "amount": 501}, UpdateRequest)
    with pytest.raises(BadRequest, match="amount: isk"):
        gateway.params_of_update(request, "isk")
    assert gateway.params_of_update(request, "usd").params["amount"] == 501
