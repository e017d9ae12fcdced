"""Tests of the stores that live within one process."""
