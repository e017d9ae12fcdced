"""Tests of the payment rules, over the sandbox's core in process."""
