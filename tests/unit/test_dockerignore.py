"""The image's build context has every module and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.image import IGNORE_FILE, IgnoreFile

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        (".env", True),
        (".git/config", True),
        ("deploy/secrets/clients.toml", True),
        ("keys.db", True),
        ("clients.toml", True),
        ("examples/flask_shop/app.py", True),
        ("shop/keys.db-wal", True),
        ("payment_service/.env", True),
        ("payment_service/web/__pycache__/errors.cpython-311.pyc", True),
        ("tests/conftest.py", True),
        ("payment_service/gateways/new/orders.py", False),
        ("payment_service/key_store/new/claim.sql", False),
        ("new_entry_module.py", False),
        ("pyproject.toml", False),
        ("README.md", False),
        ("LICENSE", False),
    ],
)
def test_the_build_sees_every_module_and_no_secret(path: str, ignored: bool) -> None:
    assert IgnoreFile((ROOT / IGNORE_FILE).read_text()).ignores(path) is ignored


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("*", "a/b.py", True),
        ("*\n!a", "a/b.py", False),
        ("*\n!a\na/b.py", "a/b.py", True),
        ("*.py", "a/b.py", False),
        ("**/*.py", "b.py", True),
        ("**/*.py", "a/c/b.py", True),
        ("a/**", "a/c/b.py", True),
        ("?.py", "ab.py", False),
        ("# a\n\n/b.py", "b.py", True),
        ("b.py", "a/b.py", False),
    ],
)
def test_the_patterns_mean_what_docker_means(patterns: str, path: str, ignored: bool) -> None:
    assert IgnoreFile(patterns).ignores(path) is ignored
