"""python -m tests.proof.explorer: explore for minutes, or write docs/proof.md."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.proof.explorer.bounds import (
    PLAIN,
    PLAIN_OF_TWO,
    Found,
    all_of,
    budgets_within,
    caught,
    some_of,
)
from tests.proof.explorer.mutants import MUTANTS
from tests.proof.explorer.scenarios import SCENARIOS
from tests.proof.explorer.search import Count


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.explorer", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--mutants", action="store_true", help="write docs/proof.md to the output")
    given = parser.parse_args()
    if given.mutants:
        print(proof(given.minutes * 60))
        return 0
    return explore(given.minutes * 60)


def explore(seconds: float) -> int:
    """All schedules within ever larger budgets for half of the time, then some of three workers."""
    began = time.monotonic()
    found = 0
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for budget in budgets_within():
            if time.monotonic() - began > seconds / 2:
                break
            left = seconds / 2 - (time.monotonic() - began)
            for what, numbers in (("all", PLAIN), ("all, two gateways", PLAIN_OF_TWO)):
                jobs = [pool.submit(all_of, i, budget, left) for i in numbers]
                found += _told(f"{what}, {budget}", [job.result() for job in jobs])
        share = (seconds / 2) * (os.cpu_count() or 1) / len(SCENARIOS)
        jobs = [pool.submit(some_of, i, share) for i in range(len(SCENARIOS))]
        found += _told("three workers, by seed", [job.result() for job in jobs])
    return 1 if found else 0


def _told(what: str, counts: list[Count]) -> int:
    schedules, merged = sum(c.schedules for c in counts), sum(c.merged for c in counts)
    complete = sum(count.complete for count in counts)
    print(
        f"{what}: {schedules} schedules to their ends, {merged} more into a state seen before; "
        f"{complete} of {len(counts)} scenarios complete",
        flush=True,
    )
    findings = [finding for count in counts for finding in count.findings]
    for finding in findings:
        print(finding, flush=True)
    return len(findings)


def proof(seconds: float) -> str:
    """docs/proof.md: which schedule catches which broken rule."""
    began = time.monotonic()
    rows = []
    for mutant in MUTANTS:
        found = caught(mutant, began + seconds)
        rows.append(_row(mutant.rule, mutant.what, found))
        print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join((HEAD, *rows, TAIL))


def _row(rule: int, what: str, found: Found | None) -> str:
    if found is None:
        return f"| {rule} | {what} | **not caught** | | |"
    finding = found.finding
    schedule = "<br>".join(finding.schedule) or "everything well"
    return f"| {rule} | {what} | {finding.what} | {finding.scenario} | {schedule} |"


HEAD = """\
# What the explorer catches

Written by `python -m tests.proof.explorer --mutants > docs/proof.md`. Each row breaks one rule of
[exactly-once.md](exactly-once.md) and shows the first schedule, by fewest faults and switches,
that breaks the promise then. `tests/proof/test_explorer.py` holds that each row is still caught,
and that the code as it is passes all of them. Turns that are not named take the default: the worker
goes on, and nothing goes wrong.

| rule | broken in this way | what the explorer says | the order before | the schedule |
|---:|---|---|---|---|"""

TAIL = """
## Two gateways

The scenarios that begin with "two gateways" run the code against both stand-ins. A shopper pays
each PaymentIntent or approves each PayPal order that left the service, at any step or never. A
cancellation, an update, the events of both gateways, the late look-ups, the jobs that look for
approvals and make witnesses, and the reconciler run concurrently with the requests. Every send to
PayPal but that for a token is a step. It is lost before or after its execution, once or throughout,
executes slowly, or gets 403, 409, 500 or 503; a capture is also declined, refused for good or left
pending. Stripe may fall silent at any step, whether it works on or not, and answer again at any
later one.

After every step:

- at most one payment can take money: PaymentIntents that left the service and are not canceled,
  and PayPal orders that are captured or whose capture is claimed;
- at most one payment has taken money;
- a capture arrives only for the recorded order, and only after its claim;
- a creation arrives at PayPal only for an attempt that the record names, under the order's one
  invoice id;
- only recorded payments leave the service, and only at a gateway that the request accepts.

At the end both gateways answer, and the late look-ups and the witnesses run for two hours: then no
leftover can be paid or is still listed, one more request gets a payment, the shopper pays it, and a
request a day later gets the same one. Rule 9's own invariant holds with one gateway only.

With one fault, every schedule of two requests, or of one request and another actor, was searched in
38 scenarios on 2026-11-29: 7,630 schedules to their ends, and 2,092 more into a state seen before.
With one fault and one switch, 14 scenarios were searched completely: 21,109 schedules, and 12,699
more. None broke a promise. The suite repeats the first search. It leaves the fault out of three
scenarios that resemble others, and of the one without a promise below. It also draws schedules of
three requests with up to four faults and eight switches.

The rules promise less than that in four cases, and the search leaves them out:

- The record is lost as a whole, or goes back to before the switch, after PayPal has captured and
  before the witness is made, or a day after it. The next request begins at Stripe, which does not
  know of the capture. The same holds for a request that cannot use PayPal, if PayPal does not
  answer.
- The store goes back while Stripe does not answer, and captures do not wait
  (`FAILOVER_CAPTURE=at_once`). So where they do not wait, the store goes back only in searches of
  one fault, and not where Stripe is silent from the start.
- The store loses a capture, and PayPal does not answer the question before a cancellation.
- PayPal forgets an order whose capture is unknown. Nothing more is sent, and a person must look.
"""

if __name__ == "__main__":
    raise SystemExit(main())
