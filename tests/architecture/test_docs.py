"""The documents against the code: links, paths, settings, routes and error codes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from payment_service.payments.request.currencies import MAX_AMOUNT, MIN_AMOUNT
from payment_service.schema.secret import Secret
from payment_service.settings import Settings
from payment_service.settings.checks import HAZARDS
from payment_service.web.errors import ERROR_RESPONSES
from payment_service.web.openapi.document import document

ROOT = Path(__file__).resolve().parents[2]

# It tells the history: its paths are those of their time.
CHANGELOG = ROOT / "CHANGELOG.md"

SKIPPED = {".git", ".venv", ".pytest_cache", "node_modules", "build"}


def documents() -> Iterator[Path]:
    """Every document; the thousands of files that installing leaves behind are not looked at."""
    for place, folders, files in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in SKIPPED and ".venv" not in each]
        yield from (Path(place, each) for each in files if each.endswith(".md"))


DOCUMENTS = sorted(documents())

LINK = re.compile(r"\]\(([^)\s]+)\)")

# In backticks, with a folder: anything else could be a host, a header or an option.
PATH = re.compile(r"`([\w.-]+(?:/[\w.*-]+)*/[\w.*-]*)`")
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()}

# One row of a table; its first cell names one or more things.
NAMES = re.compile(r"`([A-Za-z_]+)`")


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table, without the heads."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def section(text: str, title: str) -> str:
    """A chapter, without those that follow."""
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text("utf-8")
API_PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
DESCRIPTION: dict[str, Any] = document(ERROR_RESPONSES, guarded=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each != CHANGELOG], ids=named)
def test_every_path_of_the_repository_exists(document: Path) -> None:
    for path in PATH.findall(document.read_text("utf-8")):
        if path.split("/")[0] in FOLDERS - {"build"}:
            assert any(ROOT.glob(path.rstrip("/"))), path


def listed_settings() -> dict[str, str]:
    found = {}
    for cells in rows(SETTINGS_PAGE.split("\n## What a live key rejects")[0]):
        if cells[0].startswith("`"):
            assert cells[0] not in found
            found[cells[0].strip("`")] = cells[1].strip("`")
    return found


def default_of(setting: FieldInfo) -> str:
    if setting.name == "web_concurrency":
        return "cores"
    if setting.default is NODEFAULT or setting.default is None:
        return "none"
    value = setting.default
    text = value.get_secret_value() if isinstance(value, Secret) else value
    return f"{text:g}" if isinstance(text, float | bool) else str(text)


def test_every_setting_is_listed_with_its_default_and_no_other() -> None:
    assert listed_settings() == {each.name.upper(): default_of(each) for each in fields(Settings)}


def test_every_name_in_the_example_is_listed_and_no_other() -> None:
    assert set(listed_settings()) == set(dotenv_values(ROOT / ".env.example"))


def test_every_hazard_of_a_live_key_is_listed() -> None:
    hazards = [cells[0] for cells in rows(section(SETTINGS_PAGE, "What a live key rejects"))]
    assert sorted(hazards[1:]) == sorted(f"`{name}`" for name in HAZARDS)


def test_every_route_is_listed() -> None:
    listed = set(re.findall(r"`(GET|POST) (/[\w./-]+)", section(API_PAGE, "Routes")))
    described = {
        (method.upper(), path) for path, ways in DESCRIPTION["paths"].items() for method in ways
    }
    assert listed == described | {("GET", "/openapi.json"), ("GET", "/docs")}


def test_every_error_code_is_listed() -> None:
    listed = set(NAMES.findall(section(API_PAGE, "Errors")))
    assert codes_in(DESCRIPTION["paths"]) <= listed


def codes_in(part: Any) -> set[str]:
    """Every code that the description names as one of ours."""
    if isinstance(part, dict):
        own = part.get("code", {}).get("enum", ()) if isinstance(part.get("code"), dict) else ()
        return set(own).union(*map(codes_in, part.values()))
    return set().union(*map(codes_in, part)) if isinstance(part, list) else set()


def test_the_api_page_says_the_bounds_of_an_amount() -> None:
    assert f"{MIN_AMOUNT} to {MAX_AMOUNT}" in API_PAGE


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for page in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "deploy").glob("*.md")]:
        assert page.name == "README.md" or f"({page.relative_to(ROOT / 'docs')})" in index
    decisions = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"({page.name})" in decisions


def test_the_first_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_every_dependency_is_listed_with_what_it_does() -> None:
    text = section((ROOT / "docs" / "architecture.md").read_text(), "Dependencies")
    required = re.findall("^[a-z-]+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert [row[0].strip("`") for row in rows(text)][1:] == required
