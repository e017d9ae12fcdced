"""Tests that start the service, or a part of it, as real processes."""
