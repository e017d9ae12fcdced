"""Suites that hold every implementation to its contract."""
