"""atheris on the parsers of untrusted bytes: `python -m fuzz.bytes TARGET -runs=N`.

For every input, a parser may raise only our own errors, and may use at most MOST_SECONDS of CPU.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports():
    from payment_service.access.clients import Client, Clients
    from payment_service.access.tokens import verified_claims
    from payment_service.access.webhook_secrets import WebhookSecrets
    from payment_service.errors import BadRequest, Unauthorized
    from payment_service.gateways.stripe.errors import without_secrets
    from payment_service.gateways.stripe.webhook import _parsed as parse_event
    from payment_service.gateways.stripe.webhook import read_event
    from payment_service.payments.request.create import PaymentRequest, check_request
    from payment_service.payments.request.existing_order import UpdateRequest
    from payment_service.schema.secret import redacted
    from payment_service.web.json_object import read_json_object

from payment_service.schema.secret import Secret

SECRETS = WebhookSecrets(Secret("whsec_fuzz"), None)
CLIENTS = Clients({"a": Client(id="a", token_secrets=[Secret("x" * 64)])})

# CPU time for one input. Instrumented code is ten times as slow as the code in the service.
MOST_SECONDS = 1.0

# Quadratic time is visible at the length of a full body, which exceeds the fuzzer's own limit.
BODY_CHARACTERS = 64 * 1024

ORDER = {"order_id": "A-1", "amount": 1099, "currency": "usd"}
EVERYTHING = {
    **ORDER,
    "client_id": 5,
    "payment_method_types": ["acss_debit"],
    "payment_method_options": {"acss_debit": {"mandate_options": {"interval_description": "x"}}},
    "metadata": {"a": "b"},
    "receipt_email": "a@b.example",
    "capture_method": "manual",
    "expected_amount": 5,
    "description": "\u00e9",
}
EVENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "livemode": False,
    "data": {"object": {"id": "pi_1", "metadata": {"order_id": "A-1", "client_id": None}}},
}

# The initial corpus: almost valid inputs reach more code than invalid ones.
SEEDS: dict[str, list[bytes]] = {
    "json": [json.dumps(each).encode() for each in (ORDER, EVERYTHING)] + [b"\xef\xbb\xbf{}"],
    "event": [json.dumps(EVENT).encode()],
    "signature": [
        f"t={int(time.time())},v1={'0' * 64},v0=x\n{json.dumps(EVENT)}".encode(),
        f"t={'9' * 400}{(',v1=' + '0' * 64) * 20}\n{{}}".encode(),
    ],
    "token": [
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJjbGllbnRfaWQiOiJhIn0.AAAA",
        b"eyJhbGciOiJub25lIn0.eyJjbGllbnRfaWQiOiJhIn0.",
        b"eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.eyJjbGllbnRfaWQiOiJhIn0.",
    ],
    "redaction": [
        b"-eyJ\n.",
        b"eyJa.eyJa.\n",
        b"sk_test_a \n_secret_",
        b"://a@\nBearer x",
        b"a@b.\n@",
    ],
}


def json_body(data: bytes) -> None:
    """A request is rejected, or parsed; its canonical form parses to itself."""
    for kind in (PaymentRequest, UpdateRequest):
        try:
            request = check_request(read_json_object(data), kind)
        except BadRequest:
            continue
        text = request.canonical()
        assert check_request(read_json_object(text.encode()), kind).canonical() == text


def event(data: bytes) -> None:
    """An event is rejected or parsed, as if its signature were valid."""
    with suppress(BadRequest):
        parse_event(data)


def signature(data: bytes) -> None:
    """A forged signature header with a body is rejected."""
    header, _, body = data.partition(b"\n")
    try:
        read_event(body, header.decode("latin-1"), SECRETS)
    except BadRequest:
        return
    raise AssertionError("a forged event was accepted")


def token(data: bytes) -> None:
    """A forged bearer token is rejected."""
    try:
        verified_claims(data.decode("latin-1"), CLIENTS, 0.0)
    except Unauthorized:
        return
    raise AssertionError("a forged token was accepted")


def redaction(data: bytes) -> None:
    """Redact a text that repeats the input, as a log value, a name or a message could."""
    unit, _, end = data.decode("latin-1").partition("\n")
    text = unit * (BODY_CHARACTERS // max(1, len(unit))) + end
    redacted(text)
    without_secrets(text)
    for given in ({text: 1}, {**ORDER, "receipt_email": text}, {**ORDER, "metadata": {text: text}}):
        with suppress(BadRequest):
            check_request(given, PaymentRequest)


TARGETS = {
    "json": json_body,
    "event": event,
    "signature": signature,
    "token": token,
    "redaction": redaction,
}


def with_time_limit(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Wrap a target so that it fails for an input that takes too long."""

    def run(data: bytes) -> None:
        began = time.process_time()
        target(data)
        took = time.process_time() - began
        assert took < MOST_SECONDS, f"an input of {len(data)} bytes took {took:.2f} s"

    return run


def main() -> None:
    """Run one target until -runs or -max_total_time ends it."""
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], with_time_limit(TARGETS[name]))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
