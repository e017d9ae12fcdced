"""Money after the payment: captures, refunds and disputes, each exactly once."""
