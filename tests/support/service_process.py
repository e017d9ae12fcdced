"""The service as its users run it: gunicorn and its workers, to be asked, killed and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
from requests import Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from payment_service.key_store.shared_directory import PREFIX
from tests.support.ports import free_port as free_port
from tests.support.sandbox_process import PUBLISHABLE_KEY, ROOT, SECRET_KEY, WEBHOOK_SECRET

START_SECONDS = 20.0

COMMAND = (sys.executable, "-m", "gunicorn", "stripe_back_end_api:app")


class ServiceProcess:
    """One service on a port of its own, from `start` to `close`; a context manager does both.

    `environ` adds to, or (with None) takes away from, what a service in front of the sandbox at
    `api_base` needs. Nothing of the caller's own STRIPE_ settings reaches it.
    """

    def __init__(
        self,
        api_base: str,
        environ: Mapping[str, str | None] | None = None,
        root: Path = ROOT,
        started_by: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
        inherits: Sequence[int] = (),
    ) -> None:
        """`root` is its working directory; `started_by` is a command that becomes `command`.

        `inherits` are the file descriptors that it gets from this process.
        """
        self._command = [*started_by, *command]
        self._root, self._inherits = root, tuple(inherits)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = self._settings(api_base, environ or {})
        self._all_workers = int(self._environ["WEB_CONCURRENCY"])
        self._directory = tempfile.TemporaryDirectory(prefix="service-")
        self._log = Path(self._directory.name) / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._session = Session()
        self._session.mount("http://", HTTPAdapter(pool_maxsize=100))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it answers and every worker is there."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._root,
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._inherits,
            )
        self._wait_until_it_answers()
        return self

    def close(self) -> str:
        """End it with SIGTERM; gives its log."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None
        self._session.close()
        text = self.log()
        self._directory.cleanup()
        return text

    def listen_on(self, port: int) -> None:
        """Take another port than the free one, before `start`."""
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self._environ["PORT"] = str(port)

    def close_the_master(self) -> None:
        """End the master that `start` started with SIGTERM; another may hold its port."""
        assert self._process
        self._process.terminate()
        self._process.wait(timeout=60)
        self._process = None

    def kill(self) -> None:
        """kill -9 for the master and all that it started, at once.

        One after the other would not do: a master that is left for a moment starts a new worker,
        which then holds the port.
        """
        assert self._process
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None

    def kill_the_master(self) -> list[int]:
        """kill -9 for the master alone; gives its workers."""
        assert self._process
        workers = self.workers()
        _kill(self._process.pid)
        self._process.wait(timeout=10)
        self._process = None
        return workers

    def kill_a_worker(self, which: int = 0) -> int:
        """kill -9 for one worker; gunicorn starts another."""
        victim = self.workers()[which]
        _kill(victim)
        return victim

    @property
    def pid(self) -> int:
        """The master's process id."""
        assert self._process
        return self._process.pid

    def workers(self) -> list[int]:
        """The worker processes, oldest first."""
        assert self._process
        children = psutil.Process(self._process.pid).children()
        return [child.pid for child in sorted(children, key=lambda child: child.create_time())]

    def memory_directory(self) -> Path:
        """The directory in memory that its workers share: the master holds its lock open."""
        assert self._process
        opened = [Path(file.path) for file in psutil.Process(self._process.pid).open_files()]
        (lock,) = [path for path in opened if path.parent.name.startswith(PREFIX)]
        return lock.parent

    def log(self) -> str:
        """All that it wrote so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def create(self, order_id: str | int, amount: int = 1099, **fields: Any) -> Response:
        """Ask for an order's PaymentIntent, once."""
        return self.post(
            "/create-payment-intent", {"amount": amount, "order_id": order_id, **fields}
        )

    def command(self, *arguments: str) -> str:
        """Run a command that must succeed; gives what it printed."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `flask --app stripe_back_end_api …` with the settings of the service."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "stripe_back_end_api", *arguments],
            cwd=self._root,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def post(self, path: str, body: Any, timeout: float = 60, **headers: str) -> Response:
        """Post JSON, once."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self._session.post(self.url + path, json=body, headers=named, timeout=timeout)

    def get(self, path: str, timeout: float = 10, **params: str) -> Response:
        """Get, once."""
        return self._session.get(self.url + path, params=params, timeout=timeout)

    def _settings(self, api_base: str, more: Mapping[str, str | None]) -> dict[str, str]:
        ours = {
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": api_base,
            "WEB_CONCURRENCY": "2",
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("STRIPE_")}
        return {k: v for k, v in {**kept, **ours, **more}.items() if v is not None}

    def _wait_until_it_answers(self) -> None:
        assert self._process
        patience = time.monotonic() + START_SECONDS
        while time.monotonic() < patience:
            if self._process.poll() is not None:
                raise RuntimeError(f"the service ended: {self.log()}")
            try:
                answer = self._session.get(f"{self.url}/healthz", timeout=2)
                if answer.status_code == 200 and len(self.workers()) == self._all_workers:
                    return
            except RequestException:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"the service did not start: {self.log()}")


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
