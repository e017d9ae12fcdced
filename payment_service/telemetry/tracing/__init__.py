"""OpenTelemetry traces: the spans of requests, store operations, sends and background jobs."""
