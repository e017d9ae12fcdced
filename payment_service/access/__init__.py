"""Authentication and authorization: clients, order tokens and API keys; independent of Flask."""
