"""A blank setting counts as absent, however the service or a command is started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from dotenv import dotenv_values

from tests.support.sandbox_process import ROOT
from tests.support.service_process import free_port

# As `docker --env-file .env.example` passes the unedited lines on, with all their defaults blank.
NAMES = sorted(dotenv_values(ROOT / ".env.example"))
OTHERS = ["SCRIPT_NAME", "GUNICORN_CMD_ARGS", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"]
BLANK = dict.fromkeys([*NAMES, *OTHERS], "")

FLASK = (sys.executable, "-m", "flask", "--app", "stripe_back_end_api")
SERVE = "from payment_service.cli.commands import main; main()"

LAUNCHERS = {
    "python": (sys.executable, "stripe_back_end_api.py"),
    "payment-service serve": (sys.executable, "-c", SERVE, "serve"),
    "gunicorn": (sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_service_starts_with_every_other_setting_blank(launcher: str) -> None:
    own = {"STRIPE_SECRET_KEY": "sk_test_a", "STRIPE_API_BASE": "http://127.0.0.1:1"}
    own["PORT"] = str(free_port())
    if launcher == "gunicorn":
        # gunicorn itself reads a blank one as a number, before it reads our settings.
        own["WEB_CONCURRENCY"] = "1"
    process = subprocess.Popen(
        LAUNCHERS[launcher],
        cwd=ROOT,
        env={**os.environ, **BLANK, **own},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert is_ready(f"http://127.0.0.1:{own['PORT']}/readyz")
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert "Traceback" not in said
    assert said.count('"the service starts"') == 1


def is_ready(url: str) -> bool:
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        with suppress(requests.RequestException):
            return requests.get(url, timeout=2).status_code == 200
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "words", ["orders list --unknown", "reconcile --dry-run", "deliver --once"]
)
def test_command_runs_with_every_other_setting_blank(words: str, tmp_path: Path) -> None:
    own = {"STRIPE_SECRET_KEY": "sk_test_a", "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db"}
    own |= {"STRIPE_API_BASE": "http://127.0.0.1:1", "STRIPE_MAX_ATTEMPTS": "1"}
    done = subprocess.run(
        [*FLASK, *words.split()],
        cwd=ROOT,
        env={**os.environ, **BLANK, **own},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Settings: " not in done.stderr


def test_blank_directory_of_the_metrics_makes_no_files(tmp_path: Path) -> None:
    """prometheus_client takes a blank PROMETHEUS_MULTIPROC_DIR for the working directory."""
    open_app = "from stripe_back_end_api import create_app; create_app()"
    own = {"STRIPE_SECRET_KEY": "sk_test_a", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", open_app],
        cwd=tmp_path,
        env={**os.environ, **BLANK, **own, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
