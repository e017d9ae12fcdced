"""The HTTP client for Stripe: connections, DNS look-up and response parsing."""
