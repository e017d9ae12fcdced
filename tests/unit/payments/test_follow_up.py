"""The follow-up fields of a record, as older and newer versions of the service read them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from payment_service.payments.record.follow_up import (
    Change,
    FollowUp,
    OrderEvent,
    follow_up_of,
    with_follow_up,
)
from tests.support.key_stores import record

KEPT = FollowUp(
    webhooks=("evt_1",),
    told=("order.paid",),
    queue=(OrderEvent("oev_1", "order.paid", 1.0, {"amount": 1099}),),
    amount=1099,
    revision=1,
    last_revision=2,
    pending=Change(2, 1, "f", "{}", "key", 1.0, 2.0),
    looks=(15.0, 120.0),
    ending=("pi_1",),
)


def test_written_fields_are_read_back() -> None:
    assert follow_up_of(replace(record(), follow_up=KEPT.text())) == KEPT
    assert follow_up_of(with_follow_up(record(), amount=5)) == FollowUp(amount=5)


def test_names_of_a_newer_version_are_skipped_anywhere() -> None:
    newer = asdict(KEPT) | {"tomorrow": [1]}
    newer["queue"] = [each | {"tomorrow": 1} for each in newer["queue"]]
    newer["pending"] |= {"tomorrow": 1}
    assert follow_up_of(replace(record(), follow_up=json.dumps(newer))) == KEPT
