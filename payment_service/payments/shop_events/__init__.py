"""Events for the shop: which ones there are, and the outbox that delivers them."""
