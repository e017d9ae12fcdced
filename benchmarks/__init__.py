"""Benchmarks: most modules are programs that print a table."""
