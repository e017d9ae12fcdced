"""Stripe: operations, retries, lists and webhook events."""
