"""A shopper pays in the shops of examples/."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.example_shops import SHOPS, running
from tests.support.sandbox_process import SandboxProcess
from tests.support.shop_listener import until


@pytest.mark.parametrize("kind", SHOPS)
def test_shopper_pays_and_the_shop_knows(
    browser: Browser, sandbox: SandboxProcess, tmp_path: Path, kind: str
) -> None:
    with running(kind, sandbox, tmp_path) as shop:
        context = browser.new_context(base_url=shop.url, locale="en-US")
        page = context.new_page()
        page.goto("/checkout/A-1")
        page.frame_locator("#card iframe").get_by_role("button", name="Pays").click()
        page.get_by_role("button", name="Pay", exact=True).click()
        expect(page.get_by_text("Thank you. The order is paid.")).to_be_visible()
        assert page.url == f"{shop.url}/checkout/A-1"
        until(lambda: page.request.get("/orders/A-1").json()["paid"])
        context.close()
    assert sandbox.state().order("A-1", "shop-a").count == 1
