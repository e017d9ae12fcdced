"""No text from outside costs more than its length: every pattern of the service."""

from __future__ import annotations

import ast
import importlib
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payment_service.gateways.retry import SendFailed
from payment_service.gateways.send_report import Meaning, Verdict
from payment_service.gateways.stripe.api_calls import ErrorAnswer
from payment_service.gateways.stripe.errors import MAX_MESSAGE_CHARACTERS, error_of
from payment_service.http_client.connection import Response
from payment_service.payments.request.create import PaymentRequest
from payment_service.payments.request.existing_order import (
    CancelRequest,
    StatusRequest,
    UpdateRequest,
)
from payment_service.payments.request.problems import bad_request
from payment_service.schema.fields import names_of
from payment_service.schema.secret import MAX_CHARACTERS, redacted
from tests.architecture.test_import_table import MODULES

# Eight times the input: eight times the work where it is linear, 64 times where it is quadratic.
SMALL, LARGE = 2_048, 16_384
MOST_TIMES = 28

# A shorter time cannot be measured reliably, and is no denial of service.
LEAST_SECONDS = 0.01

HOSTILE = [
    "-eyJ", "eyJ", "-eyJa.", "eyJa.eyJ", "sk_test_", "-sk_live_a", "_secret_", "pi_a_secret",
    "-pi_a", "whsec_", "://", "a://b", "Bearer ", "bearer a", "api_", "api_0", "a@", "a@b.", ".",
    "@", "a", "0", "_", "-", " ", ":", "/", "a: b\r\n", "a:\r\n", "\r\n", "/pi_1", "%41", "\ud800",
    "[", ",", "t=1,v1=",
]  # fmt: skip
ENDS = ["", ".", "@", "\n", "\x00", " x@"]

# Only an operator's own words reach these: the settings, the clients file, the command line, and
# the errors of the operator's own database.
OPERATORS = {
    "payment_service.settings.checks",
    "payment_service.cli.opening",
    "payment_service.key_store.redis.store",
    "payment_service.key_store.redis.opening",
    "payment_service.key_store.redis.faults",
    "payment_service.key_store.postgres.pool",
    "payment_service.key_store.postgres.faults",
}


# The modules outside the package.
ENTRY = ("stripe_back_end_api", "stripe_payment", "gunicorn.conf")
SOURCES = {
    name if name in ENTRY else f"payment_service.{name}": ast.unparse(tree)
    for name, tree in MODULES.items()
}

USED = re.compile(r"\b(_?[A-Z_]+)\.(?:sub|search|findall|finditer)\(")


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every compiled pattern of the service, with its place; the service itself is imported."""
    for name, source in SOURCES.items():
        if "re.compile(" not in source or name in OPERATORS:
            continue
        for attribute, value in vars(importlib.import_module(name)).items():
            if isinstance(value, re.Pattern):
                yield f"{name}.{attribute}", value
    for kind in (PaymentRequest, UpdateRequest, CancelRequest, StatusRequest):
        from payment_service.schema.fields import _fields_of

        for field, rule in _fields_of(kind).known.items():
            if rule.pattern is not None:
                yield f"{kind.__name__}.{field}", rule.pattern
        assert names_of(kind)


def searched() -> Iterator[str]:
    """Those that are looked for anywhere in a text, not only from its beginning."""
    for name, source in SOURCES.items():
        for used in USED.findall(source):
            yield f"{name}.{used}"


PATTERNS = dict(patterns())
SEARCHED = set(searched())


def seconds(work: Callable[[], object], runs: int = 3) -> float:
    """CPU time of the quickest run."""
    took = []
    for _ in range(runs):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def assert_linear(work: Callable[[str], object], unit: str, end: str) -> None:
    small, large = (unit * (size // len(unit)) + end for size in (SMALL, LARGE))
    if seconds(lambda: work(large), runs=1) > LEAST_SECONDS:
        for_large = seconds(lambda: work(large))
        assert for_large < LEAST_SECONDS or for_large < MOST_TIMES * seconds(lambda: work(small)), (
            unit,
            end,
        )


def test_every_pattern_is_compiled_where_it_can_be_enumerated() -> None:
    """A pattern inside of a function would escape the test of growth."""
    inline = re.compile(r"\bre\.(match|fullmatch|search|sub|findall|split|finditer)\(")
    found = {name for name, source in SOURCES.items() if inline.search(source)}
    assert found <= OPERATORS | {"payment_service.access.clients"}


def test_the_patterns_are_found() -> None:
    assert {
        "payment_service.schema.secret._SECRETS",
        "payment_service.gateways.stripe.errors._SECRETS",
        "payment_service.payments.request.text._EMAIL",
    } <= set(PATTERNS)
    assert len(PATTERNS) > 20


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_the_work_of_a_pattern_grows_with_its_input(name: str) -> None:
    pattern = PATTERNS[name]
    own = re.findall(r"[A-Za-z0-9_:/@.-]{2,}", str(pattern.pattern))
    for unit in [*HOSTILE, *own]:
        for end in ENDS:

            def search(text: str) -> None:
                given: Any = text
                if isinstance(pattern.pattern, bytes):
                    given = text.encode("utf-8", "replace")
                pattern.fullmatch(given)
                if name in SEARCHED:
                    pattern.sub("" if isinstance(given, str) else b"", given)

            assert_linear(search, unit, end)


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_redaction_of_a_text_grows_with_the_text(unit: str) -> None:
    for end in (*ENDS, f".{unit * 100}"):
        assert_linear(redacted, unit, end)


def test_a_token_that_was_cut_is_redacted() -> None:
    for cut in ("eyJhbGciOi", "eyJhbGciOi.", "eyJhbGciOi.eyJzdWIiOi", "-eyJhbGciOi.eyJ.sig"):
        assert "eyJ" not in redacted(f"x {cut}")


def test_a_message_of_stripes_is_shortened_before_it_is_searched() -> None:
    said = {"message": "-eyJ" * 100_000, "code": "x" * 100_000, "type": "card_error"}
    body = json.dumps({"error": said}).encode()
    verdict = Verdict(Meaning.NO, again=False, status=402, request_id="req_1\r\nX: 1")
    failed = SendFailed(verdict)
    failed.__cause__ = ErrorAnswer(Response(402, {}, body))
    error = error_of(failed)
    assert len(error.message) < MAX_MESSAGE_CHARACTERS + 100
    assert (error.code, error.request_id) == ("card_error", None)


def test_a_name_is_cut_before_it_is_searched() -> None:
    from payment_service.schema.fields import Fault

    assert len(bad_request([Fault("unknown", "-eyJ" * 20_000)]).message) < MAX_CHARACTERS
