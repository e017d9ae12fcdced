"""The log of Stripe's state: each cause once, and the recovery."""

from __future__ import annotations

import logging

import pytest

from payment_service.gateways.send_report import Meaning, Send, Verdict
from payment_service.outage import QUIET_SECONDS
from payment_service.telemetry.gateway_outage import GatewayOutage


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def send(
    meaning: Meaning | None, status: int | None = None, phase: str | None = None, cause: str = ""
) -> Send:
    verdict = meaning and Verdict(meaning, again=True, status=status)
    return Send("post", "/v1/payment_intents", 1, 0.1, None, None, verdict, phase, cause, status)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock, caplog: pytest.LogCaptureFixture) -> GatewayOutage:
    caplog.set_level(logging.INFO)
    return GatewayOutage(clock)


def test_each_cause_is_logged_once(outage: GatewayOutage, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        outage.send(send(Meaning.NO_ANSWER, phase="tls", cause="unknown CA"))
        outage.send(send(Meaning.CONFIG, 403, cause="The key lacks rak_payment_intent_write."))
    causes = [record.__dict__["cause"] for record in caplog.records]
    assert causes == ["unknown CA", "The key lacks rak_payment_intent_write."]


@pytest.mark.parametrize("meaning", [None, Meaning.NO, Meaning.MISUSED, Meaning.BUSY])
def test_answer_about_one_order_shows_that_stripe_works(
    outage: GatewayOutage, clock: Clock, caplog: pytest.LogCaptureFixture, meaning: Meaning | None
) -> None:
    outage.send(send(meaning))
    outage.send(send(Meaning.NO_ANSWER, phase="connect"))
    clock.now += QUIET_SECONDS
    outage.send(send(meaning))
    outage.send(send(meaning))
    assert caplog.messages == ["calls to Stripe fail", "Stripe answers again"]


def test_half_of_the_answers_do_not_fill_the_log(
    outage: GatewayOutage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        outage.send(send(Meaning.FAILED, 500))
        clock.now += QUIET_SECONDS / 2
        outage.send(send(None))
    assert caplog.messages == ["calls to Stripe fail"]


def test_line_names_the_gateway(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = GatewayOutage(clock, "paypal")
    outage.send(send(Meaning.NO_ANSWER))
    clock.now += QUIET_SECONDS
    outage.send(send(None))
    assert caplog.messages == ["calls to PayPal fail", "PayPal answers again"]
