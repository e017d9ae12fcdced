"""The command that makes a new client's secrets, as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from payment_service.access.clients import load_clients
from tests.support.sandbox_process import ROOT


def new_client(name: str) -> subprocess.CompletedProcess[str]:
    """Run the command that makes a client's secrets."""
    command = [sys.executable, "-m", "payment_service.access", name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_printed_entry_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    name = 'a "shop" \\ é'
    path.write_text(new_client(name).stdout, "utf-8")
    assert load_clients(path, livemode=False).get(name)


@pytest.mark.parametrize("name", ["", " ", "shop\na", "x" * 201])
def test_invalid_name_gets_no_entry(name: str) -> None:
    done = new_client(name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The name must ")
    assert len(done.stderr.splitlines()) == 1
