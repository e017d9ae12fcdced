"""`make run`: the reasons it gives if something fails, and the commands of another terminal."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from dotenv import dotenv_values

from tests.service.test_make_run import OWN_KEY, Launched, launched
from tests.support.sandbox_process import ROOT
from tests.support.service_process import free_port
from tests.support.shop import clients_file

BLANK = dict.fromkeys(dotenv_values(ROOT / ".env.example"), "")


def failure(**environ: str) -> str:
    """Return the error output of a `make run` that fails before it greets."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.run", "--sandbox-port", str(free_port())],
        cwd=ROOT,
        env={**os.environ, "STRIPE_SECRET_KEY": "", "PORT": str(free_port()), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a flask command as another terminal would, without the settings of `make run`."""
    ours = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "stripe_back_end_api", *arguments],
        cwd=ROOT,
        env={**ours, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def create(run: Launched) -> str:
    """Paste the curl line, and return the PaymentIntent's id."""
    pasted = run.curl().replace("curl -i", "curl -s")
    done = subprocess.run(pasted, shell=True, capture_output=True, text=True, check=True)
    found: str = json.loads(done.stdout)["payment_intent_id"]
    return found


@pytest.mark.parametrize("key", [{}, OWN_KEY], ids=["sandbox", "own key"])
def test_taken_port_is_named_and_nothing_is_greeted(key: dict[str, str]) -> None:
    """The other program could answer the health check in the service's place."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failure(PORT=str(port), **key)
    assert said == (
        f"The service cannot listen on 127.0.0.1, port {port}: Address already in use. "
        f"Stop the program that does, or try PORT={port + 1}.\n"
    )


@pytest.mark.parametrize("key", [{}, OWN_KEY], ids=["sandbox", "own key"])
def test_service_that_cannot_start_is_named_below_its_reason(key: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = failure(METRICS_PORT=str(taken.getsockname()[1]), **key)
    *_, why, last = said.splitlines()
    assert (
        why == "Settings: METRICS_HOST, METRICS_PORT: cannot listen there: Address already in use"
    )
    assert last == "The service did not start (exit code 1); its own lines are above."


def test_key_store_that_is_down_is_named_instead_of_a_greeting() -> None:
    said = failure(KEY_STORE_URL=f"redis://127.0.0.1:{free_port()}")
    assert said.splitlines()[-1].startswith("The service is not ready: ")
    assert "key store" in said.splitlines()[-1]


def test_unsafe_live_settings_are_named_before_anything_starts() -> None:
    said = failure(STRIPE_SECRET_KEY="sk_live_x")
    assert said.startswith("Settings: a live STRIPE_SECRET_KEY with open access")
    assert said.count("\n") == 1


def test_dead_sandbox_is_named() -> None:
    with launched(free_port(), stderr=subprocess.PIPE) as run:
        run.curl()
        next(each for each in run.family() if "sandbox" in each.cmdline()).kill()
        assert run.process.wait(30) == 1
        assert run.process.stderr
        *_, last = run.process.stderr.read().splitlines()
    assert last.startswith("The sandbox ended, and all that it works with is stopped (signal 9)")


def test_blank_settings_count_as_absent() -> None:
    blank = {name: text for name, text in BLANK.items() if name != "PORT"}
    with launched(free_port(), **blank) as run:
        assert "no money moves" in run.curl() + run.said
        # Only served if DEMO_STAGE_URL is set.
        assert requests.get(f"http://127.0.0.1:{run.port}/demo/faults", timeout=10).ok


@pytest.mark.parametrize("key", [{}, OWN_KEY], ids=["sandbox", "own key"])
def test_unedited_example_starts(key: dict[str, str], tmp_path: Path) -> None:
    """As after `cp .env.example .env`, in a copy of what `make run` needs."""
    for name in ("dev", "payment_service", "sandbox"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("gunicorn.conf.py", "stripe_back_end_api.py", "stripe_payment.py"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copy(ROOT / ".env.example", tmp_path)
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    with launched(free_port(), root=tmp_path, **key) as run:
        assert run.curl()
        # The copied GATEWAYS=stripe does not take the second gateway from the demo.
        assert ("plays PayPal" in run.said) == (not key)


def test_clients_file_is_explained_in_the_greeting(tmp_path: Path) -> None:
    with launched(free_port(), CLIENTS_FILE=str(clients_file(tmp_path)), **OWN_KEY) as run:
        assert "-H 'Authorization: Bearer API_KEY'" in run.curl()
        assert "docs/clients.md" in run.said


def test_commands_work_on_the_orders_of_the_running_service() -> None:
    with launched(free_port()) as run:
        made = create(run)
        shown = command("orders", "show", "A-1")
        assert json.loads(shown.stdout)["payment_intent_id"] == made
        reconciled = command("reconcile", "--json")
        assert (reconciled.returncode, json.loads(reconciled.stdout)["checked"]) == (0, 1)
    gone = command("orders", "show", "A-1")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.startswith("Settings: STRIPE_SECRET_KEY is not set: ")


def test_commands_do_not_confuse_two_services() -> None:
    with launched(free_port()) as one, launched(free_port()) as two:
        first, second = create(one), create(two)
        assert first != second
        for run, made in ((one, first), (two, second)):
            shown = command("orders", "show", "A-1", PORT=str(run.port))
            assert json.loads(shown.stdout)["payment_intent_id"] == made
        unclear = command("orders", "show", "A-1")
        assert unclear.returncode == 1
        assert f"{min(one.port, two.port)}" in unclear.stderr
        assert unclear.stderr.endswith(": set PORT to one\n")


def test_commands_do_not_find_a_killed_service() -> None:
    with launched(free_port()) as run:
        run.curl()
        family = run.family()
        run.process.kill()
        assert run.process.wait(30)
        for each in family[1:]:
            each.terminate()
        gone = command("orders", "show", "A-1")
    assert gone.stderr.startswith("Settings: STRIPE_SECRET_KEY is not set: ")


def test_command_with_an_own_key_finds_the_service_that_has_it() -> None:
    with launched(free_port(), **OWN_KEY) as run:
        run.curl()
        same = command("orders", "list", "--unknown", **OWN_KEY)
        assert (same.returncode, same.stderr) == (0, "")
        missing = command("orders", "list", "--unknown")
        assert "STRIPE_SECRET_KEY must be the same as for `make run`" in missing.stderr
        other = command("orders", "list", "--unknown", STRIPE_SECRET_KEY="sk_test_other")
        assert "KEY_STORE_URL is memory://" in other.stderr


@pytest.mark.parametrize(
    "words",
    [
        "",
        "orders",
        "orders show",
        "orders list",
        "reconcile",
        "deliver",
        "copy-store",
        "new-client",
        "new-operator",
    ],
)
@pytest.mark.parametrize("settings", [{}, {"PORT": "hunter2"}], ids=["none", "wrong"])
def test_help_needs_no_settings(words: str, settings: dict[str, str]) -> None:
    done = command(*words.split(), "--help", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
