"""gunicorn's hooks: prepare the master and its workers, and clean up after them.

`payment_service/server/gunicorn_conf.py` creates one `Hooks` each time gunicorn reads it: at the
start, and at each `kill -HUP`, which re-reads the settings. Modules stay loaded across `kill -HUP`,
and with them the directory that the workers share and the metrics exporter.
"""

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
from typing import Any, NoReturn

from gunicorn.glogging import Logger

from payment_service.access.live_mode import refuse_unsafe
from payment_service.key_store import REDIS_SCHEMES, refuse_unusable
from payment_service.key_store.shared_directory import shared_directory
from payment_service.server.reload import check_before_reload, try_address
from payment_service.server.start_report import log_start, start_key_check
from payment_service.settings import Settings, SettingsError, load_settings
from payment_service.telemetry.metrics import exporter_process
from payment_service.telemetry.metrics.exporter_process import Exporter
from payment_service.telemetry.request_log import start_logging
from payment_service.wiring import clients_of

# Python's default of 700 new objects is fewer than one request creates. Each collection costs time
# and finds next to nothing.
GARBAGE_OBJECTS = 50_000

# More objects than the libraries create at import. Hardly any of those are garbage, and collecting
# them once takes a fourteenth of the start.
LOADED_OBJECTS = 500_000

# File descriptors of one worker: one for each client's connection, two for each thread (Stripe and
# the store), and the interpreter's own.
DESCRIPTORS_PER_THREAD, OTHER_DESCRIPTORS = 2, 64

# Modules the master imports before it forks, so that the workers share their memory and start at
# once. No import starts a thread or opens anything.
SERVICE = ("stripe_back_end_api",)
OF_STORES = {
    "sqlite": ("payment_service.key_store.sqlite.store",),
    "memory": ("payment_service.key_store.sqlite.store",),
    "postgresql": ("payment_service.key_store.postgres.store",),
    **dict.fromkeys(REDIS_SCHEMES, ("payment_service.key_store.redis.store",)),
}
OF_CLIENTS = ("payment_service.access.tokens", "payment_service.web.rate_limits")
OF_METRICS = (
    "payment_service.telemetry.metrics.counter_files",
    "payment_service.telemetry.metrics.prometheus",
    "payment_service.telemetry.metrics.definitions",
)

# A worker that ends sooner than this probably failed for a reason that the next one shares. The
# master pauses before it starts the next one, because each start costs half a second of CPU.
SHORT_LIFE_SECONDS, NEXT_WORKER_SECONDS = 5.0, 1.0

# The signals that end a worker.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class JsonLog(Logger):  # type: ignore[misc]
    """Writes gunicorn's own log lines in the service's format; the service logs the requests."""

    def setup(self, cfg: Any) -> None:
        """Send every line to the root logger. `kill -HUP` calls this again on the same object."""
        super().setup(cfg)
        logging.getLogger().handlers.clear()
        start_logging(cfg.loglevel.upper())
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def settings_or_exit() -> Settings:
    """Load the settings, or exit with a one-line error if they are invalid or unsafe."""
    try:
        settings = load_settings()
        refuse_unsafe(settings, clients_of(settings))
    except SettingsError as wrong:
        sys.stderr.write(f"{wrong}\n")
        raise SystemExit(1) from None
    return settings


class Hooks:
    """The hooks of one reading of the settings. Each method is the gunicorn hook of its name.

    `environ` holds environment variables that the workers get in addition to the master's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shares_memory = settings.key_store_url.get_secret_value() == "memory://"
        self._exporter: Exporter | None = None
        # The cores that this process may use. Only Linux reports them.
        can_tell = hasattr(os, "sched_getaffinity")
        self._cores = sorted(os.sched_getaffinity(0)) if can_tell else []
        self.environ: list[str] = []
        # Whether no worker has the task yet to check the Stripe keys.
        self._keys_unchecked = True
        if self._shares_memory:
            # With a dict in each worker, a worker would not know the orders of other workers: of
            # the first ones, of one that SIGTTIN added, or of one that SIGHUP replaced.
            self.environ.append(f"KEY_STORE_URL=memory://{shared_directory()}/orders.db")
        if settings.metrics_port:
            self._open_exporter()

    def _open_exporter(self) -> None:
        try:
            self._exporter = exporter_process.open_exporter(self._settings.prometheus_multiproc_dir)
        except OSError as full:
            sys.stderr.write(
                f"METRICS_PORT: no directory for the counts, so none: {full.strerror}\n"
            )
            self.environ.append("METRICS_PORT=")
            return
        # prometheus_client reads this when it is imported, so it must be set before the first fork.
        self.environ.append(f"PROMETHEUS_MULTIPROC_DIR={self._exporter.directory}")

    def on_starting(self, server: Any) -> None:
        """Check the address and the store, start the exporter, and load the code."""
        check_before_reload(server)
        server.first_workers = server.cfg.workers
        if server.cfg.bind == [bind_address(self._settings)]:
            self._try_host()
        self._try_store()
        self._start_exporter()
        _allow_descriptors(server.cfg)
        self._load_code()
        log_start(self._settings, server.cfg.bind)
        os.register_at_fork(
            before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, STOPS),
            after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS),
            after_in_child=_restore_signals,
        )

    def on_reload(self, server: Any) -> None:
        """Log what runs from now on; gunicorn calls the hook of the new settings."""
        log_start(self._settings, server.cfg.bind)

    def _try_host(self) -> None:
        """Refuse a HOST that is not this machine's.

        gunicorn would retry five times, which helps only if the port is in use and may become free.
        """
        try:
            try_address(self._settings.host, 0)
        except OSError as wrong:
            _refuse("HOST", wrong)

    def _try_store(self) -> None:
        """Check the store once, in the master: a replacement worker must not end the service."""
        url = self._settings.key_store_url.get_secret_value()
        try:
            refuse_unusable(url, self._settings.store_timeout_seconds)
        except ValueError as wrong:
            sys.stderr.write(f"Settings: KEY_STORE_URL: {wrong}\n")
            raise SystemExit(1) from None

    def _start_exporter(self) -> None:
        if self._exporter and self._settings.metrics_port:
            try:
                self._exporter.start(self._settings.metrics_host, self._settings.metrics_port)
            except OSError as wrong:
                _refuse("METRICS_HOST, METRICS_PORT", wrong)

    def _load_code(self) -> None:
        """Import the modules that the settings need, and exempt them from garbage collection."""
        scheme = self._settings.key_store_url.get_secret_value().partition(":")[0]
        of_clients = OF_CLIENTS if self._settings.clients_file else ()
        of_metrics = OF_METRICS if self._settings.metrics_port else ()
        for name in (*SERVICE, *OF_STORES[scheme], *of_clients, *of_metrics):
            importlib.import_module(name)
        # The SDK loads its client when this name is first used.
        _ = sys.modules["stripe"].StripeClient
        gc.freeze()

    def pre_fork(self, server: Any, worker: Any) -> None:
        """Choose the worker's core, and note whether it replaces another worker."""
        worker.replaces = worker.age > server.first_workers
        worker.checks_keys, self._keys_unchecked = self._keys_unchecked, False
        if getattr(server, "lost_a_young_one", False):
            server.lost_a_young_one = False
            time.sleep(NEXT_WORKER_SECONDS)
        worker.began_at = time.monotonic()
        used = Counter(each.core for each in server.WORKERS.values())
        worker.core = min(self._cores, key=lambda core: used[core], default=None)

    def post_fork(self, server: Any, worker: Any) -> None:
        """Keep a worker on one core if there is a worker for each.

        Python runs one thread at a time. On a single core, a thread switch sends no message to
        another core; with hundreds of threads, those messages take a quarter of all CPU time. With
        fewer workers than cores the kernel chooses, as other services may need the same cores.
        """
        if len(self._cores) == server.cfg.workers:
            os.sched_setaffinity(0, {worker.core})

    def post_worker_init(self, worker: Any) -> None:
        """Exempt objects that live as long as the worker from garbage collection.

        The first worker also asks Stripe whether it accepts the keys.
        """
        if worker.checks_keys:
            start_key_check(self._settings)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)

    def child_exit(self, server: Any, worker: Any) -> None:
        """Keep a worker's counters, and drop its gauges."""
        life = time.monotonic() - getattr(worker, "began_at", 0.0)
        if life < SHORT_LIFE_SECONDS and len(server.WORKERS) < server.num_workers:
            server.lost_a_young_one = True
        if self._exporter:
            self._exporter.forget(worker.pid)

    def on_exit(self, _: Any) -> None:
        """Stop the exporter, and remove the in-memory directory."""
        if self._exporter:
            self._exporter.stop()
        if self._shares_memory:
            shutil.rmtree(shared_directory(), ignore_errors=True)


def bind_address(settings: Settings) -> str:
    """Return HOST and PORT in gunicorn's notation."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _refuse(names: str, wrong: OSError) -> NoReturn:
    sys.stderr.write(f"Settings: {names}: cannot be listened on: {wrong.strerror}\n")
    raise SystemExit(1) from None


def _allow_descriptors(cfg: Any) -> None:
    of_threads = cfg.threads * DESCRIPTORS_PER_THREAD
    wanted = cfg.worker_connections + of_threads + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _restore_signals() -> None:
    """Drop the master's handlers, which would lose signals until the worker has its own."""
    for each in STOPS:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
