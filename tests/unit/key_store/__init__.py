"""Tests of the memory store and of group commit."""
