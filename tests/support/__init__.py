"""Test helpers: real processes, servers and stores, and the sandbox in this process."""
