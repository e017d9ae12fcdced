"""The certificates with which PayPal signs its events, by their URL."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate
from msgspec import Struct

from payment_service.gateways.calls import Http
from payment_service.http_client.failures import HttpFailure

# NIST SP 800-131A: shorter keys are no longer safe.
MIN_RSA_BITS = 2048

FETCH_SECONDS = 5.0

# PayPal uses one certificate at a time.
MOST_KEPT = 8

# A stranger can invent a certificate for each event. More events than these do not wait for one,
# so that they cannot take all threads of a worker.
MOST_WAITING = 16

# The whole URL, so that no user name, port, backslash or dot can lead elsewhere.
_CERTIFICATES = "/v1/notifications/certs/"
_PAYPALS = re.compile(
    rf"https://(?:[a-z0-9-]{{1,63}}\.){{1,3}}paypal\.com{_CERTIFICATES}[A-Za-z0-9_-]{{1,200}}"
)
_PATH = re.compile(r"/[A-Za-z0-9/_-]{1,200}")


class NotPayPals(Exception):
    """The certificate is not PayPal's, or is invalid."""


class Unavailable(Exception):
    """PayPal did not answer with the certificate: the event must be delivered again."""


class _Kept(Struct, frozen=True):
    key: RSAPublicKey
    until: datetime


class Certificates:
    """Fetches each certificate once; shared by all threads.

    `api_base`: the API's address. Certificates come only from PayPal's hosts, or from a stand-in's
    own address.
    """

    def __init__(self, http: Http, api_base: str, clock: Callable[[], float] = time.time) -> None:
        self._http, self._api_base, self._clock = http, api_base.rstrip("/"), clock
        self._kept: dict[str, _Kept] = {}
        self._fetching, self._waiting = threading.Lock(), threading.Semaphore(MOST_WAITING)

    def verify(self, url: str, signature: bytes, signed: bytes) -> bool:
        """Whether the certificate's key made this signature (RSA PKCS#1 v1.5, SHA-256).

        Raises NotPayPals before anything is fetched from another host, and Unavailable.
        """
        key = self._key(url)
        if len(signature) != (key.key_size + 7) // 8:
            return False
        try:
            key.verify(signature, signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def _key(self, url: str) -> RSAPublicKey:
        if not self._is_ours(url):
            raise NotPayPals("a certificate of another host")
        now = datetime.fromtimestamp(self._clock(), UTC)
        kept = self._kept.get(url)
        if kept and now < kept.until:
            return kept.key
        if not self._waiting.acquire(blocking=False):
            raise Unavailable("too many events wait for a certificate")
        try:
            return self._fetched_once(url, now).key
        finally:
            self._waiting.release()

    def _fetched_once(self, url: str, now: datetime) -> _Kept:
        ends_at = time.monotonic() + FETCH_SECONDS
        if not self._fetching.acquire(timeout=FETCH_SECONDS):
            raise Unavailable("other events wait for a certificate that does not come")
        try:
            kept = self._kept.get(url)
            if not (kept and now < kept.until):
                kept = self._fetched(url, now, ends_at)
                while len(self._kept) >= MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[url] = kept
            return kept
        finally:
            self._fetching.release()

    def _is_ours(self, url: str) -> bool:
        if _PAYPALS.fullmatch(f"{self._api_base}{_CERTIFICATES}x"):
            return _PAYPALS.fullmatch(url) is not None
        rest = url.removeprefix(self._api_base)
        return rest != url and _PATH.fullmatch(rest) is not None

    def _fetched(self, url: str, now: datetime, ends_at: float) -> _Kept:
        try:
            response = self._http.send("GET", url, {}, None, ends_at)
        except HttpFailure as failure:
            raise Unavailable(str(failure)) from failure
        if response.status != 200:
            raise Unavailable(f"status {response.status}")
        try:
            found = load_pem_x509_certificate(response.body)
        except ValueError as wrong:
            raise NotPayPals("no certificate") from wrong
        return _checked(found, now)


def _checked(found: Certificate, now: datetime) -> _Kept:
    if not found.not_valid_before_utc <= now < found.not_valid_after_utc:
        raise NotPayPals("a certificate that is not valid now")
    key = found.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise NotPayPals("a certificate without a strong RSA key")
    return _Kept(key, found.not_valid_after_utc)
