"""The PostgreSQL store, with its SQL beside it."""
