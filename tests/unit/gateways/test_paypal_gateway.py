"""PayPal's gateway over its stand-in: what it sends, and what it makes of each answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from payment_service.errors import (
    CardRefused,
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    Misconfigured,
    PaymentError,
    RateLimited,
    Refused,
)
from payment_service.gateways.capture_outcome import (
    AccountRefused,
    Captured,
    CaptureOver,
    CaptureUnclear,
    PayerNeeded,
    PaymentGone,
)
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Declined, Made, PaidBefore, Unclear
from payment_service.gateways.paypal.issues import NEVER
from payment_service.gateways.paypal.verdicts import Problem, judge
from payment_service.gateways.send_report import Meaning
from payment_service.gateways.sent_params import SentParams
from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure
from sandbox.paypal.refusals import CAPTURE_ISSUES
from tests.support.paypal_flow import BASE, PayPalFlow

ORDERS = "/v2/checkout/orders"
CREATE = f"{ORDERS}$"
PROBLEM = Problem("NAME", "ISSUE", "A sentence.")


# Verdicts.


@pytest.mark.parametrize(
    ("status", "problem", "meaning", "again"),
    [
        (200, None, Meaning.UNREADABLE, True),
        (201, None, Meaning.UNREADABLE, True),
        (302, None, Meaning.UNREADABLE, False),
        (400, PROBLEM, Meaning.NO, False),
        (400, None, Meaning.UNREADABLE, False),
        (401, PROBLEM, Meaning.CONFIG, False),
        (401, None, Meaning.CONFIG, False),
        (403, PROBLEM, Meaning.CONFIG, False),
        (403, None, Meaning.UNREADABLE, False),
        (404, PROBLEM, Meaning.NO, False),
        (404, None, Meaning.UNREADABLE, False),
        (405, PROBLEM, Meaning.UNREADABLE, False),
        (408, None, Meaning.UNREADABLE, True),
        (409, PROBLEM, Meaning.BUSY, True),
        (415, PROBLEM, Meaning.NO, False),
        (421, None, Meaning.UNREADABLE, True),
        (422, PROBLEM, Meaning.NO, False),
        (422, None, Meaning.UNREADABLE, False),
        (429, PROBLEM, Meaning.LIMITED, True),
        (429, None, Meaning.LIMITED, True),
        (500, PROBLEM, Meaning.FAILED, True),
        (503, None, Meaning.FAILED, True),
    ],
)
def test_each_answer_gets_the_verdict_of_its_row(
    status: int, problem: Problem | None, meaning: Meaning, again: bool
) -> None:
    verdict = judge(status, {}, problem)
    assert (verdict.meaning, verdict.again, verdict.saved_5xx) == (meaning, again, False)


def test_a_verdict_has_the_debug_id_and_the_wait() -> None:
    headers = {"paypal-debug-id": "f1d2c3b4a5968", "retry-after": "7"}
    verdict = judge(429, headers, None)
    assert (verdict.request_id, verdict.retry_after_seconds) == ("f1d2c3b4a5968", 7.0)
    in_body = Problem("NAME", "", "", "abc")
    assert judge(500, {}, in_body).request_id == "abc"


# Creation.


def test_a_creation_takes_a_token_and_one_send() -> None:
    flow = PayPalFlow()
    assert flow.made().status == "requires_action"
    assert flow.requests() == ["POST token 200", "POST orders 201"]
    assert [(each.method, each.path, each.key) for each in flow.sends] == [
        ("post", "/v1/oauth2/token", None),
        ("post", ORDERS, "key-1"),
    ]
    assert all(each.verdict is None and each.request_id for each in flow.sends)


def test_a_minimal_answer_is_completed_by_a_read() -> None:
    flow = PayPalFlow(minimal_always=True)
    outcome = flow.create()
    assert isinstance(outcome, Made)
    assert (outcome.intent.amount, outcome.replayed) == (1099, False)
    assert flow.requests()[1:] == ["POST orders 201", "GET order 200"]


def test_the_link_of_a_minimal_answer_is_kept() -> None:
    flow = PayPalFlow(minimal_always=True, links_on_read=False)
    made = flow.made()
    assert made.redirect_url is not None
    assert flow.retrieve(made.id).redirect_url is None
    assert flow.made().redirect_url == made.redirect_url


@pytest.mark.parametrize(
    ("kind", "error", "sends"),
    [
        ("lost_before", GatewayUnreachable, 3),
        ("lost_after", GatewayUnreachable, 3),
        ("error_500_without_object", GatewayFailed, 3),
        ("error_503", GatewayFailed, 3),
        ("html", GatewayFailed, 3),
        ("empty_object", GatewayFailed, 3),
        ("key_in_use", InFlight, 3),
        ("rate_limited", RateLimited, 3),
        ("forbidden", Misconfigured, 1),
        ("request_timeout_408", GatewayFailed, 3),
    ],
)
def test_a_failed_creation_is_unclear(kind: str, error: type[PaymentError], sends: int) -> None:
    flow = PayPalFlow()
    flow.fault(kind, CREATE, count=None)
    outcome = flow.create()
    assert isinstance(outcome, Unclear)
    assert type(outcome.error) is error
    assert not outcome.saved_5xx
    assert len([each for each in flow.sends if each.key]) == sends


@pytest.mark.parametrize("kind", ["lost_after", "error_500_with_object", "html", "cut_body"])
def test_a_resend_finds_the_order_that_was_made(kind: str) -> None:
    flow = PayPalFlow()
    flow.fault(kind, CREATE)
    outcome = flow.create()
    assert isinstance(outcome, Made)
    assert outcome.replayed
    assert len(flow.sandbox.orders) == 1


def test_a_refused_creation_is_declined_with_paypals_word() -> None:
    flow = PayPalFlow()
    sent = flow.sent()
    outcome = flow.create(sent=SentParams("v2", {**sent.params, "amount": 10**20}, "paypal"))
    assert isinstance(outcome, Declined)
    assert outcome.error.code == "MAX_VALUE_EXCEEDED"
    assert outcome.error.request_id


def test_a_paid_invoice_is_paid_before_at_the_creation() -> None:
    flow = PayPalFlow(unique_invoices="create")
    assert isinstance(flow.capture(flow.approved()), Captured)
    assert isinstance(flow.create("key-2"), PaidBefore)


# Tokens.


def test_a_rejected_token_is_renewed_once() -> None:
    flow = PayPalFlow()
    flow.made()
    flow.sandbox.tokens.revoke()
    assert flow.retrieve(flow.made().id).status == "requires_action"
    assert flow.requests()[2:6] == ["POST orders 401", "POST token 200", "POST orders 200",
                                    "GET order 200"]  # fmt: skip


def test_a_second_rejection_is_misconfigured() -> None:
    flow = PayPalFlow()
    flow.fault("unauthorized", ORDERS, count=None)
    outcome = flow.create()
    assert isinstance(outcome, Unclear)
    assert isinstance(outcome.error, Misconfigured)
    assert flow.requests() == ["POST token 200", "POST orders 401", "POST token 200",
                               "POST orders 401"]  # fmt: skip


def test_wrong_credentials_send_nothing() -> None:
    flow = PayPalFlow()
    flow.gateway = flow.another("invalid")
    outcome = flow.create()
    assert isinstance(outcome, Unclear)
    assert isinstance(outcome.error, Misconfigured)
    assert flow.requests() == ["POST token 401"]


def test_an_unreachable_token_endpoint_sends_nothing() -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.gateway = flow.another()
    flow.fault("lost_before", "/v1/oauth2/token", count=None)
    outcome = flow.capture(order_id)
    assert isinstance(outcome, CaptureUnclear)
    assert outcome.nothing_sent
    assert isinstance(outcome.error, GatewayUnreachable)
    with pytest.raises(GatewayUnreachable):
        flow.retrieve(order_id)
    assert flow.captured() == []


def test_no_log_line_has_a_token_or_the_secret() -> None:
    flow = PayPalFlow()
    flow.fault("unauthorized", CREATE)
    flow.made()
    text = repr(flow.sends)
    assert "A21AA" not in text
    assert "secret" not in text


# Reading.


def test_an_unknown_order_is_no_such_payment() -> None:
    with pytest.raises(NoSuchIntent):
        PayPalFlow().retrieve("UNKNOWN")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("error_503", GatewayFailed),
        ("html", GatewayFailed),
        ("lost_before", GatewayUnreachable),
        ("rate_limited", RateLimited),
        ("forbidden", Misconfigured),
    ],
)
def test_a_failed_read_is_an_error_and_no_missing_order(
    kind: str, error: type[PaymentError]
) -> None:
    flow = PayPalFlow()
    order_id = flow.made().id
    flow.fault(kind, ORDERS, "GET", count=None)
    with pytest.raises(error):
        flow.retrieve(order_id)


# Capture.


@pytest.mark.parametrize(
    "kind", ["lost_after", "cut_body", "error_500_with_object", "html", "empty_object"]
)
def test_an_unclear_capture_is_read_before_it_is_sent_again(kind: str) -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.fault(kind, f"{ORDERS}/")
    outcome = flow.capture(order_id)
    assert isinstance(outcome, Captured)
    assert outcome.replayed
    assert flow.requests()[-2].startswith("POST capture")
    assert flow.requests()[-1] == "GET order 200"


@pytest.mark.parametrize(
    "kind", ["lost_before", "error_500_without_object", "error_503", "key_in_use", "rate_limited"]
)
def test_a_capture_that_did_nothing_is_sent_again(kind: str) -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.fault(kind, f"{ORDERS}/", count=2)
    outcome = flow.capture(order_id)
    assert isinstance(outcome, Captured)
    assert not outcome.replayed
    assert flow.captured() == [order_id]
    keys = {entry["request_id"] for entry in flow.sandbox.log.entries if "capture" in entry["path"]}
    assert keys == {"capture-1"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("lost_before", GatewayUnreachable),
        ("error_503", GatewayFailed),
        ("rate_limited", RateLimited),
        ("key_in_use", InFlight),
        ("unauthorized", Misconfigured),
    ],
)
def test_a_capture_that_stays_unclear_keeps_the_claim(kind: str, error: type[PaymentError]) -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.fault(kind, f"{ORDERS}/", count=None)
    outcome = flow.capture(order_id)
    assert isinstance(outcome, CaptureUnclear)
    assert type(outcome.error) is error
    assert not outcome.nothing_sent
    assert outcome.alarm is None


def test_a_lost_read_after_a_lost_capture_is_followed_by_a_resend() -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.fault("lost_after", f"{ORDERS}/", "POST")
    flow.fault("lost_before", f"{ORDERS}/", "GET")
    outcome = flow.capture(order_id)
    assert isinstance(outcome, Captured)
    assert outcome.replayed
    assert flow.captured() == [order_id]


@pytest.mark.parametrize("issue", sorted(CAPTURE_ISSUES))
def test_each_issue_has_its_outcome(issue: str) -> None:
    flow = PayPalFlow()
    order_id = flow.approved(issue)
    outcome, page = flow.capture(order_id), f"{BASE}/checkoutnow?token={order_id}"
    match issue:
        case "ORDER_NOT_APPROVED":
            assert outcome == PayerNeeded(outcome.error, declined=False)
        case "PAYER_ACTION_REQUIRED":
            assert outcome == PayerNeeded(outcome.error, declined=False, redirect_url=page)
        case "INSTRUMENT_DECLINED" | "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING":
            assert outcome == PayerNeeded(outcome.error, declined=True, redirect_url=page)
            assert isinstance(outcome.error, CardRefused)
        case "DUPLICATE_INVOICE_ID":
            assert isinstance(outcome, PaidBefore)
        case "NOT_ENABLED_FOR_CARD_PROCESSING" | "AUTH_CAPTURE_NOT_ENABLED":
            assert isinstance(outcome, AccountRefused)
        case "ORDER_COMPLETION_IN_PROGRESS":
            assert isinstance(outcome, CaptureUnclear)
            assert outcome.alarm == issue
        case "ORDER_ALREADY_CAPTURED" | "DECLINED_DUE_TO_RELATED_TXN":
            # The stand-in says so of an order that still is approved: only PayPal knows why.
            assert isinstance(outcome, CaptureUnclear)
        case _:
            assert issue in NEVER
            assert isinstance(outcome, CaptureOver)
            assert outcome.intent is None
    assert flow.captured() == []
    assert flow.requests()[-1].startswith("GET order"), "a rejection is compared with the order"


@pytest.mark.parametrize("plan", ["DECLINED", "FAILED"])
def test_a_declined_capture_is_over_with_its_order(plan: str) -> None:
    flow = PayPalFlow()
    outcome = flow.capture(flow.approved(plan))
    assert isinstance(outcome, CaptureOver)
    assert outcome.intent is not None
    assert outcome.intent.status == "canceled"


def test_a_rejection_after_an_unresolved_send_is_unclear() -> None:
    flow = PayPalFlow()
    order_id = flow.made().id
    flow.fault("lost_before", f"{ORDERS}/")
    outcome = flow.capture(order_id)
    assert isinstance(outcome, CaptureUnclear)
    assert isinstance(outcome.error, Refused)
    assert isinstance(flow.capture(order_id), PayerNeeded)


def test_a_forbidden_capture_is_about_the_account() -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.fault("forbidden", f"{ORDERS}/")
    assert isinstance(flow.capture(order_id), AccountRefused)


def test_a_capture_without_time_sends_nothing() -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    outcome = flow.capture(order_id, seconds=0.1)
    assert isinstance(outcome, CaptureUnclear)
    assert flow.captured() == []


@pytest.mark.parametrize("of", ["create", "capture"])
def test_no_send_leaves_after_the_machine_was_suspended(of: str) -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.fault("lost_before", ORDERS, count=None)
    before = len(flow.sends)
    flow.suspended_seconds = 3600
    # Its monotonic clock stands still meanwhile.
    deadline = Deadline.after(30, lambda: 0.0)
    if of == "create":
        flow.gateway.create(flow.sent(), "key-2", deadline)
    else:
        flow.gateway.capture(order_id, flow.sent(), "capture-1", deadline)
    assert len([each for each in flow.sends[before:] if each.key]) == 1


# Answers that the stand-in never gives.


class Scripted:
    """Answers each path with a script, and everything else with a token."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.sent: list[tuple[str, Mapping[str, str], bytes | None]] = []

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, ends_at: float
    ) -> Response:
        path = url.partition(":12112")[2]
        if path == "/v1/oauth2/token":
            return answer(200, {"access_token": "T", "expires_in": 300})
        self.sent.append((f"{method} {path}", headers, body))
        name = "capture" if path.endswith("capture") else "create" if path == ORDERS else "read"
        found = self.answers[name]
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]

    def close(self) -> None:
        return


def answer(status: int, body: Any) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {}, content)


def problem(status: int, name: str, issue: str = "") -> Response:
    details = [{"issue": issue, "description": "Said."}] if issue else []
    return answer(status, {"name": name, "details": details, "debug_id": "abc"})


def scripted(**answers: Any) -> PayPalFlow:
    flow = PayPalFlow()
    flow.gateway = flow.another(transport=Scripted(**answers))
    return flow


SILENT = HttpFailure("wait", "lost")
HTML = answer(404, b"<html>")


def test_a_duplicate_invoice_of_the_orders_own_capture_is_captured() -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.capture(order_id)
    shown = flow.sandbox.handle("GET", f"{ORDERS}/{order_id}", _headers(flow)).body
    flow.gateway = flow.another(
        transport=Scripted(
            capture=problem(422, "UNPROCESSABLE_ENTITY", "DUPLICATE_INVOICE_ID"),
            read=answer(200, shown),
        )
    )
    assert isinstance(flow.capture(order_id, "capture-2"), Captured)


@pytest.mark.parametrize("read", [SILENT, HTML, problem(404, "RESOURCE_NOT_FOUND")])
def test_a_duplicate_invoice_of_an_unread_order_is_unclear(read: Any) -> None:
    duplicate = problem(422, "UNPROCESSABLE_ENTITY", "DUPLICATE_INVOICE_ID")
    outcome = scripted(capture=duplicate, read=read).capture("8FK5")
    assert isinstance(outcome, CaptureUnclear)


@pytest.mark.parametrize("link", [True, False])
def test_a_minimal_creation_without_a_link_is_unclear(link: bool) -> None:
    unit = {"custom_id": "A-1", "amount": {"currency_code": "USD", "value": "10.99"}}
    made = {"id": "8FK5", "status": "PAYER_ACTION_REQUIRED"}
    links = [{"rel": "payer-action", "href": "https://x/?token=8FK5"}] if link else []
    flow = scripted(
        create=answer(201, {**made, "links": links}),
        read=answer(200, {**made, "purchase_units": [unit]}),
    )
    assert isinstance(flow.create(), Made if link else Unclear)


@pytest.mark.parametrize("read", [SILENT, HTML, problem(404, "RESOURCE_NOT_FOUND")])
def test_a_minimal_creation_that_is_not_readable_is_unclear(read: Any) -> None:
    made = answer(201, {"id": "8FK5", "status": "PAYER_ACTION_REQUIRED", "links": []})
    assert isinstance(scripted(create=made, read=read).create(), Unclear)


def _headers(flow: PayPalFlow) -> dict[str, str]:
    token = next(iter(flow.sandbox.tokens._issued))
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("capture", "kind"),
    [
        (problem(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"), PaymentGone),
        (problem(404, "OTHER"), CaptureUnclear),
        (HTML, CaptureUnclear),
        (answer(403, b"<html>"), CaptureUnclear),
        (problem(403, "OTHER"), CaptureUnclear),
        (problem(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE"), CaptureUnclear),
        (problem(415, "UNSUPPORTED_MEDIA_TYPE"), CaptureUnclear),
        (problem(422, "UNPROCESSABLE_ENTITY"), CaptureUnclear),
        (problem(422, "UNPROCESSABLE_ENTITY", "UNHEARD_OF"), CaptureUnclear),
        (problem(422, "UNPROCESSABLE_ENTITY", "PAYEE_ACCOUNT_RESTRICTED"), AccountRefused),
        (problem(422, "UNPROCESSABLE_ENTITY", "PAYEE_BLOCKED_TRANSACTION"), CaptureOver),
        (answer(422, {"details": [{"issue": "TRANSACTION_REFUSED"}]}), CaptureUnclear),
        (answer(422, {"name": "UNPROCESSABLE_ENTITY", "details": ["text"]}), CaptureUnclear),
        (answer(422, {"name": 7}), CaptureUnclear),
        (answer(422, b"[" * 60_000), CaptureUnclear),
        (answer(201, {"id": "8FK5", "status": "APPROVED"}), CaptureUnclear),
        (answer(204, b""), CaptureUnclear),
    ],
)
def test_only_paypals_own_words_end_a_capture(capture: Response, kind: type[Any]) -> None:
    flow = scripted(capture=capture, read=SILENT)
    assert isinstance(flow.capture("8FK5"), kind)


@pytest.mark.parametrize(
    ("capture", "alarm"),
    [
        (problem(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE"), "INVALID_PARAMETER_VALUE"),
        (problem(415, "UNSUPPORTED_MEDIA_TYPE"), "UNSUPPORTED_MEDIA_TYPE"),
        (problem(422, "UNPROCESSABLE_ENTITY", "UNHEARD_OF"), None),
    ],
)
def test_a_bug_of_ours_raises_an_alarm(capture: Response, alarm: str | None) -> None:
    outcome = scripted(capture=capture, read=SILENT).capture("8FK5")
    assert outcome.alarm == alarm


@pytest.mark.parametrize("read", [HTML, SILENT, problem(404, "RESOURCE_NOT_FOUND")])
def test_a_missing_order_after_a_silent_capture_is_unclear(read: Any) -> None:
    outcome = scripted(capture=SILENT, read=read).capture("8FK5")
    assert isinstance(outcome, CaptureUnclear)


def test_a_404_of_another_server_is_no_missing_order() -> None:
    with pytest.raises(GatewayFailed):
        scripted(read=HTML).retrieve("8FK5")


def test_a_creation_without_a_link_is_unreadable() -> None:
    flow = PayPalFlow()
    unit = {"custom_id": "A-1", "amount": {"currency_code": "USD", "value": "10.99"}}
    made = {"id": "8FK5", "status": "PAYER_ACTION_REQUIRED", "purchase_units": [unit]}
    flow.gateway = flow.another(transport=Scripted(create=answer(201, made)))
    assert isinstance(flow.create(), Unclear)


def test_a_creation_sends_the_documented_headers() -> None:
    transport = Scripted(create=SILENT)
    flow = PayPalFlow()
    flow.gateway = flow.another(transport=transport)
    flow.create()
    name, headers, content = transport.sent[0]
    assert name == f"POST {ORDERS}"
    assert headers == {
        "Authorization": "Bearer T",
        "Prefer": "return=representation",
        "Content-Type": "application/json",
        "PayPal-Request-Id": "key-1",
    }
    assert {sent for *_, sent in transport.sent} == {content}


def test_a_message_of_paypals_is_short_and_without_secrets() -> None:
    said = "Bearer A21AAsecret " + "x" * 5_000
    details = [{"issue": "BAD\r\nWORD", "description": said}]
    body = {"name": "UNPROCESSABLE_ENTITY", "details": details}
    outcome = scripted(create=answer(422, body)).create()
    assert isinstance(outcome, Declined)
    assert "A21AAsecret" not in outcome.error.message
    assert len(outcome.error.message) < 1_100
    assert outcome.error.code == "invalid_request_error"
