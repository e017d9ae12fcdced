"""How the service starts, and how it refuses to: in processes of its own, over real sockets."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from payment_service.cli.commands import main
from tests.support.service_process import free_port

ROOT = Path(__file__).resolve().parents[2]
PATH = "/create-payment-intent"
BODY = b'{"amount": 100, "order_id": "A-1"}'

# A developer's own .env lies beneath it, so that what is wrong must be in the environment.
WRONG = {"STRIPE_SECRET_KEY": "sk_test_abc", "PORT": "hunter2", "LOG_LEVEL": "hunter2"}

# Nothing listens there: a started service asks whether the key is right.
KEY = {"STRIPE_SECRET_KEY": "sk_test_abc", "STRIPE_API_BASE": "http://127.0.0.1:1"}

GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:0"]
COMMAND = ["-m", "flask", "--app", "stripe_back_end_api"]
SERVICE = [*GUNICORN, "stripe_back_end_api:app"]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_the_module_does_nothing() -> None:
    look = (
        "import threading, stripe_back_end_api as api;"
        "assert 'app' not in vars(api);"
        "assert threading.active_count() == 1;"
        "assert callable(api.create_app)"
    )
    done = run("-W", "error", "-c", look, **WRONG)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_name_that_it_does_not_have_is_an_attribute_error() -> None:
    done = run("-c", "import stripe_back_end_api as api; api.application")
    assert "AttributeError: module 'stripe_back_end_api'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["stripe_back_end_api.py"],
        ["-c", "from stripe_back_end_api import app"],
        [*COMMAND, "run", "--port", "0"],
    ],
    ids=["python", "import", "flask run"],
)
def test_wrong_settings_stop_the_start_with_one_line(arguments: list[str]) -> None:
    done = run(*arguments, **WRONG)
    assert done.returncode in (1, 3)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Settings: ")
    assert "PORT: must be an integer from 1 to 65535" in line
    assert "LOG_LEVEL: must be DEBUG, INFO, WARNING or ERROR" in line
    assert "hunter2" not in done.stdout + done.stderr


def test_wrong_settings_stop_gunicorn_without_a_traceback() -> None:
    done = run(*GUNICORN, "stripe_back_end_api:app", **WRONG)
    assert done.returncode != 0
    assert "Settings: PORT: must be" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_clients_file_stops_gunicorn_before_it_listens(tmp_path: Path) -> None:
    wrong = {"STRIPE_SECRET_KEY": "sk_test_abc", "CLIENTS_FILE": str(tmp_path / "none.toml")}
    done = run(*GUNICORN, "stripe_back_end_api:app", **wrong)
    assert done.returncode == 1
    assert done.stderr == "CLIENTS_FILE: cannot be read: No such file or directory\n"


def test_an_empty_setting_of_the_environment_is_not_set() -> None:
    """As Docker passes the lines of .env.example on; gunicorn itself reads WEB_CONCURRENCY."""
    empty = {"WEB_CONCURRENCY": " ", "LOG_LEVEL": "", "METRICS_PORT": ""}
    check = {"STRIPE_SECRET_KEY": "sk_test_abc", "GUNICORN_CMD_ARGS": "--check-config"}
    done = run("stripe_back_end_api.py", **check, **empty)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        SERVICE,
        ["stripe_back_end_api.py"],
        [*COMMAND, "deliver"],
    ],
    ids=["gunicorn", "python", "command"],
)
def test_a_wrong_store_stops_the_start_with_one_line(arguments: list[str]) -> None:
    done = run(*arguments, KEY_STORE_URL="postgresql://u:hunter2@h:notaport/d", **KEY)
    assert done.returncode in (1, 3)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Settings: KEY_STORE_URL: a postgresql URL is postgresql://")
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("options", [["--once"], ["--parked", "--once"]])
def test_deliver_says_that_the_store_is_down(options: list[str]) -> None:
    environ = {"KEY_STORE_URL": f"redis://127.0.0.1:{free_port()}", **KEY}
    shop = {"ORDER_EVENTS_URL": "http://shop.example", "ORDER_EVENTS_SECRET": "whsec_shop"}
    done = run(*COMMAND, "deliver", *options, **environ, **shop)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("\nError: the key store failed (unreachable)\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["copy-store", "--help"], ["new-client", "a"]])
def test_flask_needs_no_settings_to_find_a_command(arguments: list[str]) -> None:
    done = run(*COMMAND, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_flask_offers_the_commands_of_the_console_script() -> None:
    done = run(*COMMAND, "--help")
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert set(main.commands) - {"serve"} <= listed


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])
def test_metrics_that_nobody_could_ask_for_stop_the_start(host: str, tmp_path: Path) -> None:
    done = run(
        *SERVICE, METRICS_HOST=host, METRICS_PORT=str(free_port()), TMPDIR=str(tmp_path), **KEY
    )
    assert done.returncode == 1
    assert "Settings: METRICS_HOST, METRICS_PORT: cannot listen there: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])
def test_a_host_that_is_not_this_machine_stops_the_start_with_one_line(host: str) -> None:
    done = run("-m", "gunicorn", "stripe_back_end_api:app", HOST=host, **KEY)
    assert done.returncode == 1
    assert "Settings: HOST: cannot listen there: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_taken_port_for_metrics_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(*SERVICE, METRICS_PORT=port, TMPDIR=str(tmp_path), **KEY)
    assert done.returncode == 1
    assert "METRICS_PORT: cannot listen there: Address already in use\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_look_at_the_configuration_leaves_nothing_behind(tmp_path: Path) -> None:
    environ = {**KEY, "METRICS_PORT": str(free_port()), "TMPDIR": str(tmp_path)}
    done = run(*SERVICE, "--check-config", **environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a gunicorn that serves the HTTP layer with payments played by hand."""
    process = subprocess.Popen(
        [sys.executable, *GUNICORN, "tests.support.fake_payments:served()"],
        cwd=ROOT,
        env={**os.environ, **KEY, "WEB_CONCURRENCY": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    found = None
    while not found:
        line = process.stderr.readline()
        assert line, "gunicorn did not start"
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
    yield int(found[1])
    process.terminate()
    process.communicate(timeout=30)


def post(port: int, chunks: list[bytes]) -> tuple[int, bytes]:
    """Send a chunked body: nobody says its length beforehand."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", PATH, iter(chunks), headers, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_chunked_body_is_read_over_the_wire(port: int) -> None:
    status, body = post(port, [BODY[:7], BODY[7:]])
    assert status == 200
    assert b"payment_intent_id" in body


@pytest.mark.parametrize("spaces", [64 * 1024, 80 * 1024])
def test_a_chunked_body_that_is_too_large_is_not_cut_off(port: int, spaces: int) -> None:
    """What is behind the limit could be anything: the part before it must not be believed."""
    status, body = post(port, [BODY, b" " * spaces])
    assert status == 413
    assert b'"code":"too_large"' in body


def test_a_body_of_2_mb_is_refused_with_an_answer_that_arrives(port: int) -> None:
    """A server that closes on a sender resets the connection, and the answer is lost with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", PATH, BODY + b" " * 2_000_000, headers)
    refused = connection.getresponse()
    assert (refused.status, refused.getheader("Content-Type")) == (413, "application/json")
    assert b'"code":"too_large"' in refused.read()
    connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 100\r\n\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\n22\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + BODY,
    ],
    ids=["short of its length", "without its last chunk", "no chunk size"],
)
def test_a_body_that_breaks_off_is_not_believed(port: int, head: bytes) -> None:
    start = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(start + head)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"action":"fix_request"' in answer


def test_a_body_without_a_length_is_empty(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", PATH)
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"malformed_json" in answer.read()
    connection.close()


def test_head_has_no_body(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("HEAD", "/nothing")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (404, b"")
    connection.close()


def test_the_service_does_not_import_the_sdk() -> None:
    """The SDK and what it imports would take a third of the start."""
    done = run("-c", "import stripe_back_end_api, sys; print('stripe' in sys.modules)")
    assert done.stdout.strip() == "False"
