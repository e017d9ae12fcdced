"""The rules of a payment and of its record: no Flask, no SDK, no store."""
