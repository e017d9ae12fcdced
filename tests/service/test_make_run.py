"""`make run`: the processes it starts, its output, and a clean end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import free_port
from tests.support.shop import API_KEYS, bearer, clients_file

# A key of one's own; nothing listens at the address, so no test asks Stripe.
OWN_KEY = {"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_API_BASE": "http://127.0.0.1:1"}


class Launched:
    """One run of the command; `said` is its standard output so far."""

    def __init__(
        self,
        sandbox_port: int,
        root: Path = ROOT,
        stderr: int | None = None,
        **environ: str,
    ) -> None:
        self.port = free_port()
        settings = {"PORT": str(self.port), "WEB_CONCURRENCY": "1", "STRIPE_SECRET_KEY": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.run", "--sandbox-port", str(sandbox_port)],
            cwd=root,
            env={**os.environ, **settings, **environ},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.said = ""

    def curl(self) -> str:
        """Wait for the curl line that users paste."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line
            if line.startswith("curl "):
                return line
        raise AssertionError(f"no curl line: {self.said}")

    def family(self) -> list[psutil.Process]:
        """Return its process and all descendants."""
        ours = psutil.Process(self.process.pid)
        return [ours, *ours.children(recursive=True)]


@contextmanager
def launched(sandbox_port: int, **given: Any) -> Iterator[Launched]:
    run = Launched(sandbox_port, **given)
    try:
        yield run
    finally:
        run.process.terminate()
        run.process.communicate(timeout=30)


def test_curl_line_works_when_pasted() -> None:
    with launched(free_port()) as run:
        curl = run.curl()
        first, again = (
            subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout
            for _ in range(2)
        )
    assert "no money moves" in run.said
    assert "sk_" not in run.said
    found = re.search(r'"payment_intent_id":"(pi_\w+)","client_secret":"pi_', first)
    assert found
    assert found[1] in again
    assert "Idempotent-Replayed: true" in again


def test_clients_file_is_greeted_with_a_line_that_works(tmp_path: Path) -> None:
    """The page and the line use a client of the sandbox's own. Others learn what to send."""
    with launched(free_port(), CLIENTS_FILE=str(clients_file(tmp_path))) as run:
        curl = run.curl()
        done = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
        url = f"http://127.0.0.1:{run.port}"
        page = requests.get(url, timeout=10).text
        found = re.search(r'data-authorization="(Bearer api_\w+)"', page)
        assert found
        order = {"order_id": "A-2", "amount": 1099}
        headers = {"Authorization": found[1]}
        path = f"{url}/create-payment-intent"
        assert requests.post(path, json=order, headers=headers, timeout=10).status_code == 200
        refused = requests.post(path, json=order, timeout=10)
        own = bearer(API_KEYS["shop-a"])
        assert requests.post(path, json=order, headers=own, timeout=10).status_code == 200
    assert "HTTP/1.1 200 OK" in done.stdout
    assert "CLIENTS_FILE is set, so each request needs an order token" in run.said
    assert refused.status_code == 401
    sentence = refused.json()["error"]
    assert all(each in sentence for each in ("Authorization: Bearer", "token", "docs/clients.md"))


def test_without_a_clients_file_the_page_sends_no_key() -> None:
    with launched(free_port()) as run:
        run.curl()
        page = requests.get(f"http://127.0.0.1:{run.port}", timeout=10).text
    assert 'data-authorization=""' in page
    assert "Authorization" not in run.said


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_every_process(name: signal.Signals) -> None:
    with launched(free_port()) as run:
        run.curl()
        family = run.family()
        assert len(family) >= 4
        run.process.send_signal(name)
        assert run.process.wait(30) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []


def test_failed_service_start_ends_every_process() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port, run_id = str(taken.getsockname()[1]), uuid.uuid4().hex
    with taken, launched(free_port(), PORT=port, TEST_RUN=run_id) as run:
        assert run.process.wait(30) == 1
    left = [each for each in psutil.process_iter(["environ"]) if _is_of(each, run_id)]
    assert left == []


def test_death_of_the_sandbox_ends_every_process() -> None:
    with launched(free_port()) as run:
        run.curl()
        family = run.family()
        next(each for each in family if "sandbox" in each.cmdline()).kill()
        assert run.process.wait(30) != 0
        assert psutil.wait_procs(family, timeout=5)[1] == []


def test_running_sandbox_is_reused() -> None:
    with SandboxProcess() as sandbox:
        with launched(int(sandbox.url.rpartition(":")[2])) as run:
            subprocess.run(run.curl(), shell=True, capture_output=True, check=True)
            assert sandbox.state().order("A-1").count == 1
            assert sandbox.webhooks()["url"] == f"http://127.0.0.1:{run.port}/webhook"
        assert sandbox.state().order("A-1").count == 1


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"PORT": "hunter2"}, "Settings: PORT: must be an integer from 1 to 65535"),
        ({"STRIPE_SECRET_KEY": "hunter2"}, "Settings: STRIPE_SECRET_KEY: must be a complete key"),
    ],
)
def test_wrong_settings_give_one_line(environ: dict[str, str], line: str) -> None:
    done = _fails(free_port(), **environ)
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_taken_port_gives_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = _fails(other.getsockname()[1])
    assert done.stderr.startswith("Port ")
    assert done.stderr.count("\n") == 1


def test_real_key_starts_no_sandbox() -> None:
    with launched(free_port(), **OWN_KEY) as run:
        curl = run.curl()
        assert f"curl -i http://127.0.0.1:{run.port}/create-payment-intent" in curl
        assert not any("sandbox" in each.cmdline() for each in run.family())
        run.process.terminate()
        run.process.communicate(timeout=30)
    assert run.process.returncode == 0
    assert run.said.startswith(f"The service runs on http://127.0.0.1:{run.port} with your Stripe")
    assert "sk_test" not in run.said


def _fails(sandbox_port: int, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dev.run", "--sandbox-port", str(sandbox_port)],
        cwd=ROOT,
        env={**os.environ, "STRIPE_SECRET_KEY": "", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done


def _is_of(process: psutil.Process, run_id: str) -> bool:
    environ = process.info["environ"] or {}
    return bool(environ.get("TEST_RUN") == run_id)


def test_an_empty_worker_count_counts_as_absent() -> None:
    with launched(free_port(), **OWN_KEY, WEB_CONCURRENCY="") as run:
        run.curl()
