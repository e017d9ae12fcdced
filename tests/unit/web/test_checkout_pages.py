"""The demo pages: when they are served, and what they may load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from payment_service.checkout.pages import Demo, open_pages
from payment_service.settings import Settings, SettingsError, load_settings
from stripe_back_end_api import create_app
from tests.support.fake_payments import FakePayments
from tests.support.shop import clients_file

ROOT = Path(__file__).resolve().parents[3]

SANDBOX = {"STRIPE_SECRET_KEY": "sk_test_sandbox", "STRIPE_API_BASE": "http://127.0.0.1:12111"}
STAGE = {"DEMO_STAGE_URL": "http://127.0.0.1:12112"}
PAYPAL = {
    "GATEWAYS": "stripe,paypal",
    "PAYPAL_CLIENT_ID": "app-1",
    "PAYPAL_CLIENT_SECRET": "secret",
    "PAYPAL_RETURN_URL": "https://shop.example/{order_id}",
    "PAYPAL_CANCEL_URL": "https://shop.example/{order_id}",
}
STAND_IN = {"PAYPAL_API_BASE": "http://127.0.0.1:12113"}
REAL = {"STRIPE_SECRET_KEY": "sk_test_51abc", "STRIPE_PUBLISHABLE_KEY": "pk_test_51abc"}


def client(**environ: str) -> FlaskClient:
    settings: Settings = load_settings(environ)
    return create_app(settings, FakePayments()).test_client()  # type: ignore[arg-type]


def policy(page: str, **environ: str) -> dict[str, str]:
    header = client(**environ).get(page).headers["Content-Security-Policy"]
    return dict(rule.split(" ", 1) for rule in header.split("; "))


def test_in_the_sandbox_there_is_a_checkout() -> None:
    answer = client(**SANDBOX).get("/")
    assert answer.status_code == 200
    assert 'data-stripe-js="http://127.0.0.1:12111/v3/"' in answer.text
    assert 'data-mode="sandbox"' in answer.text


def test_only_the_sandbox_s_page_has_an_api_key(tmp_path: Path) -> None:
    key = {"DEMO_API_KEY": "api_of_the_demo_page_only"}
    clients = {"CLIENTS_FILE": str(clients_file(tmp_path))}
    authorized = 'data-authorization="Bearer api_of_the_demo_page_only"'
    for page in ("/", "/demo/faults"):
        assert authorized in client(**SANDBOX, **STAGE, **key, **clients).get(page).text
        assert 'data-authorization=""' in client(**SANDBOX, **STAGE, **key).get(page).text
    with pytest.raises(SettingsError, match="DEMO_API_KEY is for the sandbox only"):
        load_settings({**REAL, **key})


def test_with_a_real_key_the_demo_is_off_by_default() -> None:
    assert client(**REAL).get("/").status_code == 404
    assert client(**REAL).get("/checkout/pay.js").status_code == 404


def test_with_a_real_key_the_checkout_uses_stripe_itself() -> None:
    answer = client(**REAL, CHECKOUT_DEMO="1").get("/")
    assert 'data-stripe-js="https://js.stripe.com/v3/"' in answer.text
    assert 'data-mode="test"' in answer.text


def test_a_real_key_with_another_address_is_not_the_sandbox() -> None:
    answer = client(**REAL, STRIPE_API_BASE=SANDBOX["STRIPE_API_BASE"]).get("/")
    assert answer.status_code == 404


def test_a_live_key_has_no_demo() -> None:
    with pytest.raises(SettingsError, match="CHECKOUT_DEMO must not be set with a live key"):
        load_settings({"STRIPE_SECRET_KEY": "sk_live_abc", "CHECKOUT_DEMO": "1"})


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        (SANDBOX | STAGE, 200),
        (SANDBOX, 404),
        (REAL | STAGE, 404),
        (REAL | STAGE | {"CHECKOUT_DEMO": "1"}, 404),
    ],
)
def test_the_faults_are_there_in_the_sandbox_only(environ: dict[str, str], status: int) -> None:
    answer = client(**environ).get("/demo/faults")
    assert answer.status_code == status
    assert ("faults.js" in answer.text) == (status == 200)


def test_the_policy_lets_in_stripe_and_nothing_else() -> None:
    assert policy("/", **REAL, CHECKOUT_DEMO="1") == {
        "default-src": "'none'",
        "script-src": "'self' https://js.stripe.com",
        "connect-src": "'self' https://api.stripe.com",
        "frame-src": "https://js.stripe.com https://hooks.stripe.com",
        "style-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_in_the_sandbox_the_policy_lets_in_the_sandbox_alone() -> None:
    rules = policy("/", **SANDBOX)
    assert rules["script-src"] == "'self' http://127.0.0.1:12111"
    assert not any("stripe.com" in sources for sources in rules.values())


def test_the_faults_page_runs_no_foreign_script() -> None:
    assert policy("/demo/faults", **SANDBOX, **STAGE)["script-src"] == "'self'"


def test_checkout_asks_for_the_gateways_that_are_configured() -> None:
    assert 'data-gateways=""' in client(**SANDBOX).get("/").text
    for environ in (SANDBOX | STAND_IN, REAL | {"CHECKOUT_DEMO": "1"}):
        assert 'data-gateways="stripe paypal"' in client(**environ, **PAYPAL).get("/").text


def test_only_the_page_of_faults_may_call_paypals_stand_in() -> None:
    given = SANDBOX | STAGE | STAND_IN | PAYPAL
    assert policy("/demo/faults", **given)["connect-src"].endswith(" http://127.0.0.1:12113")
    assert policy("/", **given) == policy("/", **SANDBOX)
    assert "12113" not in policy("/demo/faults", **SANDBOX, **STAGE, **STAND_IN)["connect-src"]


@pytest.mark.parametrize("name", ["index.html", "faults.html"])
def test_nothing_is_inline(name: str) -> None:
    text = (ROOT / "payment_service" / "checkout" / name).read_text()
    assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son\w+=", text)


def test_every_file_that_is_referred_to_is_served() -> None:
    pages = open_pages(Demo("http://sandbox", "http://stage"))
    for path, page in pages.items():
        text = page.body.decode()
        named = re.findall(r'"(/checkout/[^"]+)"', text)
        if path.endswith(".js"):
            named += [f"/checkout/{name}" for name in re.findall(r'from "\./([^"]+)"', text)]
        assert set(named) <= set(pages), path


def test_every_file_in_the_folder_is_served() -> None:
    pages = open_pages(Demo("http://sandbox", "http://stage"))
    served = {
        f"/checkout/{file.name}"
        for file in (ROOT / "payment_service" / "checkout").glob("*.[cjs][sv]*")
    }
    assert served <= set(pages)


def test_the_files_have_their_content_types() -> None:
    answer = client(**SANDBOX).get("/checkout/pay.js")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"


def test_the_page_sends_no_referrer_path() -> None:
    assert client(**SANDBOX).get("/").headers["Referrer-Policy"] == "strict-origin"
