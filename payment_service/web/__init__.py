"""The HTTP layer: access control, request parsing, routes, error responses and OpenAPI."""
