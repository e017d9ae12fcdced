"""gunicorn's settings. gunicorn runs this file at the start and at each `kill -HUP`.

`payment-service serve` names it; in a checkout, gunicorn finds it through ./gunicorn.conf.py.
"""

import gc

from payment_service.server.hooks import LOADED_OBJECTS, Hooks, JsonLog, bind_address
from payment_service.server.open_files import MOST_IDLE, SPARE_THREADS
from payment_service.server.worker import WebWorker

gc.set_threshold(LOADED_OBJECTS)
hooks = Hooks()
settings = hooks.settings

bind = bind_address(settings)
workers = settings.web_concurrency
worker_class = WebWorker

threads = settings.max_in_flight + SPARE_THREADS
worker_connections = threads + MOST_IDLE

# If the service closed an idle connection before the load balancer does, a request sent at that
# moment would be lost.
keepalive = settings.keepalive_seconds
# A stopping worker finishes its requests, all of which end within a second of their budget.
graceful_timeout = int(settings.request_budget_seconds) + 5
# The heartbeat time-out. Slow requests do not delay a worker's heartbeat; a hung worker misses it.
timeout = 30

# gunicorn takes no address, scheme or path from a header: the service applies TRUSTED_PROXIES.
# As it trusts no header, it need not compare addresses.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

logger_class = JsonLog
loglevel = settings.log_level.lower()
# The control socket, for changes at run time, is unused.
control_socket_disable = True
raw_env = hooks.environ

on_starting, on_reload, on_exit = hooks.on_starting, hooks.on_reload, hooks.on_exit
pre_fork, post_fork = hooks.pre_fork, hooks.post_fork
post_worker_init, child_exit = hooks.post_worker_init, hooks.child_exit
