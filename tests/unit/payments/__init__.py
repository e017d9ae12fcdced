"""Tests of the payment rules, with the sandbox's core in the same process."""
