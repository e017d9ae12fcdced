"""Events for the shop: their catalogue, and the outbox that delivers them."""
