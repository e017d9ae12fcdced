"""gunicorn's settings. gunicorn runs this file at the start and at each `kill -HUP`.

`payment-service serve` names it; in a checkout, gunicorn finds it through ./gunicorn.conf.py.
"""

import gc
import os

from payment_service.server.hooks import (
    LOADED_OBJECTS,
    Hooks,
    JsonLog,
    bind_address,
    settings_or_exit,
)
from payment_service.server.worker import WebWorker

gc.set_threshold(LOADED_OBJECTS)
settings = settings_or_exit()
hooks = Hooks(settings)

bind = bind_address(settings)
workers = settings.web_concurrency
worker_class = WebWorker
# gunicorn strips a prefix that is set here off all paths.
WebWorker.asked_for_more = "SCRIPT_NAME" in os.environ

# 32 threads beyond the requests that may wait for Stripe: for /healthz, and to answer 503 at once.
threads = settings.max_in_flight + 32
# 256 connections of proxies and browsers that are kept alive without a request.
worker_connections = threads + 256

# nginx and the load balancers of cloud providers close an idle connection after 60 s. If we closed
# it first, a request that is just being sent would be lost.
keepalive = 75
# A stopping worker answers the requests it has; a second after the budget none is left.
graceful_timeout = int(settings.request_budget_seconds) + 5
# The heartbeat of a worker: only one that hangs as a whole misses it, not one with a slow request.
timeout = 30

# No header sets an address, a scheme or a path here: the service itself applies TRUSTED_PROXIES.
# As no header is trusted, gunicorn need not compare addresses.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

logger_class = JsonLog
loglevel = settings.log_level.lower()
# Nobody manages the server at run time.
control_socket_disable = True
raw_env = hooks.environ

on_starting, on_exit = hooks.on_starting, hooks.on_exit
pre_fork, post_fork = hooks.pre_fork, hooks.post_fork
post_worker_init, child_exit = hooks.post_worker_init, hooks.child_exit
