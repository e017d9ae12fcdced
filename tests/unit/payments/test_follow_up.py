"""The follow-up fields of a record, as older and newer versions of the service read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payment_service.gateways.sent_params import SentParams
from payment_service.payments.record.follow_up import Change, FollowUp, OrderEvent
from payment_service.payments.record.gateways import GatedCapture

KEPT = FollowUp(
    webhooks=("evt_1",),
    event_names=("order.paid",),
    queue=(OrderEvent("oev_1", "order.paid", 1.0, {"amount": 1099}),),
    amount=1099,
    revision=1,
    last_revision=2,
    pending=Change(2, 1, "f", SentParams("v", {"amount": 1}), "key", 1.0, 2.0),
    look_ups=(15.0, 120.0),
    ending=("pi_1",),
)


def newer() -> dict[str, Any]:
    """Return the stored object of a newer version, which has more fields everywhere."""
    given: dict[str, Any] = json.loads(KEPT.text()) | {"tomorrow": [1]}
    given["queue"] = [each | {"tomorrow": 1} for each in given["queue"]]
    given["pending"] |= {"tomorrow": 1}
    return given


def test_written_fields_are_read_back() -> None:
    assert FollowUp.parse(KEPT.text()) == KEPT


def test_names_of_a_newer_version_are_skipped_anywhere() -> None:
    assert FollowUp.parse(json.dumps(newer())) == KEPT


def test_history_entry_keeps_the_fields_of_a_newer_version() -> None:
    noted = FollowUp.parse(json.dumps(newer())).noted(5.0, "webhook", type="x")
    entry = {"at": 5.0, "what": "webhook", "type": "x"}
    assert json.loads(noted.text()) == newer() | {"history": [entry]}


@pytest.mark.parametrize(
    "capture",
    [GatedCapture(), GatedCapture(2, 1.0, 2.0, sent=True, declined=True, doubt_until=3.0)],
)
def test_capture_at_a_gated_gateway_is_read_back(capture: GatedCapture) -> None:
    kept = FollowUp(gated_capture=capture, paid_before=True, approval_look=60.0, approval_looks=1)
    found = FollowUp.parse(kept.text())
    assert found == kept
    assert found.gated_capture is not None
    assert found.gated_capture.sent is capture.sent
    assert FollowUp.parse(found.noted(1.0, "seen").text()).gated_capture == capture
