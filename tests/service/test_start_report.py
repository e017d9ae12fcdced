"""What a started service logs once, and the check of its Stripe key."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop import clients_file, entry

STARTED = "the service starts"
REFUSED, UNKNOWN = "Stripe refuses the key", "Stripe did not say whether it accepts the key"

# The sandbox refuses every key that contains `invalid`.
INVALID = "sk_test_invalid1234"


def lines(service: ServiceProcess, event: str) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return [line for line in read if line["event"] == event]


def wait_until(found: Callable[[], Any]) -> Any:
    patience = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < patience, "it was not logged"
        time.sleep(0.02)
    return value


def test_start_is_logged_once_for_all_workers(sandbox: SandboxProcess) -> None:
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "3"}) as service:
        assert service.create("A-1").status_code == 200
        (line,) = lines(service, STARTED)
        expected = {
            "mode": "sandbox",
            "account_access": "open",
            "key_store": "memory",
            "webhooks": "on",
            "order_events": "off",
            "gateways": "stripe",
            "pages": "on",
            "listens_on": f"127.0.0.1:{service.port}",
        }
        assert expected.items() <= line.items()
        os.kill(service.pid, signal.SIGHUP)
        wait_until(lambda: len(lines(service, STARTED)) == 2)
    assert not any(each["path"] == "/v1/payment_intents?limit=1" for each in sandbox.requests())


def test_misspelt_setting_is_a_warning_and_no_reason_not_to_start(sandbox: SandboxProcess) -> None:
    with ServiceProcess(sandbox.url, {"STRIPE_WEBHOOK_SECERT": "hunter2"}) as service:
        said = "STRIPE_WEBHOOK_SECERT is not a setting and has no effect: did you mean "
        (line,) = lines(service, f"{said}STRIPE_WEBHOOK_SECRET?")
        assert line["level"] == "warning"
        assert "hunter2" not in service.log()


def test_refused_key_is_logged_with_stripe_s_sentence(sandbox: SandboxProcess) -> None:
    with ServiceProcess(sandbox.url, {"STRIPE_SECRET_KEY": INVALID}) as service:
        (line,) = wait_until(lambda: lines(service, REFUSED))
        assert (line["level"], line["setting"]) == ("error", "STRIPE_SECRET_KEY")
        assert line["stripe"].startswith("Invalid API Key provided: ")
        assert INVALID not in service.log()
        assert service.get("/readyz").status_code == 200


def test_accepted_key_is_logged(sandbox: SandboxProcess) -> None:
    with ServiceProcess(sandbox.url, {"STRIPE_SECRET_KEY": "sk_test_good"}) as service:
        wait_until(lambda: lines(service, "Stripe accepts the key"))


def test_key_of_each_client_is_checked_once(sandbox: SandboxProcess, tmp_path: Path) -> None:
    own = f'stripe_secret_key = "{INVALID}"'
    path = clients_file(tmp_path, entry("shop-a"), entry("shop-b", own))
    environ = {"STRIPE_SECRET_KEY": "sk_test_good", "CLIENTS_FILE": str(path)}
    with ServiceProcess(sandbox.url, environ) as service:
        (line,) = wait_until(lambda: lines(service, REFUSED))
        assert line["setting"] == "CLIENTS_FILE: shop-b"
        (accepted,) = lines(service, "Stripe accepts the key")
        assert accepted["setting"] == "STRIPE_SECRET_KEY"


def test_service_starts_without_stripe() -> None:
    with ServiceProcess("http://127.0.0.1:1", {"STRIPE_SECRET_KEY": "sk_test_good"}) as service:
        assert service.get("/readyz").status_code == 200
        (line,) = wait_until(lambda: lines(service, UNKNOWN))
        assert line["level"] == "warning"
