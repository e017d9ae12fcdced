"""Requests, checked: their fields, their limits, and a sentence for each problem."""
