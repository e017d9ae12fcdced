"""The service and the helpers work after a fork: preloading servers, forking scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.key_stores import SERVERS, Place
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.scripted_server import ScriptedServer, say
from tests.support.service_process import ServiceProcess

BODY = json.dumps(
    {"id": "pi_1", "object": "payment_intent", "client_secret": "pi_1_secret_x", "amount": 1}
).encode()
INTENT = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)

# Like `gunicorn --preload` and uWSGI: load, fork, and serve in the children. The parent forks
# several times, to show that a fork leaves the parent unchanged.
LOADED_FIRST = """
import json, os, sys, threading
from stripe_back_end_api import app

def served(order):
    client = app.test_client()
    answer = client.post("/create-payment-intent", json={"amount": 100, "order_id": order})
    loops = [thread.name for thread in threading.enumerate()].count("jobs")
    return [answer.status_code, answer.json.get("payment_intent_id"), loops]

open_before = [name for name in os.listdir(sys.argv[1])] if sys.argv[1] else []
for order in ("A-1", "A-2", "A-1"):
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.write(writes, json.dumps(served(order)).encode())
        os._exit(0)
    os.wait()
    print(os.read(reads, 4096).decode(), flush=True)
print(json.dumps(open_before), flush=True)
os._exit(0)
"""

# A parent with a connection to Stripe, and a child.
SCRIPT_FORKS = """
import os
from stripe_payment import create_payment_intent

assert create_payment_intent(1)
if os.fork() == 0:
    os._exit(0 if create_payment_intent(1) else 1)
assert os.wait()[1] == 0
assert create_payment_intent(1)
"""

# The parent forks while it waits for a slow name server; the child's look-ups are fast.
FORKS_DURING_A_LOOK_UP = """
import os, socket, threading

asked, answered = threading.Event(), threading.Event()
look_up, parent = socket.getaddrinfo, os.getpid()

def slow(*of):
    if os.getpid() == parent:
        asked.set()
        answered.wait(20)
    return look_up(*of)

socket.getaddrinfo = slow
from stripe_payment import create_payment_intent

threading.Thread(target=create_payment_intent, args=(1,)).start()
asked.wait(20)
if os.fork() == 0:
    os._exit(0 if create_payment_intent(1) else 1)
status = os.wait()[1]
answered.set()
assert status == 0
"""


def run(script: str, argument: str = "", **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, argument],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STRIPE_SECRET_KEY": "sk_test_abc",
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("place", ["sqlite", *SERVERS], indirect=True)
def test_preloaded_service_serves_in_every_child(place: Place, sandbox: SandboxProcess) -> None:
    said = run(LOADED_FIRST, **_service(sandbox, place.where)).splitlines()
    first, second, again = (json.loads(line) for line in said[:3])
    assert [first[0], second[0], again[0]] == [200, 200, 200]
    assert first[1] == again[1] != second[1]


def test_background_jobs_run_in_the_children(quick_path: Path, sandbox: SandboxProcess) -> None:
    url = f"sqlite:///{quick_path / 'keys.db'}"
    said = run(LOADED_FIRST, str(quick_path), **_service(sandbox, url)).splitlines()
    # One looks for late PaymentIntents, one lists the orders of an earlier release.
    assert [json.loads(line)[2] for line in said[:3]] == [2, 2, 2]
    # The parent must not open the SQLite file: the children would inherit its locks.
    assert json.loads(said[3]) == []


@pytest.mark.parametrize("script", [SCRIPT_FORKS, FORKS_DURING_A_LOOK_UP])
def test_child_has_its_own_connections_and_look_ups(script: str) -> None:
    with ScriptedServer(say(INTENT)) as stripe:
        run(script, STRIPE_API_BASE=stripe.url)
    assert stripe.connections == 2


@pytest.mark.parametrize(("options", "said"), [({}, "lazy-apps"), ({"lazy-apps": b"true"}, "")])
def test_uwsgi_is_refused_unless_each_worker_loads_the_service(
    options: dict[str, bytes], said: str
) -> None:
    """uWSGI forks in C, without Python's hooks; inside it, there is a module of this name."""
    script = (
        "import sys, types; uwsgi = sys.modules['uwsgi'] = types.ModuleType('uwsgi');"
        f"uwsgi.opt = {options!r};"
        "from payment_service.settings import SettingsError\n"
        "from stripe_back_end_api import create_app\n"
        "try: create_app()\n"
        "except SettingsError as wrong: print(wrong)"
    )
    assert said in run(script)
    assert bool(run(script)) == bool(said)


def test_gunicorn_preload_serves_in_every_worker(sandbox: SandboxProcess, tmp_path: Path) -> None:
    environ = {
        "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db",
        "GUNICORN_CMD_ARGS": "--preload",
    }
    with ServiceProcess(sandbox.url, environ) as service:
        answers = [service.create(f"A-{number}") for number in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    assert sandbox.state().payable == 12


def _service(sandbox: SandboxProcess, url: str) -> dict[str, Any]:
    return {
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_API_BASE": sandbox.url,
        "KEY_STORE_URL": url,
        "LOG_LEVEL": "ERROR",
    }
