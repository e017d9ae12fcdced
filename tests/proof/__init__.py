"""The proof of the promise: explorer, chaos test, soak test, and public incidents."""
