"""The alert rules, evaluated by promtool: each fires when it should, and only then.

`apt-get install prometheus` brings promtool. Without it the tests skip, or fail where
REQUIRE_PROMTOOL is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "alerts.yaml"

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}


@dataclass(frozen=True)
class Case:
    """Two histories of the same series, a sample a minute, in promtool's notation.

    `labels`: those of the series that the alert keeps. `at`: when to look, in minutes.
    """

    fires: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    at: int = 30


def happened(what: str) -> str:
    return f'payments_order_happenings_total{{what="{what}"}}'


def first_event(what: str) -> Case:
    """One event, in a process that has counted none before."""
    name = happened(what)
    return Case({name: "0x25 1x20"}, {name: "0x45"}, {"what": what})


def requests(status: str) -> str:
    return f'payments_requests_total{{route="/create-payment-intent",status="{status}"}}'


def sends(outcome: str, gateway: str | None = None) -> str:
    labels = {"operation": "POST", "outcome": outcome, "gateway": gateway}
    given = ",".join(f'{name}="{text}"' for name, text in labels.items() if text)
    return f"payments_stripe_sends_total{{{given}}}"


def slow(name: str, seconds: float, label: str) -> Case:
    """A histogram of which all observations are above `seconds`, and one with all below."""
    low, middle, high = (
        f'payments_{name}_bucket{{{label},le="{bound}"}}'
        for bound in (seconds, 4 * seconds, "+Inf")
    )
    above = {low: "0x60", middle: "0+60x60", high: "0+60x60"}
    return Case(above, {**above, low: "0+60x60"})


STORE_FAILURES = 'payments_store_failures_total{operation="claim",cause="timeout"}'
WRONG_PASSWORD = 'payments_store_failures_total{operation="claim",cause="authentication"}'
NO_MASTER = 'payments_store_failures_total{operation="claim",cause="cluster_down"}'
SPANS_LOST = 'payments_spans_total{outcome="failed"}'
AGE = "payments_outbox_age_seconds"
DELIVERED = 'payments_order_happenings_total{what="event_delivered"}'
TWO_PAID = 'payments_reconcile_orders{outcome="two_paid"}'
UNRESOLVED = 'payments_reconcile_orders{outcome="unresolved"}'
MONEY_UNKNOWN = 'payments_reconcile_orders{outcome="money_unknown"}'
LAPSING = 'payments_reconcile_orders{outcome="lapsing"}'
SWITCHED = 'payments_order_happenings_total{what="switched"}'
LEFTOVERS = "payments_leftovers"
FINISHED = "payments_reconcile_finished_timestamp_seconds"

CASES = {
    "PaymentsTwoTaken": first_event("two_taken"),
    "PaymentsStrayPaid": first_event("stray_paid"),
    "PaymentsStrayLeft": first_event("stray_left"),
    "PaymentsEventParked": first_event("event_parked"),
    "PaymentsPaidBefore": first_event("paid_before"),
    "PaymentsCaptureStuck": first_event("capture_stuck"),
    "PaymentsAccountRefused": first_event("account_refused"),
    "PaymentsSwitching": Case({SWITCHED: "0x25 1x20"}, {SWITCHED: "0x45"}),
    "PaymentsLeftovers": Case({LEFTOVERS: "0 2x200"}, {LEFTOVERS: "2x100 0x60"}, at=180),
    "PaymentsPayPalRefusesApp": Case(
        {sends("ok", "paypal"): "0x60", sends("config", "paypal"): "0x26 1x30"},
        {sends("ok", "paypal"): "0+10x60", sends("config", "stripe"): "0x26 1x30"},
    ),
    "PaymentsPayPalFailing": Case(
        {sends("ok", "paypal"): "0+80x60", sends("no_answer", "paypal"): "0+20x60"},
        {sends("ok", "paypal"): "0+99x60", sends("no_answer", "stripe"): "0+99x60"},
    ),
    "PaymentsRefundedTwice": first_event("refunded_twice"),
    "PaymentsDisputed": first_event("dispute_opened"),
    "PaymentsRefundFailed": first_event("refund_failed"),
    "PaymentsMoneyUnknown": Case(
        {MONEY_UNKNOWN: "0x10 1x300"}, {MONEY_UNKNOWN: "0x10 1x60 0x60 1x60"}, at=180
    ),
    "PaymentsAuthorizationLapsing": Case({LAPSING: "0x20 1x30"}, {LAPSING: "0x60"}),
    "PaymentsFailing": Case(
        {requests("200"): "0+90x60", requests("503"): "0+10x60"},
        {requests("200"): "0+90x60", requests("503"): "0+1x60"},
    ),
    "PaymentsSilent": Case({"up": "0x60"}, {requests("200"): "0x60"}),
    "PaymentsStripeRefusesKey": Case(
        {sends("ok"): "0x60", sends("config"): "0x26 1x30"},
        {sends("ok"): "0+10x60", sends("config"): "0x60"},
    ),
    "PaymentsStripeFailing": Case(
        {sends("ok"): "0+80x60", sends("no_answer"): "0+20x60"},
        {sends("ok"): "0+99x60", sends("no_answer", "paypal"): "0+99x60"},
    ),
    "PaymentsStripeLimited": Case({sends("limited"): "0+60x60"}, {sends("limited"): "0+1x60"}),
    "PaymentsStripeSlow": slow("stripe_send_seconds", 5, 'operation="POST /v1/payment_intents"'),
    "PaymentsStoreFailing": Case({STORE_FAILURES: "0x25 0+1x30"}, {STORE_FAILURES: "0x10 1x50"}),
    "PaymentsStoreRefuses": Case(
        {WRONG_PASSWORD: "0x25 1x30"}, {STORE_FAILURES: "0+1x60"}, {"cause": "authentication"}
    ),
    "PaymentsStoreClusterDown": Case(
        {NO_MASTER: "0x25 0+1x30"}, {NO_MASTER: "0x20 1x40", STORE_FAILURES: "0+1x60"}
    ),
    "PaymentsStoreSlow": slow("store_seconds", 0.5, 'operation="claim"'),
    "PaymentsBudgetExhausted": Case(
        {"payments_budget_exhaustions_total": "0x20 0+2x30"},
        {"payments_budget_exhaustions_total": "0x20 3x30"},
    ),
    "PaymentsSlow": slow("request_seconds", 5, 'route="/create-payment-intent"'),
    "PaymentsLeasesLost": Case(
        {happened("stale_owner"): "0+5x60"}, {happened("taken_over"): "0x25 400x60"}, at=40
    ),
    "PaymentsTracesLost": Case({SPANS_LOST: "0+1x60"}, {SPANS_LOST: "0x20 9x60"}, at=40),
    "PaymentsRefundsRejected": Case(
        {happened("refund_rejected"): "0x20 20x30"}, {happened("refund_rejected"): "0x20 2x30"}
    ),
    "PaymentsOrdersUnknown": Case(
        {"payments_unknown_orders": "0 2x60"}, {"payments_unknown_orders": "2x10 0x60"}, at=40
    ),
    "PaymentsOutboxStuck": Case(
        {AGE: "0+60x60", DELIVERED: "7x60"}, {AGE: "0+60x60", DELIVERED: "0+1x60"}
    ),
    "PaymentsReceiverDown": Case({AGE: "0+60x120"}, {AGE: "0 3000x120"}, at=80),
    "PaymentsGuessing": Case({requests("401"): "0+120x60"}, {requests("401"): "0+30x60"}),
    "PaymentsReconcileTwoPaid": Case({TWO_PAID: "0x20 1x30"}, {TWO_PAID: "0x60"}),
    "PaymentsUnresolved": Case({UNRESOLVED: "1x300"}, {UNRESOLVED: "1x120 0x180"}, at=240),
    "PaymentsReconcileStale": Case({FINISHED: "60x300"}, {FINISHED: "60+60x300"}, at=240),
}


def test_every_alert_is_tested() -> None:
    assert set(CASES) == set(ALERTS)


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    run = promtool("check", "rules", str(RULES))
    assert run.returncode == 0, run.stdout + run.stderr
    tests = [group for alert, case in CASES.items() for group in unit_tests(alert, case)]
    file = tmp_path / "tests.yaml"
    given = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(given), "utf-8")
    run = promtool("test", "rules", str(file))
    assert run.returncode == 0, run.stdout + run.stderr


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("promtool")
    if command is None:
        assert not os.environ.get("REQUIRE_PROMTOOL"), "promtool is not installed"
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run(
        [command, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def unit_tests(alert: str, case: Case) -> list[dict[str, Any]]:
    """The two tests of an alert in promtool's format."""
    rule = ALERTS[alert]
    fired = {
        "exp_labels": {**rule["labels"], **case.labels},
        "exp_annotations": rule["annotations"],
    }
    return [
        {
            "name": f"{alert} {name}",
            "interval": "1m",
            "input_series": [{"series": s, "values": values} for s, values in series.items()],
            "alert_rule_test": [
                {"eval_time": f"{case.at}m", "alertname": alert, "exp_alerts": expected}
            ],
        }
        for name, series, expected in (
            ("fires", case.fires, [fired]),
            ("is quiet", case.quiet, []),
        )
    ]
