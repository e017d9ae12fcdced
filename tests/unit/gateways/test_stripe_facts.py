"""The facts about Stripe's SDK that the service has without importing it."""

from __future__ import annotations

import stripe

from payment_service.gateways.stripe.facts import API_VERSION


def test_the_api_version_is_that_of_the_sdk() -> None:
    assert stripe.api_version == API_VERSION
