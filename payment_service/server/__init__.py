"""gunicorn's settings, hooks, worker and reload on `kill -HUP`."""
