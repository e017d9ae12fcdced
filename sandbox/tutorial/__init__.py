"""A typical tutorial's payment server, for comparison with the service."""
