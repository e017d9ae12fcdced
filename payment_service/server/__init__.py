"""gunicorn's settings, hooks and worker, and what `kill -HUP` does."""
