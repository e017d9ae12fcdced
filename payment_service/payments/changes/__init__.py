"""Orders after creation: status, update, cancellation and Stripe's events."""
