"""The seam for the `responses` library, with which tests answer in a server's place.

`responses` replaces `send` of requests' HTTPAdapter while it is active. Only then a call goes
through `requests`, which the service itself does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure


def answer_of_mock(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Response | None:
    """Return the answer of an active `responses` mock; None if none is active.

    Raises HttpFailure for the connection errors that a mock raises.
    """
    adapters = sys.modules.get("requests.adapters")
    if adapters is None or adapters.HTTPAdapter.send.__module__ != "responses":
        return None
    import requests

    text = None if body is None else body.decode()
    request = requests.Request(method, url, headers=dict(headers), data=text).prepare()
    try:
        answer = requests.adapters.HTTPAdapter().send(request)
    except requests.RequestException as error:
        raise HttpFailure("wait", f"{type(error).__name__}: {error}") from error
    received = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, received, answer.content)
