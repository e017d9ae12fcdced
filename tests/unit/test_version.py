"""The version has one place; files that cannot read it from there repeat it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payment_service import __version__
from payment_service.web.errors import ERROR_RESPONSES
from payment_service.web.openapi.document import document
from payment_service.web.openapi.page import page

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("deploy/Dockerfile", r'org\.opencontainers\.image\.version="([^"]*)"'),
        ("deploy/kubernetes.yaml", r"image: \S+/payments:(\S+)"),
    ],
)
def test_what_repeats_the_version_agrees(file: str, pattern: str) -> None:
    assert set(re.findall(pattern, (ROOT / file).read_text())) == {__version__}


def test_the_description_and_its_page_show_the_version() -> None:
    described = document(ERROR_RESPONSES, guarded=False)
    assert described["info"]["version"] == __version__
    assert __version__ in page(described, "pay.example")


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    releases = re.findall(r"^## \[([^\]]+)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert releases[0] == __version__
