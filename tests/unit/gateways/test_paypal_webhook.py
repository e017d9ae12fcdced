"""PayPal's webhook events: the signature by certificate, and the order that they name."""

from __future__ import annotations

import base64
import json
import queue
import threading
import time
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from payment_service.errors import BadRequest, GatewayUnreachable
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.paypal.certificates import MOST_WAITING, Certificates
from payment_service.gateways.paypal.events import payment_event
from payment_service.gateways.paypal.webhook import read_event, signed_text
from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure
from payment_service.key_store.contract import Order
from sandbox.paypal.events import certificate, signer
from tests.support.paypal_flow import PayPalFlow

WEBHOOK_ID = "1JE4291016473214C"
LIVE = "https://api-m.paypal.com"
CERT_URL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
BODY = b'{"id":"WH-1","event_type":"CHECKOUT.ORDER.APPROVED"}'


class CertificateServer:
    """Answers every URL with a certificate; counts the requests."""

    def __init__(self, answer: Response | Exception | None = None) -> None:
        self.answer = answer or Response(200, {}, certificate())
        self.asked: list[str] = []

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, ends_at: float
    ) -> Response:
        assert (method, body) == ("GET", None)
        assert ends_at - time.monotonic() < 10
        self.asked.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        return


def signed(body: bytes = BODY, webhook_id: str = WEBHOOK_ID, **changes: str) -> dict[str, str]:
    """Return the headers of a delivery, in lower case."""
    headers = {
        name.lower(): value for name, value in signer(lambda: "https://x")(body, webhook_id).items()
    }
    headers["paypal-cert-url"] = CERT_URL
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def read(
    headers: dict[str, str],
    body: bytes = BODY,
    server: CertificateServer | None = None,
    base: str = LIVE,
    ids: tuple[str, ...] = (WEBHOOK_ID,),
    now: float = 1_800_000_000.0,
) -> PaymentEvent | None:
    certificates = Certificates(server or CertificateServer(), base, lambda: now)
    return read_event(body, headers, ids, certificates, livemode=False)


def code_of(*given: Any, **more: Any) -> str:
    with pytest.raises(BadRequest) as raised:
        read(*given, **more)
    return raised.value.code


# The signature.


def test_the_signed_text_is_that_of_the_vector() -> None:
    assert zlib.crc32(BODY) == 344488721
    headers = {
        "paypal-transmission-id": "69cd13f0-0000-11e5-baa3-778b53f4ae55",
        "paypal-transmission-time": "2026-11-29T10:00:00Z",
    }
    assert signed_text(BODY, headers, WEBHOOK_ID) == (
        b"69cd13f0-0000-11e5-baa3-778b53f4ae55|2026-11-29T10:00:00Z|1JE4291016473214C|344488721"
    )


def test_a_signed_event_is_accepted() -> None:
    assert read(signed()) is None, "it is about no order"


def test_one_of_several_webhook_ids_is_enough() -> None:
    read(signed(), ids=("ANOTHER", WEBHOOK_ID))
    assert code_of(signed(), ids=("ANOTHER",)) == "invalid_signature"


def test_without_a_webhook_id_no_event_is_taken() -> None:
    assert code_of(signed(), ids=()) == "webhook_id_missing"


@pytest.mark.parametrize(
    "name",
    [
        "paypal-transmission-id",
        "paypal-transmission-time",
        "paypal-transmission-sig",
        "paypal-cert-url",
        "paypal-auth-algo",
    ],
)
def test_a_missing_header_is_an_invalid_signature(name: str) -> None:
    headers = signed()
    del headers[name]
    server = CertificateServer()
    assert code_of(headers, server=server) == "invalid_signature"
    assert server.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"paypal_transmission_id": "another"},
        {"paypal_transmission_id": "a|b"},
        {"paypal_transmission_id": "x" * 101},
        {"paypal_transmission_time": "2026-11-29T10:00:01Z"},
        {"paypal_transmission_sig": "AAAA"},
        {"paypal_transmission_sig": "no base64"},
        {"paypal_transmission_sig": "A" * 1_001},
        {"paypal_transmission_sig": base64.b64encode(bytes(256)).decode()},
        {"paypal_auth_algo": "SHA1withRSA"},
        {"paypal_auth_algo": "none"},
    ],
)
def test_a_changed_header_is_an_invalid_signature(changes: dict[str, Any]) -> None:
    assert code_of(signed(**changes)) == "invalid_signature"


def test_a_changed_body_is_an_invalid_signature() -> None:
    assert code_of(signed(), BODY + b" ") == "invalid_signature"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"{", b"[" * 60_000, b"\xff", b'{"id": "\xff"}']
)
def test_a_signed_body_without_an_event_is_malformed(body: bytes) -> None:
    assert code_of(signed(body), body) == "malformed_json"


# The certificate.


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://paypal.com.evil.example/CERT-1",
        "https://evilpaypal.com/CERT-1",
        "https://evil.example/.paypal.com/CERT-1",
        "https://evil.example/CERT-1?x=.paypal.com",
        "https://evil.example#.paypal.com/CERT-1",
        "https://evil.example\\.paypal.com/CERT-1",
        "https://api.paypal.com@evil.example/CERT-1",
        "https://user:pw@api.paypal.com/CERT-1",
        "https://api.paypal.com:8443/CERT-1",
        "https://api.paypal.com/../CERT-1",
        "https://api.paypal.com/CERT-1?next=https://evil.example",
        "https://api.paypal.com/CERT-1\r\nX: 1",
        "https://api.paypal.com/CERT-1\n",
        "https://evil.example%2F.paypal.com/CERT-1",
        "https://.paypal.com/CERT-1",
        "https://a.b.c.d.paypal.com/v1/notifications/certs/CERT-1",
        "https://www.paypal.com/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/../CERT-1",
        "https://api.p\u0430ypal.com/CERT-1",
        "ftp://api.paypal.com/CERT-1",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_other_host_is_asked_for_a_certificate(url: str) -> None:
    server = CertificateServer()
    assert code_of(signed(paypal_cert_url=url), server=server) == "invalid_signature"
    assert server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77",
        "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api-m.paypal.com/v1/notifications/certs/CERT_1",
    ],
)
def test_paypals_hosts_are_asked(url: str) -> None:
    server = CertificateServer()
    read(signed(paypal_cert_url=url), server=server)
    assert server.asked == [url]


BASE = "http://127.0.0.1:12112"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (f"{BASE}/v1/notifications/certs/CERT-SANDBOX-1", True),
        (f"{BASE}0/v1/notifications/certs/CERT-1", False),
        (f"{BASE}@evil.example/CERT-1", False),
        (f"{BASE}.evil.example/CERT-1", False),
        ("http://127.0.0.1:12113/CERT-1", False),
        (CERT_URL, False),
    ],
)
def test_a_stand_in_is_asked_for_its_own_certificate_only(url: str, asked: bool) -> None:
    server = CertificateServer()
    headers = signed(paypal_cert_url=url)
    if asked:
        read(headers, server=server, base=BASE)
    else:
        assert code_of(headers, server=server, base=BASE) == "invalid_signature"
    assert bool(server.asked) is asked


def test_a_certificate_is_fetched_once_and_kept_by_its_url() -> None:
    server = CertificateServer()
    certificates = Certificates(server, LIVE, lambda: 1_800_000_000.0)
    other = f"{CERT_URL}-2"
    for url in (CERT_URL, CERT_URL, other, CERT_URL):
        read_event(BODY, signed(paypal_cert_url=url), [WEBHOOK_ID], certificates, livemode=False)
    assert server.asked == [CERT_URL, other]


def test_few_certificates_are_kept() -> None:
    server = CertificateServer()
    certificates = Certificates(server, LIVE, lambda: 1_800_000_000.0)
    for number in range(20):
        headers = signed(paypal_cert_url=f"{CERT_URL}-{number}")
        read_event(BODY, headers, [WEBHOOK_ID], certificates, livemode=False)
    assert len(certificates._kept) == 8


@pytest.mark.parametrize(
    "answer", [HttpFailure("wait", "lost"), Response(404, {}, b""), Response(503, {}, b"")]
)
def test_a_certificate_that_does_not_come_is_asked_for_again(answer: Any) -> None:
    server = CertificateServer(answer)
    with pytest.raises(GatewayUnreachable) as raised:
        read(signed(), server=server)
    assert raised.value.code == "paypal_unreachable"
    server.answer = Response(200, {}, certificate())
    read(signed(), server=server)


class HangingServer(CertificateServer):
    """Does not answer before `goes_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def send(self, *given: Any) -> Response:
        assert self.goes_on.wait(60)
        return super().send(*given)


def test_a_certificate_that_hangs_holds_few_threads() -> None:
    server = HangingServer()
    certificates = Certificates(server, LIVE, lambda: 1_800_000_000.0)
    ended: queue.Queue[object] = queue.Queue()

    def deliver() -> None:
        try:
            read_event(BODY, signed(), [WEBHOOK_ID], certificates, livemode=False)
            ended.put("read")
        except GatewayUnreachable as error:
            ended.put(error.code)

    threads = [threading.Thread(target=deliver) for _ in range(MOST_WAITING + 10)]
    for each in threads:
        each.start()
    assert [ended.get(timeout=60) for _ in range(10)] == ["paypal_unreachable"] * 10
    server.goes_on.set()
    for each in threads:
        each.join()
    assert "read" in [ended.get() for _ in range(MOST_WAITING)]
    assert len(server.asked) == 1
    read_event(BODY, signed(), [WEBHOOK_ID], certificates, livemode=False)


def made(key: Any, start: timedelta, end: timedelta) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.fromtimestamp(1_800_000_000, UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key())
    builder = builder.not_valid_before(now + start).not_valid_after(now + end)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


DAY = timedelta(days=1)
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)
STRONG = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"<html>",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        made(STRONG, -2 * DAY, -DAY),
        made(STRONG, DAY, 2 * DAY),
        made(WEAK, -DAY, DAY),
        made(CURVE, -DAY, DAY),
        made(STRONG, -DAY, DAY),
    ],
    ids=["empty", "html", "broken", "expired", "early", "weak", "curve", "another"],
)
def test_another_certificate_verifies_nothing(pem: bytes) -> None:
    server = CertificateServer(Response(200, {}, pem))
    assert code_of(signed(), server=server) == "invalid_signature"


def test_a_certificate_is_not_used_after_its_end() -> None:
    server = CertificateServer(Response(200, {}, made(STRONG, -DAY, DAY)))
    now = 1_800_000_000.0
    certificates = Certificates(server, LIVE, lambda: now)
    signature = STRONG.sign(b"text", PKCS1v15(), SHA256())
    assert certificates.verify(CERT_URL, signature, b"text")
    now += DAY.total_seconds()
    server.answer = Response(200, {}, certificate())
    assert not certificates.verify(CERT_URL, signature, b"text")
    assert len(server.asked) == 2


# The event.


def events_of_a_payment(plan: str = "COMPLETED", client_id: str | None = "shop-7") -> Any:
    flow = PayPalFlow()
    order_id = flow.made(sent=flow.sent(client_id=client_id)).id
    flow.approve(order_id, plan)
    flow.gateway.capture(order_id, flow.sent(client_id=client_id), "capture-1", flow.soon())
    return order_id, flow.sandbox.events


@pytest.mark.parametrize(
    ("plan", "last"),
    [
        ("COMPLETED", "PAYMENT.CAPTURE.COMPLETED"),
        ("PENDING", "PAYMENT.CAPTURE.PENDING"),
        ("DECLINED", "PAYMENT.CAPTURE.DENIED"),
    ],
)
def test_an_event_names_the_order_and_its_payment(plan: str, last: str) -> None:
    order_id, events = events_of_a_payment(plan)
    body = [json.dumps(event).encode() for event in events]
    found = [read(signed(each), each) for each in body]
    assert [each and each.type for each in found] == ["CHECKOUT.ORDER.APPROVED", last]
    order = Order(livemode=False, client_id="shop-7", order_id="A-1")
    assert {(each.intent_id, each.order) for each in found if each} == {(order_id, order)}
    assert len({each.id for each in found if each}) == 2


def test_a_reversed_approval_names_the_order() -> None:
    flow = PayPalFlow()
    order_id = flow.approved()
    flow.now += 6 * 3600
    flow.sandbox.settle()
    event = payment_event(flow.sandbox.events[-1], livemode=True)
    assert event is not None
    assert (event.type, event.intent_id) == ("CHECKOUT.PAYMENT-APPROVAL.REVERSED", order_id)
    assert event.livemode
    assert event.order.livemode


def test_a_capture_names_its_order_in_a_link_too() -> None:
    order_id, events = events_of_a_payment()
    event = {**events[-1], "resource": {**events[-1]["resource"]}}
    del event["resource"]["supplementary_data"]
    found = payment_event(event, livemode=False)
    assert found is not None
    assert found.intent_id == order_id


def changed(**changes: Any) -> dict[str, Any]:
    _, events = events_of_a_payment()
    return {**events[-1], **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": "a b"},
        {"id": "x" * 101},
        {"event_type": "BILLING.PLAN.CREATED"},
        {"event_type": "PAYMENT.CAPTURE.x y"},
        {"event_type": 7},
        {"resource": None},
        {"resource": []},
        {"resource": {"custom_id": "shop-7:A-1"}},
        {"resource": {"custom_id": "shop-7:A-1", "links": [{"rel": "up", "href": "https://x/y"}]}},
        {"resource": {"custom_id": "shop-7:A-1", "links": ["text", {"rel": "up"}]}},
        {"resource": {"custom_id": 7, "supplementary_data": {"related_ids": {"order_id": "X"}}}},
        {"resource": {"purchase_units": [], "supplementary_data": "text"}},
    ],
)
def test_an_event_about_anything_else_is_left_alone(changes: dict[str, Any]) -> None:
    assert payment_event(changed(**changes), livemode=False) is None
