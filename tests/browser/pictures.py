"""`make pictures`: take the README's two screenshots of the demo, and one of the operator's page.

Install the font Inter first (Debian: fonts-inter).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.support.chromium import MISSING, find_chromium, open_browser
from tests.support.demo_process import DemoProcess
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop import API_KEYS, OPERATOR_KEYS, bearer, clients_file, entry, operator
from tests.support.small_png import smaller

FOLDER = ROOT / "docs" / "images"

FAULTS_SECONDS = 120.0


def main() -> int:
    """Take the screenshots; return 1 if there is no browser."""
    path = find_chromium()
    if path is None:
        print(MISSING, file=sys.stderr)
        return 1
    with open_browser(path) as browser:
        with DemoProcess() as demo:
            _take(_checkout(_page(browser, demo.url, 1120, 840)), FOLDER / "checkout.png")
            _take(_faults(_page(browser, demo.url, 1200, 900)), FOLDER / "faults.png")
        _take_operator(browser)
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
    page.get_by_role("button", name="Run all seven").click()
    page.get_by_text("It came out right").wait_for(timeout=FAULTS_SECONDS * 1000)
    page.mouse.move(0, 0)
    return page


def _take_operator(browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as directory, SandboxProcess() as sandbox:
        clients = clients_file(Path(directory), entry("shop-a"), operator("anna", "act"))
        environ = {"CLIENTS_FILE": str(clients), "STRIPE_MAX_ATTEMPTS": "1"}
        with ServiceProcess(sandbox.url, environ) as service:
            _orders(service, sandbox)
            page = _operator(_page(browser, service.url, 1160, 900))
            _take(page, FOLDER / "operator.png")


def _orders(service: ServiceProcess, sandbox: SandboxProcess) -> None:
    """Create three paid orders, one that can be paid, and one that is unknown."""
    shop: Any = bearer(API_KEYS["shop-a"])
    anna: Any = bearer(OPERATOR_KEYS["anna"])
    for number in range(4):
        order = {"order_id": f"K-{number}", "client_id": "shop-a"}
        made = service.post("/create-payment-intent", {**order, "amount": 1990}, **shop).json()
        if number:
            sandbox.pay(made["payment_intent_id"])
            service.post("/operator/api/resolve", order, **anna)
    lost = {"method": "POST", "path": "/v1/payment_intents$"}
    sandbox.faults([{"kind": "lost_after", "count": 1, "match": lost}])
    unknown = {"order_id": "K-7Q2M", "amount": 4550}
    service.post("/create-payment-intent", unknown, **shop)


def _operator(page: Page) -> Page:
    page.goto("/operator")
    page.get_by_label("Operator key").fill(OPERATOR_KEYS["anna"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="K-7Q2M").click()
    page.get_by_text("Why this order is unknown").wait_for()
    page.mouse.move(0, 0)
    return page


def _take(page: Page, file: Path) -> None:
    file.write_bytes(smaller(page.screenshot(full_page=True, animations="disabled")))
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1024} kB")
    page.close()


if __name__ == "__main__":
    sys.exit(main())
