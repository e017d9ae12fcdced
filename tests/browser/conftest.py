"""Browser fixtures: the demo, and pages that must load nothing from other origins."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.chromium import MISSING, find_chromium, open_browser
from tests.support.demo_process import DemoProcess
from tests.support.sandbox_process import ROOT
from tests.support.shopper import NewContext

# A page loads in a fraction of a second, but a busy machine takes longer.
PATIENCE_MS = 15_000

SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None and os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(MISSING)
    if path is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    with open_browser(path) as opened:
        yield opened


@pytest.fixture(scope="package")
def demo_process(browser: Browser) -> Iterator[DemoProcess]:
    with DemoProcess() as started:
        yield started


@pytest.fixture
def demo(demo_process: DemoProcess) -> DemoProcess:
    demo_process.sandbox.reset()
    demo_process.paypal.reset()
    return demo_process


@pytest.fixture
def new_context(
    browser: Browser, demo: DemoProcess, request: pytest.FixtureRequest
) -> Iterator[NewContext]:
    """Open browser contexts; their pages must load nothing foreign and raise no error."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def new(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=demo.url, locale="en-US", **options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda sent: _note_foreign(sent.url, demo.origins, wrong))
        context.on("weberror", lambda found: wrong.append(str(found.error)))
        context.on("console", lambda said: _note_violation(said.text, wrong))
        opened.append(context)
        return context

    yield new
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    for number, page in enumerate(page for context in opened for page in context.pages):
        page.screenshot(path=SCREENSHOTS / f"{name}-{number}.png", full_page=True)
    for context in opened:
        context.close()
    assert wrong == []


@pytest.fixture
def page(new_context: NewContext) -> Page:
    return new_context().new_page()


def _note_foreign(url: str, origins: tuple[str, ...], wrong: list[str]) -> None:
    if not url.startswith(tuple(f"{origin}/" for origin in origins)):
        wrong.append(f"foreign: {url}")


def _note_violation(text: str, wrong: list[str]) -> None:
    if "Content Security Policy" in text:
        wrong.append(text)
