"""A send without a usable answer: the phase in which it failed, and whether it may have left."""

from __future__ import annotations

from typing import Literal

import pycurl

Phase = Literal["deadline", "lookup", "connect", "proxy", "tls", "send", "wait", "read"]

_LOOKUP = {pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY}

_TLS = {
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_INVALIDCERTSTATUS,
}

# CURLE_PROXY, which pycurl does not name.
_PROXY = 97


class HttpFailure(Exception):
    """No usable answer arrived. Unless it is a NeverSent, the other side may have the request.

    `phase` is the step that failed; the message is libcurl's.
    """

    def __init__(self, phase: Phase, text: str) -> None:
        super().__init__(text)
        self.phase = phase


class NeverSent(HttpFailure):
    """No byte of the request left this machine."""


def failure_of(curl: pycurl.Curl, code: int, text: str, sends: int) -> HttpFailure:
    """Convert the error of a transfer that began to write the request `sends` times."""
    if code == pycurl.E_OUT_OF_MEMORY:
        # libcurl says so, too, if it cannot open a file.
        text = "out of memory or of open files"
    if sends == 0:
        return NeverSent(_phase_before_the_request(curl, code), text)
    if sends > 1:
        # libcurl wanted to send again on a new connection, and was not allowed to.
        return HttpFailure("wait", "the server closed a kept connection without an answer")
    if code == pycurl.E_SEND_ERROR:
        return HttpFailure("send", text)
    return HttpFailure("read" if curl.getinfo(pycurl.HEADER_SIZE) else "wait", text)


def _phase_before_the_request(curl: pycurl.Curl, code: int) -> Phase:
    if code in _LOOKUP or not curl.getinfo(pycurl.NAMELOOKUP_TIME):
        return "lookup"
    if code in _TLS:
        return "tls"
    if code == _PROXY or curl.getinfo(pycurl.HTTP_CONNECTCODE) >= 300:
        return "proxy"
    if not curl.getinfo(pycurl.CONNECT_TIME):
        return "connect"
    tunnelled = curl.getinfo(pycurl.USED_PROXY) and curl.getinfo(pycurl.HTTP_CONNECTCODE) != 200
    return "proxy" if tunnelled else "tls"
