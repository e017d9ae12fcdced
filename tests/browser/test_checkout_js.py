"""The demo's JavaScript modules that need no page, in Node's test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import playwright
import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = sorted((ROOT / "tests" / "browser" / "js").glob("*.test.mjs"))

# Playwright's wheel includes Node.js, so that it need not be installed.
BUNDLED_NODE = Path(playwright.__file__).parent / "driver" / "node"


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_a_javascript_suite_passes(suite: Path) -> None:
    node = str(BUNDLED_NODE) if BUNDLED_NODE.exists() else shutil.which("node")
    if node is None:
        pytest.skip("no Node.js: install nodejs, or a Playwright that includes it")
    done = subprocess.run(
        [node, "--test", "--test-reporter=dot", str(suite)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
