"""How gunicorn serves the service: `gunicorn stripe_back_end_api:app` reads this by itself."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from gunicorn.glogging import Logger

# Python's 700 new objects are fewer than one request makes; each look costs time, and finds next to
# nothing.
GARBAGE_OBJECTS = 50_000

# More than the libraries are made of, of which next to nothing is garbage: one look at them takes
# a fourteenth of the start.
LOADED_OBJECTS = 500_000
gc.set_threshold(LOADED_OBJECTS)

# `kill -HUP` reads this file again, maybe of a new version: what it imports must be of the same.
# These hold what all workers share, for as long as the master lives: at a reload they may be an
# older version's, in which a name that is new here is not to be found.
STAYS = {
    "payment_service.key_store.shared_directory",
    "payment_service.telemetry.metrics.exporter_process",
}
HERE = Path(__file__).parent
OURS = {path.stem for path in HERE.glob("*.py")} | {
    p.parent.name for p in HERE.glob("*/__init__.py")
}
for name in set(sys.modules) - STAYS:
    if name.partition(".")[0] in OURS:
        del sys.modules[name]

from payment_service.access.live_mode import refuse_unsafe
from payment_service.key_store import refuse_unusable
from payment_service.key_store.shared_directory import shared_directory
from payment_service.server.reload import check_before_reload, try_address
from payment_service.server.worker import WebWorker
from payment_service.settings import SettingsError, load_settings
from payment_service.telemetry.metrics import exporter_process
from payment_service.wiring import clients_of

try:
    settings = load_settings()
    refuse_unsafe(settings, clients_of(settings))
except SettingsError as wrong:
    sys.stderr.write(f"{wrong}\n")
    raise SystemExit(1) from None


class JsonLog(Logger):  # type: ignore[misc]
    """gunicorn's own lines, in the form of all others. Requests are logged by the service."""

    def setup(self, cfg: Any) -> None:
        """Hand everything to the root logger; called again, on the same object, by `kill -HUP`."""
        super().setup(cfg)
        logging.getLogger().handlers.clear()
        importlib.import_module("payment_service.telemetry.request_log").start_logging(
            cfg.loglevel.upper()
        )
        self.error_log.handlers.clear()
        self.error_log.propagate = True


# Threads beyond those that may wait for Stripe: for /healthz, and to say 503 at once.
RESERVE_THREADS = 32

# Kept-alive connections without a request, of proxies and browsers.
IDLE_CONNECTIONS = 256

# Of one worker: a connection of a client, one to Stripe and one to the store for each thread,
# and what the interpreter has open.
DESCRIPTORS_PER_THREAD, OTHER_DESCRIPTORS = 3, 64

# Imported before the workers are forked: they share the memory, and a new one is there at once.
# No import starts a thread or opens anything. After `kill -HUP` each worker imports the new version
# of our own code for itself.
SERVICE = ("stripe_back_end_api",)
OF_STORES = {
    "sqlite": ("payment_service.key_store.sqlite.store",),
    "memory": ("payment_service.key_store.sqlite.store",),
    "postgresql": ("payment_service.key_store.postgres.store",),
    "redis": ("payment_service.key_store.redis.store",),
    "rediss": ("payment_service.key_store.redis.store",),
}
OF_CLIENTS = ("payment_service.access.tokens", "payment_service.web.rate_limits")
OF_METRICS = (
    "payment_service.telemetry.metrics.counter_files",
    "payment_service.telemetry.metrics.prometheus",
    "payment_service.telemetry.metrics.definitions",
)

# A worker that ends sooner than this has a cause that the next one may meet, too. Before that one
# is started, the master waits: each costs half a second of CPU.
SHORT_LIFE_SECONDS, NEXT_WORKER_SECONDS = 5.0, 1.0

# What ends a worker.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

# Where the kernel tells (Linux).
cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

bind = (
    f"[{settings.host}]:{settings.port}"
    if ":" in settings.host
    else (f"{settings.host}:{settings.port}")
)
workers = settings.web_concurrency
worker_class = WebWorker

# A prefix of all paths is gunicorn's to take off.
WebWorker.asked_for_more = "SCRIPT_NAME" in os.environ
threads = settings.max_in_flight + RESERVE_THREADS
worker_connections = threads + IDLE_CONNECTIONS

# Longer than the 60 s after which nginx and the cloud's load balancers drop an idle connection:
# if we dropped it first, a request that is just being sent would be lost.
keepalive = 75

# A stopping worker answers every request that it has; a second after the budget none is left.
graceful_timeout = int(settings.request_budget_seconds) + 5

# A worker's heartbeat does not stop for a slow request: only for a worker that hangs as a whole.
timeout = 30

# No header is taken for an address, a scheme or a path here, whoever sends it: TRUSTED_PROXIES is
# the service's own. With nothing to trust them with, nobody's address is looked at.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

logger_class = JsonLog
loglevel = settings.log_level.lower()

# Nothing is managed at run time.
control_socket_disable = True

raw_env: list[str] = []

# A dict of its own in each worker would forget what the others did: also those that SIGTTIN adds,
# and those that went at a SIGHUP.
shares_memory = settings.key_store_url.get_secret_value() == "memory://"
if shares_memory:
    raw_env.append(f"KEY_STORE_URL=memory://{shared_directory()}/orders.db")

exporter = None
if settings.metrics_port:
    try:
        exporter = exporter_process.open_exporter(settings.prometheus_multiproc_dir)
    except OSError as full:
        sys.stderr.write(f"METRICS_PORT: no directory for the counts, so none: {full.strerror}\n")
        raw_env.append("METRICS_PORT=")
if exporter:
    # prometheus_client looks for it when it is imported: before any worker begins.
    raw_env.append(f"PROMETHEUS_MULTIPROC_DIR={exporter.directory}")


def on_starting(server: Any) -> None:
    """Make room for the descriptors of every thread; let Prometheus ask; load the code."""
    check_before_reload(server)
    server.first_workers = server.cfg.workers
    if server.cfg.bind == [bind]:
        _try_host()
    _look_at_store()
    _start_exporter()
    _allow_descriptors()
    _load_code()
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, STOPS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS),
        after_in_child=_end_when_told,
    )


def _try_host() -> None:
    """gunicorn would try five times. For a port that is taken that is right: who has it may end."""
    try:
        try_address(settings.host, 0)
    except OSError as wrong:
        _refuse("HOST", wrong)


def _look_at_store() -> None:
    """Here and not in each worker: one that is replaced must not end a service that runs."""
    try:
        refuse_unusable(settings.key_store_url.get_secret_value(), settings.store_timeout_seconds)
    except ValueError as wrong:
        sys.stderr.write(f"Settings: KEY_STORE_URL: {wrong}\n")
        raise SystemExit(1) from None


def _start_exporter() -> None:
    if exporter and settings.metrics_port:
        try:
            exporter.start(settings.metrics_host, settings.metrics_port)
        except OSError as wrong:
            _refuse("METRICS_HOST, METRICS_PORT", wrong)


def _refuse(names: str, wrong: OSError) -> NoReturn:
    sys.stderr.write(f"Settings: {names}: cannot be listened on: {wrong.strerror}\n")
    raise SystemExit(1) from None


def _allow_descriptors() -> None:
    wanted = threads * DESCRIPTORS_PER_THREAD + IDLE_CONNECTIONS + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _load_code() -> None:
    """Load what the settings will need, where no garbage collector writes to it ever again."""
    scheme = settings.key_store_url.get_secret_value().partition(":")[0]
    of_clients = OF_CLIENTS if settings.clients_file else ()
    of_metrics = OF_METRICS if settings.metrics_port else ()
    for name in (*SERVICE, *OF_STORES[scheme], *of_clients, *of_metrics):
        importlib.import_module(name)
    # What the SDK loads when it is first named.
    _ = sys.modules["stripe"].StripeClient
    gc.freeze()


def _end_when_told() -> None:
    """A worker has the master's handlers at first, with which it would miss that it is to end."""
    for each in STOPS:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def pre_fork(server: Any, worker: Any) -> None:
    """Find a worker the core that its siblings use least; tell it whether it replaces another."""
    # A master that an older version started was told no number, and has had all its workers.
    worker.replaces = worker.age > getattr(server, "first_workers", 0)
    if getattr(server, "lost_a_young_one", False):
        server.lost_a_young_one = False
        time.sleep(NEXT_WORKER_SECONDS)
    worker.began_at = time.monotonic()
    used = Counter(each.core for each in server.WORKERS.values())
    worker.core = min(cores, key=lambda core: used[core], default=None)


def post_fork(_: Any, worker: Any) -> None:
    """Keep a worker on one core, if there is one for each.

    Python lets one thread run at a time: on one core a change of threads needs no message to
    another core, which is a quarter of all CPU time with hundreds of threads. Fewer workers than
    cores are left to the kernel, as other services may want the same ones.
    """
    if len(cores) == workers:
        os.sched_setaffinity(0, {worker.core})


def post_worker_init(_: Any) -> None:
    """Never look for garbage among what stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def child_exit(server: Any, worker: Any) -> None:
    """Keep what a worker counted, and forget what it said of now."""
    life = time.monotonic() - getattr(worker, "began_at", 0.0)
    if life < SHORT_LIFE_SECONDS and len(server.WORKERS) < server.num_workers:
        server.lost_a_young_one = True
    if exporter:
        exporter.forget(worker.pid)


def on_exit(_: Any) -> None:
    """Leave nothing in memory."""
    if exporter:
        exporter.stop()
    if shares_memory:
        shutil.rmtree(shared_directory(), ignore_errors=True)
