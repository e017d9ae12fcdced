"""The server's settings in a checkout: `gunicorn stripe_back_end_api:app` reads this file.

They are in payment_service/server/gunicorn_conf.py, so that an installed `payment-service serve`
has the same ones. To override one, add its gunicorn name below the last line.
"""

import runpy

# Runs the file instead of importing it: `kill -HUP` must re-read the settings.
globals().update(runpy.run_module("payment_service.server.gunicorn_conf"))
