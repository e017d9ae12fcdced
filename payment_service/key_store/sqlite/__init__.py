"""The SQLite store, with its SQL beside it."""
