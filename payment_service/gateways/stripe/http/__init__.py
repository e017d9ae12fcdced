"""The HTTP client for Stripe: connections, address look-up and response parsing."""
