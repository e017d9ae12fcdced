"""The system refuses what makes the service faster: it is logged, and the service serves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shop_listener import until

# Python runs a sitecustomize.py of its path in each process, before the service.
REFUSING = """
import errno, importlib, os, tempfile

def refuse(*_, **__):
    raise PermissionError(errno.EPERM, "refused by seccomp")

for dotted in {names!r}:
    module, _, name = dotted.rpartition(".")
    setattr(importlib.import_module(module), name, refuse)

real = tempfile.mkdtemp

def on_disk_only(suffix=None, prefix=None, dir=None):
    if str(dir) == "/dev/shm":
        raise OSError(errno.EROFS, "Read-only file system")
    return real(suffix, prefix, dir)

if {no_memory!r}:
    tempfile.mkdtemp = on_disk_only
"""

CALLS = [
    ("os.sched_setaffinity", "to pin a worker to a core"),
    ("os.sched_getaffinity", "the list of cores"),
    ("resource.setrlimit", "the limit of open files"),
    ("resource.getrlimit", "the limit of open files"),
    ("os.posix_fallocate", "No space left for the metrics"),
    ("fcntl.flock", "No lock on the directory in memory"),
    ("tempfile.mkdtemp in memory", "No directory in memory"),
    ("os.nice", ""),
    ("os.setpriority", ""),
]


def refused(tmp_path: Path, names: list[str], *, no_memory: bool = False) -> dict[str, str]:
    site = tmp_path / "site"
    site.mkdir()
    code = REFUSING.format(names=names, no_memory=no_memory)
    (site / "sitecustomize.py").write_text(code, "utf-8")
    return {
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
        "WEB_CONCURRENCY": str(len(os.sched_getaffinity(0))),
        "METRICS_PORT": str(free_port()),
    }


def serves_and_replaces_a_worker(service: ServiceProcess) -> None:
    count = len(service.workers())
    first = service.create("A-1")
    assert first.status_code == 200
    victim = service.kill_a_worker()
    until(lambda: victim not in service.workers() and len(service.workers()) == count)
    assert service.create("A-1").json() == first.json()


@pytest.mark.parametrize(("name", "said"), CALLS[:6])
def test_refused_call_is_logged_and_passed_over(
    sandbox: SandboxProcess, tmp_path: Path, name: str, said: str
) -> None:
    with ServiceProcess(sandbox.url, refused(tmp_path, [name])) as service:
        serves_and_replaces_a_worker(service)
        assert said in service.log()


def test_all_of_them_together_are_passed_over(sandbox: SandboxProcess, tmp_path: Path) -> None:
    names = [name for name, _ in CALLS if " " not in name]
    environ = refused(tmp_path, names, no_memory=True)
    with ServiceProcess(sandbox.url, {**environ, "TMPDIR": str(tmp_path)}) as service:
        serves_and_replaces_a_worker(service)
        log = service.log()
    assert all(said in log for _, said in CALLS if said and "pin a worker" not in said)


def test_smaller_cpuset_does_not_stop_a_replacement(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """The workers' cores are chosen when they start; the set may have shrunk since."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        pytest.skip("one core cannot shrink")
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": str(cores)}) as service:
        os.sched_setaffinity(service.pid, {min(os.sched_getaffinity(0))})
        serves_and_replaces_a_worker(service)


def test_no_directory_at_all_stops_a_memory_store_with_one_line(tmp_path: Path) -> None:
    """Without a shared directory one worker would not know the orders of another."""
    environ = refused(tmp_path, ["tempfile.mkdtemp"])
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"],
        cwd=ROOT,
        env={**environ, "STRIPE_SECRET_KEY": "sk_test_x", "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "Settings: KEY_STORE_URL: memory:// needs a writable directory" in done.stderr


def test_few_open_files_are_fewer_orders_at_a_time(sandbox: SandboxProcess) -> None:
    """400 orders at once need 1,800 files; a worker that has none left could not accept."""
    limited = ["bash", "-c", 'ulimit -n 256; exec "$@"', "limited"]
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}, started_by=limited) as service:
        workers = service.workers()
        clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(400)]
        for number in range(3):
            assert service.create(f"F-{number}").status_code == 200
        assert service.workers() == workers
        (line,) = (each for each in service.log().splitlines() if "MAX_IN_FLIGHT" in each)
        assert (json.loads(line)["open_files"], json.loads(line)["max_in_flight"]) == (256, 1)
        for each in clients:
            each.close()


def test_reload_fits_the_open_files_again(sandbox: SandboxProcess, tmp_path: Path) -> None:
    limited = ["bash", "-c", 'ulimit -n 512; exec "$@"', "limited"]
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}, started_by=limited) as service:
        (before,) = service.workers()
        os.kill(service.pid, signal.SIGHUP)
        until(lambda: service.workers() not in ([], [before]) and before not in service.workers())
        assert service.create("F-1").status_code == 200
        assert service.log().count("MAX_IN_FLIGHT is lower in effect") == 2
