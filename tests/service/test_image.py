"""The container image, built without an engine: what it holds, and that it creates an order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from payment_service import __version__
from tests.support.image import Image
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import until

OURS = ("payment_service", "stripe_back_end_api.py", "stripe_payment.py")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(ROOT, tmp_path_factory.mktemp("image"))


def run(image: Image, cwd: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [image.venv / "bin" / command[0], *command[1:]],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def files_below(directory: Path) -> set[str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)) for path in found if path.suffix != ".pyc"}


def test_every_file_of_the_package_is_installed(image: Image) -> None:
    package = ROOT / "payment_service"
    assert files_below(image.packages / "payment_service") == files_below(package)


def test_nothing_but_the_service_is_installed(image: Image) -> None:
    installed = {path.name for path in image.packages.iterdir()} - {"__pycache__"}
    (facts,) = [name for name in installed if name.endswith(".dist-info")]
    assert installed - {"dependencies.pth", facts} == set(OURS)
    assert facts == f"stripe_back_end_api-{__version__}.dist-info"


def test_it_creates_an_order(image: Image, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """In a working directory with nothing in it, as the image has it."""
    with ServiceProcess(sandbox.url, root=tmp_path, command=image.command()) as service:
        first, again = service.create("A-1"), service.create("A-1")
        assert (first.status_code, again.status_code) == (200, 200), service.log()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert service.get("/openapi.json").json()["info"]["version"] == __version__
        assert __version__ in service.get("/docs").text
        # The file that the workers share, which gunicorn's hooks make.
        assert service.memory_directory().is_dir()
        assert service.get("/").status_code == 200
    assert sandbox.state().payment_intents == 1
    assert list(tmp_path.iterdir()) == []


def test_a_reload_by_signal_reads_the_settings_again(
    image: Image, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    environ = {"WEB_CONCURRENCY": "1"}
    with ServiceProcess(sandbox.url, environ, tmp_path, command=image.command()) as service:
        before = set(service.workers())
        (tmp_path / ".env").write_text("CORS_ORIGINS=https://shop.example\n", "utf-8")
        os.kill(service.pid, signal.SIGHUP)
        until(lambda: before.isdisjoint(service.workers()))
        order = {"order_id": "A-1", "amount": 1099}
        answer = service.post("/create-payment-intent", order, Origin="https://shop.example")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"


def test_its_commands_need_no_settings_for_help(image: Image, tmp_path: Path) -> None:
    done = run(image, tmp_path, "payment-service", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in (
        "serve",
        "reconcile",
        "deliver",
        "orders",
        "copy-store",
        "new-client",
        "new-operator",
    ):
        assert f"\n  {command} " in done.stdout


def test_its_version_is_told(image: Image, tmp_path: Path) -> None:
    done = run(image, tmp_path, "payment-service", "--version")
    assert done.stdout == f"payment-service, version {__version__}\n"


@pytest.mark.parametrize(
    "command", [("payment-service", "serve"), ("python", "-m", "stripe_back_end_api")]
)
def test_each_way_to_serve_finds_the_packaged_settings(
    image: Image, tmp_path: Path, command: tuple[str, ...]
) -> None:
    environ = {"STRIPE_SECRET_KEY": "sk_test_abc", "GUNICORN_CMD_ARGS": "--print-config"}
    done = run(image, tmp_path, *command, **environ)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^keepalive +(= )?75$", done.stdout, re.MULTILINE), done.stdout
