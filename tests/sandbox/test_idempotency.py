"""Idempotency rules from Stripe's documentation, tested on the sandbox over HTTP.

The same rules can be tested on Stripe with a test account. The sources are
docs.stripe.com/api/idempotent_requests (IR) and docs.stripe.com/error-low-level (LL).
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from requests import Response
from requests.exceptions import ConnectionError as Lost

from tests.support.sandbox_process import SandboxProcess

INTENTS = "/v1/payment_intents"
ORDER = {"amount": "1099", "currency": "usd", "metadata[order_id]": "A-1"}
DAY = 24 * 3600


def create(sandbox: SandboxProcess, key: str | None = "key-1", **changes: str) -> Response:
    return sandbox.send("POST", INTENTS, {**ORDER, **changes}, key=key)


def replayed(answer: Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def error(answer: Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


# IR: "saves the status code and body of the first request made with a given idempotency key"
def test_a_replay_is_byte_for_byte_the_first_response(sandbox: SandboxProcess) -> None:
    first, second = create(sandbox), create(sandbox)
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert sandbox.state().payment_intents == 1


# LL: the header "Idempotent-Replayed: true" marks a replay
def test_only_the_replay_is_marked_as_replayed(sandbox: SandboxProcess) -> None:
    assert [replayed(create(sandbox)) for _ in range(3)] == [False, True, True]


# docs.stripe.com/api/request_ids: Request-Id is unique, Original-Request is the first one's
def test_a_replay_has_its_own_request_id_and_names_the_first(sandbox: SandboxProcess) -> None:
    first, second = create(sandbox), create(sandbox)
    assert second.headers["Request-Id"] != first.headers["Request-Id"]
    assert second.headers["Original-Request"] == first.headers["Request-Id"]


# IR: the saved body is the first response, not the current state of the object
def test_a_replay_shows_the_first_state_of_the_object(sandbox: SandboxProcess) -> None:
    intent = create(sandbox).json()
    sandbox.send("POST", f"{INTENTS}/{intent['id']}/cancel")
    assert create(sandbox).json()["status"] == "requires_payment_method"
    assert sandbox.send("GET", f"{INTENTS}/{intent['id']}").json()["status"] == "canceled"


# IR: "The idempotency layer compares incoming parameters to those of the original request"
@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1100"},
        {"currency": "eur"},
        {"metadata[order_id]": "A-2"},
        {"metadata[note]": "x"},
        {"description": "x"},
    ],
)
def test_a_key_with_other_parameters_is_rejected(
    sandbox: SandboxProcess, changes: dict[str, str]
) -> None:
    create(sandbox)
    refused = create(sandbox, **changes)
    assert (refused.status_code, error(refused)["type"]) == (400, "idempotency_error")
    assert not replayed(refused)
    assert sandbox.state().payment_intents == 1


# IR: a misuse is rejected, and the saved response stays the same
def test_a_rejected_misuse_keeps_the_saved_response(sandbox: SandboxProcess) -> None:
    first = create(sandbox)
    create(sandbox, amount="1100")
    assert create(sandbox).content == first.content


# IR: parameters are compared, not bytes
def test_the_order_of_the_parameters_does_not_matter(sandbox: SandboxProcess) -> None:
    first = create(sandbox)
    turned = dict(reversed(ORDER.items()))
    assert sandbox.send("POST", INTENTS, turned, key="key-1").content == first.content


# stripe-ruby#598: "Keys for idempotent requests can only be used for the same endpoint"
def test_a_key_of_another_endpoint_is_rejected(sandbox: SandboxProcess) -> None:
    intent = create(sandbox).json()
    refused = sandbox.send("POST", f"{INTENTS}/{intent['id']}/cancel", key="key-1")
    assert (refused.status_code, error(refused)["type"]) == (400, "idempotency_error")


# LL: "409 Conflict: The request conflicts with another request (perhaps due to using the same
# idempotency key)"; docs.stripe.com/error-codes: idempotency_key_in_use
def test_a_key_in_use_gets_409(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "slow", "seconds": 0.5}])
    with ThreadPoolExecutor(1) as other:
        slow: Future[Response] = other.submit(create, sandbox)
        time.sleep(0.2)
        conflict = sandbox.send("POST", INTENTS, ORDER, key="key-1")
        first = slow.result()
    assert (conflict.status_code, error(conflict)["code"]) == (409, "idempotency_key_in_use")
    assert first.status_code == 200
    assert create(sandbox).content == first.content


# IR: "If incoming parameters fail validation [...] we don't save the idempotent result"
@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "ten"},
        {"amount": "0"},
        {"currency": "xyz"},
        {"colour": "red"},
        {"receipt_email": "nobody"},
    ],
)
def test_a_validation_error_is_not_saved(sandbox: SandboxProcess, wrong: dict[str, str]) -> None:
    assert create(sandbox, **wrong).status_code == 400
    corrected = create(sandbox)
    assert (corrected.status_code, replayed(corrected)) == (200, False)


# LL: a 400 from an endpoint that executed is saved and returned again
def test_a_400_of_the_execution_is_saved(sandbox: SandboxProcess) -> None:
    first, second = create(sandbox, amount="10"), create(sandbox, amount="10")
    assert error(first)["code"] == "amount_too_small"
    assert (second.status_code, replayed(second)) == (400, True)
    assert error(create(sandbox))["type"] == "idempotency_error"


# IR: "regardless of whether it succeeds or fails": a decline is replayed under its key
def test_a_402_is_saved_and_creates_one_object(sandbox: SandboxProcess) -> None:
    paying = {
        "confirm": "true",
        "payment_method": "pm_card_chargeDeclined",
        "return_url": "https://shop.example/done",
    }
    first, second = create(sandbox, **paying), create(sandbox, **paying)
    assert (first.status_code, error(first)["type"]) == (402, "card_error")
    assert second.content == first.content
    assert replayed(second)
    assert sandbox.state().payment_intents == 1


# LL: a 404 from an endpoint that executed is saved as well
def test_a_404_is_saved(sandbox: SandboxProcess) -> None:
    path = f"{INTENTS}/pi_missing/cancel"
    answers = [sandbox.send("POST", path, key="key-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert replayed(answers[1])


# IR: "Retries with the same key return the saved response, including 500 errors"
@pytest.mark.parametrize(
    ("kind", "made"), [("error_500_with_object", 1), ("error_500_without_object", 0)]
)
def test_a_500_is_saved(sandbox: SandboxProcess, kind: str, made: int) -> None:
    sandbox.faults([{"kind": kind}])
    answers = [create(sandbox) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert [replayed(answer) for answer in answers] == [False, True, True]
    assert sandbox.state().payment_intents == made


# LL: "treat the result of a 500 request as indeterminate": its object may appear later
def test_the_object_of_a_500_may_appear_later(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "late_object", "seconds": 30}])
    assert create(sandbox).status_code == 500
    assert sandbox.state().payment_intents == 0
    sandbox.advance(31)
    assert sandbox.state().order("A-1").payable == 1


# LL: "the rate limiter runs before the API's idempotency layer"
@pytest.mark.parametrize("kind", ["rate_limited", "lock_timeout"])
def test_a_429_is_not_saved(sandbox: SandboxProcess, kind: str) -> None:
    sandbox.faults([{"kind": kind}])
    assert create(sandbox).status_code == 429
    assert create(sandbox).status_code == 200


# LL: therefore a key with a saved response can get 429, which says nothing about that response
def test_a_429_can_follow_a_success_under_the_same_key(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "rate_limited", "skip": 1}])
    first, limited, again = create(sandbox), create(sandbox), create(sandbox)
    assert (first.status_code, limited.status_code) == (200, 429)
    assert again.content == first.content


# LL: "the same applies to a 401 that omits the API key"
def test_a_401_is_not_saved(sandbox: SandboxProcess) -> None:
    refused = sandbox.send("POST", INTENTS, ORDER, key="key-1", api_key="sk_test_invalid")
    assert refused.status_code == 401
    assert (create(sandbox).status_code, sandbox.state().payment_intents) == (200, 1)


# LL: therefore authentication and validation errors precede the look-up of the key
def test_validation_precedes_the_saved_response(sandbox: SandboxProcess) -> None:
    create(sandbox)
    refused = create(sandbox, amount="ten")
    assert error(refused)["code"] == "parameter_invalid_integer"


# LL: a 503 from a server in front of the API means that nothing executed
def test_a_503_is_not_saved(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "error_503"}])
    assert (create(sandbox).status_code, create(sandbox).status_code) == (503, 200)


# RFC 9110, 15.5.9 and 15.5.20, and RFC 8470, 5.2: the request was not processed
@pytest.mark.parametrize(
    ("kind", "status"),
    [("request_timeout_408", 408), ("misdirected_421", 421), ("too_early_425", 425)],
)
def test_an_edge_status_is_not_saved(sandbox: SandboxProcess, kind: str, status: int) -> None:
    sandbox.faults([{"kind": kind}])
    assert (create(sandbox).status_code, create(sandbox).status_code) == (status, 200)
    assert sandbox.state().payment_intents == 1


# IR: "if a connection error occurs, you can safely repeat the request"
@pytest.mark.parametrize(("kind", "is_replay"), [("lost_before", False), ("lost_after", True)])
def test_the_same_key_fetches_a_lost_response(
    sandbox: SandboxProcess, kind: str, is_replay: bool
) -> None:
    sandbox.faults([{"kind": kind}])
    with pytest.raises(Lost):
        create(sandbox)
    second = create(sandbox)
    assert (second.status_code, replayed(second)) == (200, is_replay)
    assert sandbox.state().payment_intents == 1


# IR: keys may be removed "after they're at least 24 hours old", then the key makes "a new request"
def test_an_expired_key_creates_a_second_object(sandbox: SandboxProcess) -> None:
    first = create(sandbox)
    sandbox.advance(DAY - 60)
    assert create(sandbox).content == first.content
    sandbox.advance(120)
    late = create(sandbox)
    assert (replayed(late), late.json()["id"] == first.json()["id"]) == (False, False)
    assert sandbox.state().order("A-1").payable == 2


# IR: the 24 hours begin with the first request, not with the last replay
def test_a_replay_does_not_extend_the_expiry(sandbox: SandboxProcess) -> None:
    create(sandbox)
    sandbox.advance(DAY - 60)
    assert replayed(create(sandbox))
    sandbox.advance(61)
    assert not replayed(create(sandbox))


# IR: "All POST requests accept idempotency keys"
def test_every_post_accepts_a_key(sandbox: SandboxProcess) -> None:
    intent = create(sandbox).json()
    path = f"{INTENTS}/{intent['id']}/cancel"
    first, second = (sandbox.send("POST", path, key="cancel-1") for _ in range(2))
    assert (first.status_code, second.content, replayed(second)) == (200, first.content, True)
    assert sandbox.send("POST", path).status_code == 400


# IR: "Don't send idempotency keys in GET and DELETE requests because it has no effect"
def test_a_get_ignores_the_key(sandbox: SandboxProcess) -> None:
    intent = create(sandbox).json()
    seen = sandbox.send("GET", f"{INTENTS}/{intent['id']}", key="key-1")
    assert (seen.status_code, replayed(seen)) == (200, False)


# IR: without a key, every request is a new one
def test_without_a_key_every_request_creates_an_object(sandbox: SandboxProcess) -> None:
    assert create(sandbox, None).json()["id"] != create(sandbox, None).json()["id"]


# IR: "Idempotency keys are up to 255 characters long"
def test_a_key_has_at_most_255_characters(sandbox: SandboxProcess) -> None:
    assert create(sandbox, "k" * 255).status_code == 200
    assert create(sandbox, "k" * 256).status_code == 400


# docs.stripe.com/keys: accounts, test mode and live mode share nothing
def test_a_key_belongs_to_one_account_and_mode(sandbox: SandboxProcess) -> None:
    scopes: list[dict[str, Any]] = [
        {},
        {"api_key": "sk_test_another"},
        {"api_key": "sk_live_sandbox"},
        {"Stripe_Account": "acct_1"},
    ]
    for scope in scopes:
        answer = sandbox.send("POST", INTENTS, ORDER, key="key-1", **scope)
        assert (answer.status_code, replayed(answer)) == (200, False)
    assert sandbox.state().payment_intents == 4


# docs.stripe.com/keys: all API keys of an account (here: after rolling) share idempotency keys
def test_two_api_keys_of_one_account_share_an_idempotency_key(sandbox: SandboxProcess) -> None:
    create(sandbox)
    rolled = sandbox.send("POST", INTENTS, ORDER, key="key-1", api_key="sk_test_sandbox_rolled")
    assert replayed(rolled)


# IR and LL: of concurrent requests, one executes and the others get its response or 409
def test_concurrent_requests_create_one_object(sandbox: SandboxProcess) -> None:
    def send(_: int) -> int:
        answer = sandbox.send("POST", INTENTS, ORDER, key="key-1")
        return answer.status_code

    with ThreadPoolExecutor(8) as senders:
        assert set(senders.map(send, range(40))) <= {200, 409}
    assert sandbox.state().payment_intents == 1
