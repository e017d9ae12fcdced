"""`make pictures`: take the README's two screenshots of the running demo.

Install the font Inter first (Debian: fonts-inter).
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.support.chromium import MISSING, find_chromium, open_browser
from tests.support.demo_process import DemoProcess
from tests.support.sandbox_process import ROOT
from tests.support.small_png import smaller

FOLDER = ROOT / "docs" / "images"

FAULTS_SECONDS = 120.0


def main() -> int:
    """Take both screenshots; return 1 if there is no browser."""
    path = find_chromium()
    if path is None:
        print(MISSING, file=sys.stderr)
        return 1
    with open_browser(path) as browser, DemoProcess() as demo:
        _take(_checkout(_page(browser, demo.url, 1120, 840)), FOLDER / "checkout.png")
        _take(_faults(_page(browser, demo.url, 1200, 900)), FOLDER / "faults.png")
    return 0


def _page(browser: Browser, url: str, width: int, height: int) -> Page:
    size = {"width": width, "height": height}
    return browser.new_page(base_url=url, locale="en-US", viewport=size)  # type: ignore[arg-type]


def _checkout(page: Page) -> Page:
    page.goto("/")
    page.frame_locator("#payment-element iframe").get_by_role("button", name="Pays").click()
    page.get_by_role("button", name="Lose the answer").click()
    page.locator("#sends").get_by_text("3").wait_for()
    page.get_by_role("button", name="Pay $").hover()
    return page


def _faults(page: Page) -> Page:
    page.goto("/demo/faults")
    page.get_by_role("button", name="Run all six").click()
    page.get_by_text("It came out right").wait_for(timeout=FAULTS_SECONDS * 1000)
    page.mouse.move(0, 0)
    return page


def _take(page: Page, file: Path) -> None:
    file.write_bytes(smaller(page.screenshot(full_page=True, animations="disabled")))
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1024} kB")
    page.close()


if __name__ == "__main__":
    sys.exit(main())
