"""Tests of the HTTP layer, through Flask's test client."""
