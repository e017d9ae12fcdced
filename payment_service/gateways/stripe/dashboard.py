"""Addresses of Stripe's dashboard, for people."""

from __future__ import annotations


def payment_url(intent_id: str, *, livemode: bool) -> str:
    """Return the address of a PaymentIntent in the dashboard."""
    return f"https://dashboard.stripe.com/{'' if livemode else 'test/'}payments/{intent_id}"
