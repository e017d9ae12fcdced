"""The gunicorn worker: reading requests, writing answers and reloading."""
