"""The PostgreSQL store and its SQL."""
