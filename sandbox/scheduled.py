"""The changes that come due by the clock: settlements, lapses and the ends of refunds."""

from __future__ import annotations

from sandbox import lifecycle, refunds
from sandbox.ledger import Due
from sandbox.moment import Moment


def run_scheduled(moment: Moment, due: Due) -> None:
    """Carry out a change that is due, unless it has been overtaken."""
    ledger = moment.ledger
    match due.kind:
        case "settle":
            lifecycle.settle(moment, ledger.get(due.subject))
        case "lapse":
            lifecycle.lapse(moment, ledger.get(due.subject))
        case "refund":
            refunds.settle(moment, ledger.refunds.get(due.subject))
