"""The payment of an order at a gated gateway: approval, capture and cancellation."""
