"""The files of deploy/ for systemd, nginx and platforms, tried with the real programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess, free_port

DEPLOY = ROOT / "deploy"

# A Debian package puts it where only root's PATH leads.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CERTIFICATE = ROOT / "tests" / "support" / "certificates" / "localhost.pem"
ANALYZE = shutil.which("systemd-analyze")

PROCFILE = "web: python stripe_back_end_api.py"


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = sorted((DEPLOY / "systemd").iterdir())
    for unit in units:
        # Executables that exist here.
        text = unit.read_text().replace("/opt/payments/venv/bin/payment-service", sys.executable)
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextmanager
def proxied(service: ServiceProcess, directory: Path) -> Iterator[int]:
    """Run nginx with the site in deploy/, on a free port, in front of the service."""
    port = free_port()
    site = (DEPLOY / "nginx.conf").read_text()
    for ours, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:4242": f"127.0.0.1:{service.port}",
        "/etc/nginx/tls/payments.crt": str(CERTIFICATE),
        "/etc/nginx/tls/payments.key": str(CERTIFICATE),
    }.items():
        assert site.count(ours) == 1
        site = site.replace(ours, here)
    paths = "".join(
        f"{name}_temp_path {directory}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = directory / "nginx.conf"
    conf.write_text(
        f"daemon off; worker_processes 1; pid {directory}/pid; error_log stderr;"
        f"events {{}} http {{ access_log off; {paths}\n{site} }}"
    )
    command = [str(NGINX), "-p", str(directory), "-c", str(conf)]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr.replace('"user" directive', "")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_open(process.pid, port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def wait_until_open(pid: int, port: int) -> None:
    patience = time.monotonic() + 20
    while not listens(psutil.Process(pid), port):
        assert time.monotonic() < patience, "nobody listens"
        time.sleep(0.02)


def listens(process: psutil.Process, port: int) -> bool:
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port
        for each in process.net_connections("inet")
    )


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_order_through_nginx_and_its_limit_by_address(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    limited = {"TRUSTED_PROXIES": "1", "RATE_LIMIT_PER_ADDRESS": "3"}
    with ServiceProcess(sandbox.url, limited) as service, proxied(service, tmp_path) as port:
        url = f"https://localhost:{port}/create-payment-intent"
        answers = [
            requests.post(
                url,
                json={"amount": 1099, "order_id": "A-1"},
                # The caller claims another address each time.
                headers={"X-Forwarded-For": f"192.0.2.{number}"},
                verify=str(CERTIFICATE),
                timeout=30,
            )
            for number in range(5)
        ]
        assert [each.status_code for each in answers] == [200] * 3 + [429] * 2
        assert answers[1].headers["Idempotent-Replayed"] == "true"
        assert sandbox.state().order("A-1").count == 1


def bound_to(service: ServiceProcess) -> set[str]:
    return {
        each.laddr.ip
        for each in psutil.Process(service.pid).net_connections("inet")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == service.port
    }


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, "127.0.0.1"),
        ({"DYNO": "web.1"}, "0.0.0.0"),
        ({"K_SERVICE": "payments"}, "0.0.0.0"),
        ({"DYNO": "web.1", "HOST": "127.0.0.1"}, "127.0.0.1"),
    ],
    ids=["PORT alone", "Heroku", "Cloud Run", "HOST wins"],
)
def test_service_listens_where_the_platform_connects(
    sandbox: SandboxProcess, environ: dict[str, str], address: str
) -> None:
    with ServiceProcess(sandbox.url, {"HOST": None, **environ}) as service:
        assert bound_to(service) == {address}
        assert f'"listens_on": "{address}:{service.port}"' in service.log()


def test_procfile_of_the_page_starts_the_service(sandbox: SandboxProcess) -> None:
    page = (ROOT / "docs" / "deploy" / "paas.md").read_text()
    assert f"    {PROCFILE}\n" in page
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ("sh", "-c", f"exec {PROCFILE.removeprefix('web: ')}")
    environ = {"DYNO": "web.1", "PATH": path, "HOST": None}
    with ServiceProcess(sandbox.url, environ, command=command) as service:
        assert bound_to(service) == {"0.0.0.0"}
        assert service.create("A-1").status_code == 200
