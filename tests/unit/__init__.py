"""Tests in this process alone: no server, no other process, no sleep."""
