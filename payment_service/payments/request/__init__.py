"""Validation of requests: their fields, their limits, and a sentence for each problem."""
