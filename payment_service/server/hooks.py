"""gunicorn's hooks: prepare the master and its workers, and clean up after them.

`payment_service/server/gunicorn_conf.py` creates one `Hooks` each time gunicorn reads it: at the
start, and at each `kill -HUP`, which re-reads the settings and the clients file. New code comes by
a rolling restart (docs/operations.md).
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from gunicorn.glogging import Logger
from msgspec.structs import replace

from payment_service import wiring
from payment_service.key_store import REDIS_SCHEMES, refuse_unusable
from payment_service.key_store.shared_directory import shared_directory
from payment_service.server.open_files import (
    SPARE_THREADS,
    current_limit,
    idle_connections,
    most_in_flight,
    raise_limit,
)
from payment_service.server.start_report import log_start, start_key_check
from payment_service.settings import Settings, SettingsError, environment, load_settings
from payment_service.settings.otel import otel_of_dotenv
from payment_service.telemetry.logs import start_logging
from payment_service.telemetry.metrics.counter_directory import CounterDirectory, counter_directory
from payment_service.telemetry.tracing import opening as tracing
from payment_service.wiring import Configuration, configure

# Python's default of 700 new objects is fewer than one request creates. Each collection costs time
# and frees almost nothing.
GARBAGE_OBJECTS = 50_000

# More objects than the libraries create at import. Hardly any of those are garbage, and collecting
# them once takes a fourteenth of the start.
LOADED_OBJECTS = 500_000

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
OF_PAYPAL = ("payment_service.gateways.paypal.opening",)
OF_METRICS = (
    "payment_service.telemetry.metrics.counter_files",
    "payment_service.telemetry.metrics.exporter",
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


class Hooks:
    """The hooks of one reading of the settings. Each method is the gunicorn hook of its name.

    `environ` holds environment variables that the workers get in addition to the master's.
    """

    def __init__(self) -> None:
        """Read the settings and the clients file, or exit with one line if they are invalid."""
        self._counters: CounterDirectory | None = None
        self.environ: list[str] = []
        # Whether no worker has the task yet to check the Stripe keys.
        self._keys_unchecked = True
        try:
            given = environment()
            configuration = configure(load_settings(given))
            given |= self._shared(configuration.settings)
            self.environ += [f"{name}={text}" for name, text in otel_of_dotenv().items()]
            self.settings = load_settings(given)
        except SettingsError as wrong:
            sys.stderr.write(f"{wrong}\n")
            raise SystemExit(1) from None
        self._configuration = Configuration(self.settings, configuration.clients)

    def _shared(self, settings: Settings) -> dict[str, str]:
        """Return settings that make the workers share the memory store and the counters."""
        shared = {}
        self._shares_memory = settings.key_store_url.get_secret_value() == "memory://"
        if self._shares_memory:
            # With a dict in each worker, a worker would not know the orders of other workers: of
            # the first ones, of one that SIGTTIN added, or of one that SIGHUP replaced.
            shared["KEY_STORE_URL"] = f"memory://{_memory()}/orders.db"
        if settings.metrics_port:
            try:
                self._counters = counter_directory(settings.prometheus_multiproc_dir)
            except OSError as full:
                sys.stderr.write(
                    f"METRICS_PORT: no directory for the counts, so none: {full.strerror}\n"
                )
                return {**shared, "METRICS_PORT": ""}
            shared["PROMETHEUS_MULTIPROC_DIR"] = str(self._counters.path)
            # prometheus_client reads this when it is imported, in a worker.
            self.environ.append(f"PROMETHEUS_MULTIPROC_DIR={self._counters.path}")
        return shared

    def on_starting(self, server: Any) -> None:
        """Check the addresses and the store, and load the code."""
        _survive_invalid_settings(server)
        _restart_as_a_module(server)
        if server.cfg.bind == [bind_address(self.settings)]:
            # gunicorn would retry five times. That helps only if the port may become free.
            _try_address("HOST", self.settings.host, 0)
        self._try_store()
        if self._counters and self.settings.metrics_port:
            _try_address("METRICS_HOST, METRICS_PORT", self.settings.metrics_host,
                         self.settings.metrics_port)  # fmt: skip
            # A service that this one replaces (kill -USR2) may still count in the directory.
            if not server.master_pid:
                self._counters.clear()
        self._fit_open_files(server.cfg)
        self._load_code()
        log_start(self._configuration, server.cfg.bind)
        os.register_at_fork(
            before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, STOPS),
            after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS),
            after_in_child=_restore_signals,
        )

    def on_reload(self, server: Any) -> None:
        """Log what runs from now on; gunicorn calls the hook of the new settings."""
        self._fit_open_files(server.cfg)
        log_start(self._configuration, server.cfg.bind)

    def _fit_open_files(self, cfg: Any) -> None:
        """Raise the limit of open files, or take fewer orders at a time if it stays too low.

        Without a free file a worker can neither accept a connection nor call a gateway.
        """
        with optional("the limit of open files"):
            raise_limit(self.settings.max_in_flight)
        limit = current_limit()
        in_flight = most_in_flight(limit)
        if in_flight >= self.settings.max_in_flight:
            return
        logging.getLogger("server").warning(
            "MAX_IN_FLIGHT is lower in effect: a worker may not open enough files",
            extra={"open_files": limit, "max_in_flight": in_flight},
        )
        self.settings = replace(self.settings, max_in_flight=in_flight)
        self._configuration = replace(self._configuration, settings=self.settings)
        threads = min(cfg.threads, in_flight + SPARE_THREADS)
        cfg.set("threads", threads)
        connections = threads + idle_connections(limit)
        cfg.set("worker_connections", min(cfg.worker_connections, connections))

    def _try_store(self) -> None:
        """Check the store once, in the master: a replacement worker must not end the service."""
        url = self.settings.key_store_url.get_secret_value()
        try:
            refuse_unusable(url, self.settings.store_timeout_seconds)
        except ValueError as wrong:
            sys.stderr.write(f"Settings: KEY_STORE_URL: {wrong}\n")
            raise SystemExit(1) from None

    def _load_code(self) -> None:
        """Import the modules that the settings need, and exempt them from garbage collection."""
        scheme = self.settings.key_store_url.get_secret_value().partition(":")[0]
        of_clients = OF_CLIENTS if self.settings.clients_file else ()
        of_metrics = OF_METRICS if self.settings.metrics_port else ()
        of_paypal = OF_PAYPAL if self.settings.several_gateways else ()
        for name in (*SERVICE, *OF_STORES[scheme], *of_clients, *of_paypal, *of_metrics):
            importlib.import_module(name)
        tracing.state()
        gc.freeze()

    def pre_fork(self, server: Any, worker: Any) -> None:
        """Choose the worker's core, after a pause if the last worker ended soon."""
        worker.checks_keys, self._keys_unchecked = self._keys_unchecked, False
        if getattr(server, "lost_a_young_one", False):
            server.lost_a_young_one = False
            time.sleep(NEXT_WORKER_SECONDS)
        worker.began_at = time.monotonic()
        with optional("the list of cores"):
            self._choose_core(server, worker)

    def _choose_core(self, server: Any, worker: Any) -> None:
        used = Counter(each.core for each in server.WORKERS.values() if hasattr(each, "core"))
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if len(cores) == server.cfg.workers:
            worker.core = min(cores, key=lambda core: used[core])

    def post_fork(self, _: Any, worker: Any) -> None:
        """Give the worker the master's configuration, and a core if there is a worker for each.

        Python runs one thread at a time. On a single core, a thread switch sends no message to
        another core; with hundreds of threads, those messages take a quarter of all CPU time. With
        fewer workers than cores the kernel chooses, as other services may need the same cores.
        """
        wiring.inherited = self._configuration
        if hasattr(worker, "core"):
            with optional("to pin a worker to a core"):
                os.sched_setaffinity(0, {worker.core})

    def post_worker_init(self, worker: Any) -> None:
        """Exempt objects that live as long as the worker from garbage collection.

        The first worker also asks Stripe whether it accepts the keys.
        """
        if worker.checks_keys:
            start_key_check(self._configuration)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)

    def child_exit(self, server: Any, worker: Any) -> None:
        """Keep a worker's counters, and drop its gauges."""
        life = time.monotonic() - getattr(worker, "began_at", 0.0)
        if life < SHORT_LIFE_SECONDS and len(server.WORKERS) < server.num_workers:
            server.lost_a_young_one = True
        if self._counters:
            self._counters.forget(worker.pid)

    def on_exit(self, _: Any) -> None:
        """Remove the in-memory directory."""
        if self._shares_memory:
            shutil.rmtree(shared_directory(), ignore_errors=True)


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Log and pass over what the system refuses (seccomp, a smaller cpuset, a read-only disk)."""
    try:
        yield
    except (OSError, ValueError) as refused:
        logging.getLogger("server").warning(
            "The system refuses %s; the service runs without it", what,
            extra={"reason": str(refused)},
        )  # fmt: skip


def bind_address(settings: Settings) -> str:
    """Return HOST and PORT in gunicorn's notation."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _memory() -> str:
    try:
        return str(shared_directory())
    except OSError as refused:
        _refuse("KEY_STORE_URL: memory:// needs a writable directory", refused)


def _refuse(names: str, wrong: OSError) -> NoReturn:
    sys.stderr.write(f"Settings: {names}: {wrong.strerror}\n")
    raise SystemExit(1) from None


def _survive_invalid_settings(server: Any) -> None:
    """Make `kill -HUP` keep the previous settings if the new ones are invalid, and the address.

    gunicorn's master exits if it cannot read its settings, and its workers follow. It closes the
    old address before it tries a new one, and exits if it cannot listen there.
    """
    read = server.app.reload

    def reload() -> None:
        kept = server.app.cfg
        with suppress(SystemExit):
            read()
            if server.app.cfg.bind != kept.bind:
                server.log.warning("HOST and PORT change at a restart only")
                server.app.cfg.set("bind", kept.bind)
            return
        server.app.cfg = kept
        server.log.error("kill -HUP keeps the previous settings; the line above has the reason")

    server.app.reload = reload


def _restart_as_a_module(server: Any) -> None:
    """Make `kill -USR2` run `python -m gunicorn` if this process was started so.

    gunicorn would run its __main__.py as a file. Python then finds gunicorn's own `http` package
    in place of the standard library's, and the new master cannot start.
    """
    python, program, *arguments = server.START_CTX["args"]
    if program.endswith("__main__.py"):
        server.START_CTX["args"] = [python, "-m", "gunicorn", *arguments]


def _try_address(names: str, host: str, port: int) -> None:
    """Exit with one line if nothing can listen there. SO_REUSEPORT allows a hand-over."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Closed connections of a service that ended a moment ago may still have the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as wrong:
        _refuse(f"{names}: cannot listen there", wrong)


def _restore_signals() -> None:
    """Drop the master's handlers, which would lose signals until the worker has its own."""
    for each in STOPS:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
