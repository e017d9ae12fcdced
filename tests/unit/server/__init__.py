"""Tests of the gunicorn worker's reading and writing."""
