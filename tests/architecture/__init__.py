"""Tests of the code's structure."""
