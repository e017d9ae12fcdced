"""Tools for developers of this service."""
