"""The service with nothing but PATH, as a user without a name, as OpenShift starts it."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.key_stores import STORES, Place
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess

# Beyond the user ids that systems assign, and random so that parallel test runs do not share one.
UID = 1_000_000_000 + secrets.randbelow(1_000_000_000)

# A virtual environment below root's home is readable to root alone: the user has that one right.
RIGHTS = "+dac_override,+dac_read_search"
NAMELESS = ["setpriv", f"--reuid={UID}", "--clear-groups"]
NAMELESS += [f"--inh-caps={RIGHTS}", f"--ambient-caps={RIGHTS}"]

PLACES = [store for store in STORES if store != "shared-memory"]

needs_root = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become another user",
)


def only(**environ: str) -> dict[str, str | None]:
    """Take everything but PATH away from what a service is started with."""
    return {**{name: None for name in os.environ if name != "PATH"}, **environ}


def files_of(uid: int, *roots: Path) -> Iterator[Path]:
    """Find the user's files. Other tests' files come and go meanwhile, which os.walk ignores."""
    for place, folders, files in itertools.chain(*map(os.walk, roots)):
        for path in (Path(place, name) for name in (*folders, *files)):
            try:
                if path.lstat().st_uid == uid and "__pycache__" not in path.parts:
                    yield path
            except OSError:
                continue


@needs_root
@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_the_first_order_of_a_nameless_user_is_answered(
    place: Place, sandbox: SandboxProcess, quick_path: Path
) -> None:
    # access(2) asks what the user may do without that right.
    os.chown(quick_path, UID, -1)
    environ = only(KEY_STORE_URL=place.where, WEB_CONCURRENCY="2")
    with ServiceProcess(sandbox.url, environ, started_by=NAMELESS) as service:
        answers = [service.create(f"A-{number}") for number in range(20)]
        assert [answer.status_code for answer in answers] == [200] * 20, service.log()
        assert service.get("/readyz").status_code == 200
        assert "Traceback" not in service.log()
    left = files_of(UID, Path(tempfile.gettempdir()), Path("/dev/shm"), ROOT)
    assert [path for path in left if quick_path not in (path, path.parent)] == []


def test_nothing_is_written_to_the_home_directory(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with ServiceProcess(sandbox.url, only(HOME=str(tmp_path))) as service:
        assert service.create("A-1").status_code == 200
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_a_postgresql_url_without_a_user_stops_a_nameless_one() -> None:
    done = subprocess.run(
        [*NAMELESS, sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "STRIPE_SECRET_KEY": "sk_test_abc",
            "KEY_STORE_URL": "postgresql://db.invalid/shop",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Settings: KEY_STORE_URL: a postgresql URL must name its user")
    assert len(done.stderr.splitlines()) == 1
