"""A fake of the payments for tests of the HTTP layer: it records requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from payment_service.gateways.stripe.request_rules import check_creation
from payment_service.payments.request.create import PaymentRequest
from payment_service.schema.secret import Secret
from payment_service.settings import Settings
from stripe_back_end_api import create_app

CLIENT_SECRET = "pi_1_secret_2"


@dataclass(frozen=True)
class Answer:
    payment_intent_id: str = "pi_1"
    client_secret: str | None = CLIENT_SECRET
    status: str = "requires_payment_method"
    replayed: bool = False
    gateway: str = "stripe"
    redirect_url: str | None = None


@dataclass
class FakePayments:
    """Returns `answer`, or raises `error`; `asked` lists the requests."""

    answer: Answer = field(default_factory=Answer)
    error: Exception | None = None
    asked: list[PaymentRequest] = field(default_factory=list)

    def create(self, request: PaymentRequest) -> Answer:
        check_creation(request)
        self.asked.append(request)
        self.ready()
        return self.answer

    def ready(self) -> None:
        if self.error is not None:
            raise self.error


def app_of(payments: FakePayments, **settings: Any) -> Flask:
    """Return the service with these payments."""
    injected: Any = payments
    return create_app(Settings(stripe_secret_key=Secret("sk_test_fake"), **settings), injected)


def served() -> Flask:
    """For a server process: `gunicorn "tests.support.fake_payments:served()"`."""
    return app_of(FakePayments())


def client_of(payments: FakePayments, **settings: Any) -> FlaskClient:
    """Return a test client of the service with these payments."""
    return app_of(payments, **settings).test_client()
