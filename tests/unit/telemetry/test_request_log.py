"""Log lines: JSON or plain text, with secrets redacted."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from payment_service.gateways.send_report import Meaning, RetryDetails, Send, Verdict
from payment_service.key_store.contract import Order
from payment_service.payments.observer import Observation
from payment_service.schema.secret import redacted
from payment_service.telemetry.formatters import JsonLines, PlainText, correlation_id
from payment_service.telemetry.logs import start_logging
from payment_service.telemetry.payment_log import (
    log_circuit,
    log_observation,
    log_retry,
    log_send,
)
from payment_service.telemetry.request_log import begin_request, end_request, log_request


def record(message: str = "a message", **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": message, "created": 0})
    vars(made).update(extra)
    return made


def failing() -> logging.LogRecord:
    try:
        int("sk_test_abc")
    except ValueError:
        return record(exc_info=sys.exc_info())
    raise AssertionError


def test_a_record_is_one_line_of_json_with_its_facts() -> None:
    line = JsonLines().format(record("two\nlines", order="A-1"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "logger": "n",
        "event": "two\nlines",
        "correlation_id": None,
        "order": "A-1",
    }


def test_a_traceback_stays_in_the_line() -> None:
    line = JsonLines().format(failing())
    assert "\n" not in line
    assert "ValueError" in json.loads(line)["traceback"]
    assert "sk_test_abc" not in line


def test_on_a_terminal_the_facts_follow_the_message() -> None:
    line = PlainText().format(record(order="A-1"))
    assert line == "1970-01-01T00:00:00.000+00:00 \x1b[36minfo   \x1b[0m a message order=A-1"
    assert "ValueError" in PlainText().format(failing())


def test_the_correlation_id_is_in_the_line() -> None:
    token = correlation_id.set("id-1")
    try:
        assert json.loads(JsonLines().format(record()))["correlation_id"] == "id-1"
    finally:
        correlation_id.reset(token)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk_test_4eC39Hq.", "key [redacted]."),
        ("key rk_live_4eC39Hq", "key [redacted]"),
        ("my_sk_live_4eC39Hq", "my_[redacted]"),
        ("whsec_a+b/c=", "[redacted]"),
        ("x_whsec_abc", "x_[redacted]"),
        ("pi_3Abc_secret_Def", "pi_3Abc[redacted]"),
        ("token eyJhbGci.eyJzdWIi.sig-1", "token [redacted]"),
        (f"key api_{'0' * 40}", "key [redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("authorization: bearer abc", "authorization: bearer [redacted]"),
        ("postgresql://me:p%40w@host/db", "postgresql://[redacted]@host/db"),
        ("https://api.stripe.com/v1 a@b.example", "https://api.stripe.com/v1 a@b.example"),
        (
            "pk_test_1 is public, task_test_1 is a word",
            "pk_test_1 is public, task_test_1 is a word",
        ),
    ],
)
def test_secrets_are_taken_out(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert shown in PlainText().format(record(text))


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def test_logging_is_started_once(root: logging.Logger) -> None:
    stream = io.StringIO()
    start_logging("INFO", stream)
    start_logging("WARNING", stream)
    logging.getLogger("x").info("unheard")
    logging.getLogger("stripe").info("unheard")
    logging.getLogger("x").warning("heard")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "heard"


def test_line_of_a_failed_send_has_its_phase_and_cause(caplog: pytest.LogCaptureFixture) -> None:
    lost = Verdict(Meaning.NO_ANSWER, again=True)
    with caplog.at_level(logging.DEBUG, logger="payments"):
        log_send(Send("get", "/v1/x", 1, 0.5, None, None, lost, "tls", "no CA, said sk_test_abc"))
    line = json.loads(JsonLines().format(caplog.records[0]))
    assert (line["reason"], line["phase"]) == ("no_answer", "tls")
    assert line["cause"] == "no CA, said [redacted]"


def test_an_observation_a_send_and_a_retry_are_lines(caplog: pytest.LogCaptureFixture) -> None:
    limited = Verdict(Meaning.LIMITED, again=True, status=429)
    with caplog.at_level(logging.INFO):
        log_observation(
            Observation("created", Order(False, "c", "A-1"), 2, {"status": "succeeded"})
        )
        log_observation(
            Observation("adopted", Order(False, "c", "A-1"), 2, {"status": "succeeded"})
        )
        path = "/v1/payment_intents"
        log_send(Send("post", path, 1, 0.5, "req_1", "order-1", limited, status=429))
        log_send(Send("post", path, 2, 0.5, "req_2", "order-12345678abc", None, status=200))
        log_retry(RetryDetails(1, 0.75, limited))
    happened, failed, sent, again = (json.loads(JsonLines().format(r)) for r in caplog.records)
    assert (happened["event"], happened["order"], happened["attempt"]) == ("adopted", "A-1", 2)
    assert (failed["level"], failed["reason"], failed["status"]) == ("warning", "limited", 429)
    assert (sent["level"], sent["reason"], sent["stripe_request_id"]) == ("info", None, "req_2")
    assert again["wait_seconds"] == 0.75
    assert sent["key"] == "order-12345678"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2Jx", "a\u2028b", "\x9bx", "\ud800", "a\rb\x00"])
def test_nothing_that_a_caller_sent_breaks_a_line(text: str) -> None:
    for formatter in (JsonLines(), PlainText()):
        line = formatter.format(record(text, order=text))
        shown = line.replace("\x1b[36minfo   \x1b[0m", "")
        assert shown.isprintable()
    assert json.loads(JsonLines().format(record(text)))["event"] == text


def test_a_request_is_followed_to_its_last_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert begin_request("id-1") == "id-1"
        log_observation(Observation("claimed", Order(False, "shop-a", "A-1"), 1))
        for number in (1, 2):
            log_send(Send("post", "/v1/x", number, 0.5, f"req_{number}", "order-12345678abc", None))
        log_observation(Observation("created", Order(False, "shop-a", "A-1"), 1))
        log_request(status=200, seconds=0.1)
        lines = [json.loads(JsonLines().format(r)) for r in caplog.records]
        end_request()
    assert {line["correlation_id"] for line in lines} == {"id-1"}
    assert {line["order"] for line in lines} == {"A-1"}
    last = lines[-1]
    # The first send went well, which the last line tells.
    assert [line["event"] for line in lines] == ["sent", "request"]
    assert last["stripe_seconds"] == 1.0
    assert (
        last["outcome"],
        last["sends"],
        last["stripe_request_id"],
        last["key"],
        last["attempt"],
        last["client"],
    ) == (
        "created",
        2,
        "req_2",
        "order-12345678",
        1,
        "shop-a",
    )


def test_two_paid_for_one_order_is_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    log_observation(Observation("two_taken", Order(True, None, "A-1"), 1))
    assert caplog.records[0].levelname == "ERROR"


def test_other_handlers_can_format_our_records(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])
    start_logging("INFO", io.StringIO())
    # gunicorn's own lines name the process as a number.
    shown = logging.Formatter("%(process)d %(thread)d %(filename)s")
    monkeypatch.setattr(caplog.handler, "formatter", shown)
    logging.getLogger("gunicorn.error").warning("Booting worker")
    log_request(status=200)
    theirs, ours = caplog.text.splitlines()
    here = f"{os.getpid()} {threading.get_ident()}"
    assert theirs == f"{here} {Path(__file__).name}"
    assert ours.startswith(here)


def test_sends_to_several_gateways_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    lost = Verdict(Meaning.NO_ANSWER, again=True)
    with caplog.at_level(logging.INFO):
        begin_request("id-1")
        log_send(Send("post", "/v1/payment_intents", 1, 8.0, None, "order-1", lost), "stripe")
        made = Send("post", "/v2/checkout/orders", 2, 0.5, "debug1", "order-2", None, status=201)
        log_send(made, "paypal")
        log_request(status=200)
        lines = [json.loads(JsonLines().format(r)) for r in caplog.records]
        end_request()
    failed, made, last = lines
    assert (failed["gateway"], failed["reason"]) == ("stripe", "no_answer")
    assert (failed["status"], made["status"]) == (None, 201)
    assert (made["gateway"], made["paypal_request_id"]) == ("paypal", "debug1")
    assert (last["stripe_seconds"], last["paypal_seconds"], last["sends"]) == (8.0, 0.5, 2)
    assert "gateway" not in last


def test_change_of_a_circuit_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_circuit("stripe", "circuit_opened")
        log_circuit("stripe", "circuit_closed")
    opened, closed = (json.loads(JsonLines().format(r)) for r in caplog.records)
    assert (opened["level"], opened["event"], opened["gateway"]) == (
        "warning",
        "circuit_opened",
        "stripe",
    )
    assert (closed["level"], closed["event"]) == ("info", "circuit_closed")
