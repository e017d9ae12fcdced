"""Tests of request parsing and response writing in the gunicorn worker."""
