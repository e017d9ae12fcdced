"""Tests of the gunicorn worker's parts."""
