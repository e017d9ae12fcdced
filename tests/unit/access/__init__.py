"""Tests of access: clients, tokens and live mode."""
