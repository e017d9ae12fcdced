"""The innermost layer: execute a request that passed all the others."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.admission import Admitted
from sandbox.answers import Answer, Refusal, encode
from sandbox.authentication import Caller
from sandbox.expansion import expand
from sandbox.faults import FaultOrder
from sandbox.moment import Moment
from sandbox.payment_intent_object import for_browser
from sandbox.request import Request


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of `begin`; pass it to `finish` or `abandon`, once. `era` counts the resets."""

    request: Request
    admitted: Admitted
    fault: FaultOrder | None
    era: int


def execute(execution: Execution, moment: Moment) -> Answer:
    """Run the endpoint; a Refusal that it raises is a result like any other."""
    it = execution.admitted
    try:
        found = it.endpoint.run(moment, it.subject, it.params)
        found = expand(moment.ledger, found, it.params.get("expand", ()))
    except Refusal as refused:
        return _seen_by(it.caller, refused).answer()
    return Answer(200, encode(for_browser(found) if it.caller.publishable else found))


def _seen_by(caller: Caller, refused: Refusal) -> Refusal:
    intent = refused.error.get("payment_intent")
    if caller.publishable and intent:
        refused.error["payment_intent"] = for_browser(intent)
    return refused
