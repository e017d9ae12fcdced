"""PayPal's Orders v2 as a gated gateway."""
