"""The check of an app's credentials at the start, in PayPal's own words."""

from __future__ import annotations

import pytest

from payment_service.gateways.key_check import KeyCheck
from payment_service.gateways.paypal.api_calls import PayPalApi
from payment_service.gateways.paypal.app_check import check_app
from payment_service.gateways.paypal.paths import TOKEN
from payment_service.schema.secret import Secret
from tests.support.paypal_flow import BASE, PayPalFlow
from tests.support.sandbox_transport import SandboxTransport


def check(flow: PayPalFlow) -> KeyCheck:
    return check_app(PayPalApi(SandboxTransport(flow.sandbox), "app-1", Secret("hunter2"), BASE))


def test_accepted_app() -> None:
    assert check(PayPalFlow()) == KeyCheck("accepted")


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden"])
def test_refused_app_is_told_with_paypals_sentence(fault: str) -> None:
    flow = PayPalFlow()
    flow.fault(fault, TOKEN)
    found = check(flow)
    assert found.result == "refused"
    assert found.sentence
    assert "hunter2" not in found.sentence


@pytest.mark.parametrize("fault", ["lost_before", "error_503", "html", "rate_limited"])
def test_other_answers_say_nothing_about_the_app(fault: str) -> None:
    flow = PayPalFlow()
    flow.fault(fault, TOKEN)
    assert check(flow).result == "unknown"
