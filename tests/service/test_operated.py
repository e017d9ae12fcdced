"""The service as it is operated: metrics of all workers, slow senders, stops and restarts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shop import API_KEYS, SECRETS, bearer, clients_file

ORDERS = 30


def exported(port: int) -> str:
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_metrics_are_those_of_every_worker_and_outlive_one(sandbox: SandboxProcess) -> None:
    port = free_port()
    with ServiceProcess(sandbox.url, {"METRICS_PORT": str(port)}) as service:
        text = exported(port)
        for what in ("two_taken", "stray_paid", "stray_left", "event_parked"):
            assert f'payments_order_happenings_total{{what="{what}"}} 0.0' in text
        assert 'payments_requests_total{route="/webhook",status="503"} 0.0' in text
        for number in range(ORDERS):
            assert service.create(f"A-{number}").status_code == 200
        service.create("A-0")
        route = 'payments_requests_total{route="/create-payment-intent",status="200"}'
        assert value(exported(port), route) == ORDERS + 1
        victim = service.kill_a_worker()
        _until(lambda: victim not in service.workers() and len(service.workers()) == 2)
        text = exported(port)
    assert value(text, route) == ORDERS + 1
    assert value(text, 'payments_order_happenings_total{what="replayed"}') == 1
    sends = 'payments_stripe_sends_total{operation="POST /v1/payment_intents",outcome="ok"}'
    assert value(text, sends) == ORDERS
    assert value(text, 'payments_store_seconds_count{operation="claim"}') >= ORDERS
    assert value(text, "payments_unknown_orders") == 0
    with pytest.raises(requests.ConnectionError):
        exported(port)


def test_the_metrics_are_there_again_after_a_master_s_death(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """A worker that is left over does not keep the port from the next master's workers."""
    port = free_port()
    environ = {"METRICS_PORT": str(port), "TMPDIR": str(tmp_path)}
    with ServiceProcess(sandbox.url, environ) as service:
        service.kill_the_master()
        service.start()
        _until(lambda: value(exported(port), HEALTHZ) >= 1)


def test_a_command_beside_the_service_leaves_the_metrics_port_alone(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """A service that starts while reconcile runs would not get its port."""
    port = free_port()
    environ = {"METRICS_PORT": str(port), "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db"}
    service = ServiceProcess(sandbox.url, environ)
    with service:
        ran = service.run("reconcile", "--json")
        assert "METRICS_PORT" not in ran.stderr
        assert json.loads(ran.stderr.splitlines()[-1])["event"] == "reconciled"


def test_one_worker_samples_the_store_and_another_follows_it(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    counts, port = tmp_path / "counts", free_port()
    counts.mkdir()
    environ = {"METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(counts)}
    with ServiceProcess(sandbox.url, environ) as service:
        _until(lambda: len(list(counts.glob("gauge_*"))) == 2)
        _until(lambda: "\npayments_unknown_orders 0.0" in exported(port))
        samplers = [pid for pid in service.workers() if _has_locked(pid, counts / "sampler")]
        assert len(samplers) == 1


def _has_locked(pid: int, file: Path) -> bool:
    locks = Path("/proc/locks").read_text()
    return any(
        f" {pid} " in line and f":{file.stat().st_ino} " in line for line in locks.splitlines()
    )


def test_no_secret_is_in_the_metrics(sandbox: SandboxProcess, tmp_path: Path) -> None:
    port = free_port()
    clients = clients_file(tmp_path)
    environ = {"CLIENTS_FILE": str(clients), "METRICS_PORT": str(port), "LOG_LEVEL": "DEBUG"}
    with ServiceProcess(sandbox.url, environ) as service:
        key = API_KEYS["shop-a"]
        for proof in (key, "api_of_nobody", "eyJ.of.nobody"):
            body = {"order_id": "order-of-somebody", "amount": 1099}
            answer = service.post(
                "/create-payment-intent", body, Authorization=bearer(proof)["Authorization"]
            )
            client_secret = answer.json().get("client_secret", "_secret_")
            service.get(f"/{key}", order_id=client_secret)
        text = exported(port)
    assert "payments_requests_total" in text
    secrets = ("sk_test", "whsec", "_secret_", "eyJ", "api_of_nobody", "order-of-somebody")
    for secret in (*secrets, *API_KEYS.values(), *SECRETS.values()):
        assert secret not in text


def test_no_secret_is_in_the_process_list(sandbox: SandboxProcess, tmp_path: Path) -> None:
    environ = {"CLIENTS_FILE": str(clients_file(tmp_path)), "METRICS_PORT": str(free_port())}
    with ServiceProcess(sandbox.url, environ) as service:
        family = psutil.Process(_master(service))
        processes = [family, *family.children()]
        lines = [" ".join(process.cmdline()) for process in processes]
        proof = bearer(API_KEYS["shop-a"])["Authorization"]
        body = {"order_id": "A-1", "amount": 1099}
        answer = service.post("/create-payment-intent", body, Authorization=proof)
        assert answer.status_code == 200
    assert len(lines) == 3
    for line in lines:
        for secret in ("sk_test", "whsec", *API_KEYS.values(), *SECRETS.values()):
            assert secret not in line


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_client_that_dribbles_is_dropped(sandbox: SandboxProcess, part: str) -> None:
    head = "POST /create-payment-intent HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    begun = head if part == "head" else f"{head}Content-Length: 1000\r\n\r\n"
    with (
        ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        client.sendall(begun.encode())
        started = time.monotonic()
        answer = b""
        client.settimeout(0.5)
        while time.monotonic() - started < 20:
            try:
                client.sendall(b"x")
                answer += client.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            break
        assert time.monotonic() - started < 15
        assert b" 200 " not in answer


def _until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.02)


class Load:
    """Clients that ask for new orders one after the other, without ever asking twice."""

    def __init__(self, urls: list[str], clients: int = 8) -> None:
        self._urls, self._stop = urls, threading.Event()
        self.answers: list[int | str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]

    def _run(self, number: int) -> None:
        session = requests.Session()
        count = 0
        while not self._stop.is_set():
            count += 1
            body = {"order_id": f"load-{number}-{count}", "amount": 1099}
            url = f"{self._urls[0]}/create-payment-intent"
            try:
                self.answers.append(session.post(url, json=body, timeout=30).status_code)
            except requests.RequestException as lost:
                self.answers.append(repr(lost))

    def __enter__(self) -> list[int | str]:
        for thread in self._threads:
            thread.start()
        return self.answers

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_reload_under_load_loses_no_request(sandbox: SandboxProcess) -> None:
    """`kill -HUP` twice while eight clients ask: every single request is answered 200."""
    with ServiceProcess(sandbox.url) as service, Load([service.url]) as answers:
        for _ in range(2):
            _more(answers)
            _replace_the_workers(service)
        _more(answers)
    _all_were_created(answers, sandbox, "kill -HUP")


def test_new_code_by_usr2_under_load_loses_no_request(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """The new master listens on the same socket; SIGTERM then ends the old one."""
    code = _copy_of_the_code(tmp_path)
    environ = {"KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db", "METRICS_PORT": str(free_port())}
    with ServiceProcess(sandbox.url, environ, code) as service:
        with Load([service.url]) as answers:
            _more(answers)
            _change(code / "stripe_back_end_api.py", 'status="ok"', 'status="new"')
            old = service.pid
            os.kill(old, signal.SIGUSR2)
            _until(lambda: _new_master(old) is not None, 30)
            new = _new_master(old)
            assert new
            _until(lambda: len(new.children()) == 2, 30)
            _workers_are_ready(new)
            _more(answers)
            service.close_the_master()
            _more(answers)
            assert service.get("/healthz").json() == {"status": "new"}
            assert value(exported(int(environ["METRICS_PORT"])), HEALTHZ) >= 1
        new.terminate()
        new.wait(60)
    _all_were_created(answers, sandbox, "kill -USR2")


# Does the work of systemd's socket units: the service inherits the socket as descriptor 3.
SOCKET_UNIT = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_restart_of_a_socket_activated_service_loses_no_request(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """Connections wait in systemd's socket while no service runs."""
    environ = {"KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db"}
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        fd = listener.fileno()
        unit = (sys.executable, "-c", SOCKET_UNIT, str(fd))
        service = ServiceProcess(sandbox.url, environ, started_by=unit, inherits=(fd,))
        service.listen_on(listener.getsockname()[1])
        with service, Load([service.url]) as answers:
            for _ in range(2):
                _more(answers)
                service.close_the_master()
                service.start()
            _more(answers)
    _all_were_created(answers, sandbox, "socket activation")


def _new_master(old: int) -> psutil.Process | None:
    """The child of the old master that has started workers."""
    with suppress(psutil.Error):
        return next((each for each in psutil.Process(old).children() if each.children()), None)
    return None


def _workers_are_ready(master: psutil.Process) -> None:
    _until(lambda: all(each.num_threads() > 1 for each in master.children()), 30)


def _all_were_created(answers: list[int | str], sandbox: SandboxProcess, how: str) -> None:
    failed = [answer for answer in answers if answer != 200]
    print(f"{how}: {len(failed)} failed of {len(answers)}")
    assert failed == []
    assert sandbox.state().payable == len(answers)


def test_sigterm_ends_a_service_whose_last_worker_was_forked_this_moment(
    sandbox: SandboxProcess,
) -> None:
    for _ in range(5):
        with ServiceProcess(sandbox.url) as service:
            started = time.monotonic()
            service.close()
            assert time.monotonic() - started < 15


def test_the_master_has_one_thread_to_fork_from(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Another's lock would stay locked in the worker for ever."""
    environ = {"CLIENTS_FILE": str(clients_file(tmp_path)), "METRICS_PORT": str(free_port())}
    with ServiceProcess(sandbox.url, environ) as service:
        assert psutil.Process(_master(service)).num_threads() == 1


def test_a_reload_by_signal_reads_the_settings_and_keeps_what_workers_share(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    code, port = _copy_of_the_code(tmp_path), free_port()
    with ServiceProcess(sandbox.url, {"METRICS_PORT": str(port)}, code) as service:
        memory = service.memory_directory()
        service.create("A-1")
        service.get("/healthz")
        (code / ".env").write_text("CORS_ORIGINS=https://shop.example\n", "utf-8")
        _replace_the_workers(service)
        origin = "Access-Control-Allow-Origin"
        answer = service.post("/create-payment-intent", ORDER, Origin="https://shop.example")
        assert answer.headers[origin] == "https://shop.example"
        assert service.get("/payment-intent", order_id="A-1").status_code == 200
        assert service.memory_directory() == memory
        assert value(exported(port), HEALTHZ) >= 2
        lines = service.log().splitlines()
        assert len(lines) == len(set(lines))


def test_a_reload_by_signal_loads_the_modules_of_one_version_only(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """New code comes by a restart: half of it, from a reload, would not fit the other half."""
    code = _copy_of_the_code(tmp_path)
    with ServiceProcess(sandbox.url, {}, code) as service:
        _change(code / "stripe_back_end_api.py", 'status="ok"', 'status="new"')
        _replace_the_workers(service)
        assert service.get("/healthz").json() == {"status": "ok"}
    with ServiceProcess(sandbox.url, {}, code) as service:
        assert service.get("/healthz").json() == {"status": "new"}


def test_a_reload_into_wrong_settings_keeps_the_present_ones(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """gunicorn's master would exit, and its workers with it."""
    code, clients = _copy_of_the_code(tmp_path), clients_file(tmp_path)
    with ServiceProcess(sandbox.url, {"CLIENTS_FILE": str(clients)}, code) as service:
        wrong = [
            (clients, "[clients.shop-a", "is not TOML"),
            (code / ".env", "LOG_LEVEL=loud", "LOG_LEVEL: must be"),
            (code / ".env", "an end in mid-wor", ".env: line 1 cannot be read"),
            (code / "gunicorn.conf.py", "import nothing_of_that_name", "nothing_of_that_name"),
        ]
        for number, (file, text, complaint) in enumerate(wrong, 1):
            kept = file.read_bytes() if file.exists() else b""
            file.write_text(text, "utf-8")
            _replace_the_workers(service)
            log = service.log()
            assert complaint in log
            assert log.count("kill -HUP keeps the previous settings") == number
            assert _answers_to_shop_a(service) == 200
            file.write_bytes(kept)
        _replace_the_workers(service)
        assert _answers_to_shop_a(service) == 200
        assert service.log().count("kill -HUP keeps the previous settings") == len(wrong)


def test_a_reload_keeps_the_address(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """gunicorn closes the old address first, and exits if it cannot listen on the new one."""
    code = _copy_of_the_code(tmp_path)
    (code / ".env").write_text("HOST=127.0.0.1\n", "utf-8")
    with ServiceProcess(sandbox.url, {}, code) as service:
        (code / ".env").write_text("HOST=192.0.2.1\n", "utf-8")
        _replace_the_workers(service)
        _until(lambda: len(service.workers()) == 2)
        assert "HOST and PORT change at a restart only" in service.log()
        # Longer than a worker takes to see that its master is gone.
        _until(lambda: all(psutil.Process(each).num_threads() > 1 for each in service.workers()))
        assert service.kill_a_worker()
        _until(lambda: len(service.workers()) == 2)
        assert service.get("/healthz").status_code == 200


def test_a_replaced_worker_has_the_settings_of_the_others(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """It inherits what the master read, whatever has been written into the files since."""
    code, clients = _copy_of_the_code(tmp_path), clients_file(tmp_path)
    with ServiceProcess(sandbox.url, {"CLIENTS_FILE": str(clients)}, code) as service:
        clients.write_text("[clients.shop-a")
        (code / ".env").write_text("an end in mid-wor", "utf-8")
        for _ in range(2):
            victim = service.kill_a_worker()
            _until(lambda: victim not in service.workers() and len(service.workers()) == 2)  # noqa: B023
        _workers_that_have_read_all(service)
        assert {_answers_to_shop_a(service) for _ in range(8)} == {200}


def _answers_to_shop_a(service: ServiceProcess) -> int:
    proof = bearer(API_KEYS["shop-a"])["Authorization"]
    answer = service.post("/create-payment-intent", ORDER, Authorization=proof)
    return answer.status_code


def _workers_that_have_read_all(service: ServiceProcess) -> list[int]:
    """A worker starts threads only once it is put together; the first one answers before that."""

    def have_read_all() -> bool:
        with suppress(psutil.NoSuchProcess):
            return all(psutil.Process(each).num_threads() > 1 for each in service.workers())
        return False

    _until(have_read_all)
    return service.workers()


ORDER = {"order_id": "A-2", "amount": 1099}

HEALTHZ = 'payments_requests_total{route="/healthz",status="200"}'


def _copy_of_the_code(directory: Path) -> Path:
    beside = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs", "__pycache__")
    return Path(shutil.copytree(ROOT, directory / "code", ignore=beside))


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def _more(answers: list[int | str], count: int = 40) -> None:
    begun = len(answers)
    _until(lambda: len(answers) >= begun + count)


def _replace_the_workers(service: ServiceProcess) -> None:
    before = set(service.workers())
    os.kill(_master(service), signal.SIGHUP)

    def are_replaced() -> bool:
        now = set(service.workers())
        return not before & now and len(now) == len(before)

    _until(are_replaced, seconds=40)


def _master(service: ServiceProcess) -> int:
    parent = psutil.Process(service.workers()[0]).parent()
    assert parent
    return parent.pid


def test_sigterm_answers_what_is_in_flight_and_takes_no_more(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "slow", "seconds": 3, "count": None, "match": {"order_id": "slow-"}}])
    with ServiceProcess(sandbox.url) as service, ThreadPoolExecutor(6) as threads:
        slow = [threads.submit(service.create, f"slow-{number}") for number in range(6)]
        _until(lambda: len(sandbox.requests()) >= 6)
        started = time.monotonic()
        service.close()
        seconds = time.monotonic() - started
        assert [answer.result().status_code for answer in slow] == [200] * 6
    assert seconds < 10
    assert sandbox.state().payable == 6


def test_sigterm_refuses_who_comes_later_at_once(sandbox: SandboxProcess) -> None:
    """A proxy asks another server then; a connection that is taken and dropped fails for it."""
    sandbox.faults([{"kind": "slow", "seconds": 3, "count": None, "match": {"order_id": "slow-"}}])
    with ServiceProcess(sandbox.url) as service, ThreadPoolExecutor(6) as threads:
        slow = [threads.submit(service.create, f"slow-{number}") for number in range(6)]
        _until(lambda: sandbox.fired().get("slow", 0) >= 6)
        os.kill(_master(service), signal.SIGTERM)
        _until(lambda: not _is_taken(service.port))
        assert not any(answer.done() for answer in slow)
        assert [answer.result().status_code for answer in slow] == [200] * 6


def _is_taken(port: int) -> bool:
    """Whether a connection is."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
