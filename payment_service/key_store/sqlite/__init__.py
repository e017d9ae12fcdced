"""The SQLite store and its SQL."""
