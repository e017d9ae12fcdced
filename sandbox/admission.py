"""The layers before idempotency, in Stripe's order: authentication, rate limit, validation."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.authentication import Caller, authenticate, secret_only
from sandbox.core_faults import refuse_as_ordered
from sandbox.endpoints import Endpoint, find
from sandbox.faults import FaultOrder
from sandbox.form import Form
from sandbox.limiter import Limiter
from sandbox.request import Request


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that passed these layers, with what they read from it."""

    caller: Caller
    endpoint: Endpoint
    subject: str
    params: Form


def admit(
    request: Request, fault: FaultOrder | None, limiter: Limiter, now: float, default_version: str
) -> Admitted:
    """Admit a request to the idempotency layer, or raise a Refusal, which is never saved."""
    refuse_as_ordered(fault, "authentication")
    caller = authenticate(request.headers)
    refuse_as_ordered(fault, "limiter")
    limiter.admit(caller.account, now)
    endpoint, subject = find(request.method, request.path)
    if not endpoint.browser:
        secret_only(caller)
    params = endpoint.check(request.params, request.version or default_version)
    refuse_as_ordered(fault, "idempotency", request.key or "")
    return Admitted(caller, endpoint, subject, params)
