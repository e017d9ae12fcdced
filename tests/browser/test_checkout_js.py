"""The demo's modules that need no page, in JavaScript's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import playwright
import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = sorted((ROOT / "tests" / "browser" / "js").glob("*.test.mjs"))

# Playwright's wheel carries a Node.js of its own, so that none has to be installed.
CARRIED = Path(playwright.__file__).parent / "driver" / "node"


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_the_suite_passes(suite: Path) -> None:
    node = str(CARRIED) if CARRIED.exists() else shutil.which("node")
    if node is None:
        pytest.skip("no Node.js: install nodejs, or a Playwright that carries one")
    done = subprocess.run(
        [node, "--test", "--test-reporter=dot", str(suite)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
