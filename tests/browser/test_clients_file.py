"""The demo's pages with a clients file: started by `make run`, and without a client of theirs."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.demo_process import DemoProcess
from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop import clients_file
from tests.support.shopper import PAYS, expect_paid, fill, pay


def test_demo_pays_as_the_sandbox_s_own_client(browser: Browser, tmp_path: Path) -> None:
    with DemoProcess(CLIENTS_FILE=str(clients_file(tmp_path))) as demo:
        page = browser.new_context(base_url=demo.url, locale="en-US").new_page()
        page.goto("/")
        fill(page, PAYS)
        page.get_by_role("button", name="Send the order 5 times at once").click()
        pay(page)
        expect_paid(page)
        expect(page.get_by_text("The shop was told by webhook")).to_be_visible()
        (order,) = demo.sandbox.state().raw["orders"]
        assert (order["client_id"], order["count"]) == ("kestrel-paper", 1)
        page.goto("/demo/faults")
        row = page.locator("section.row").first
        row.get_by_role("button").click()
        expect(row.get_by_role("group", name="This service")).to_have_attribute(
            "data-state", "good", timeout=30_000
        )
        page.context.close()


def test_page_without_a_token_says_what_is_missing(
    browser: Browser, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    environ = {"CLIENTS_FILE": str(clients_file(tmp_path))}
    with ServiceProcess(sandbox.url, environ) as service:
        page = browser.new_context(base_url=service.url, locale="en-US").new_page()
        page.goto("/")
        expect(page.get_by_text("The service has a clients file")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_be_hidden()
        page.context.close()
