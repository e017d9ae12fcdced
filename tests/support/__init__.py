"""Helpers of the tests: real processes, servers, stores, and the sandbox in process."""
