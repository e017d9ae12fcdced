"""Prometheus metrics: definitions, instrumentation and the exporter."""
