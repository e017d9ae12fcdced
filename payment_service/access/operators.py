"""Operators: the people who look after the orders of all clients, or of some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Struct

from payment_service.access.api_keys import Digests
from payment_service.schema.fields import rule
from payment_service.schema.names import order_name


def _names(values: list[str]) -> list[str]:
    return [order_name(each) for each in values]


class Operator(Struct, frozen=True, kw_only=True):
    """One operator. With the role `act` it may also cancel, capture, refund and resolve orders.

    `clients`: those whose orders it may see; None for all orders, also those without a client.
    """

    id: Annotated[str, rule("must be a name", then=order_name)]
    api_keys_sha256: Digests
    role: Annotated[Literal["read", "act"], rule("must be read or act")]
    clients: Annotated[list[str] | None, rule("must be a list of clients", then=_names)] = None

    def __post_init__(self) -> None:
        """Check that the operator can log in. Raises ValueError."""
        if not self.api_keys_sha256:
            raise ValueError("needs api_keys_sha256")

    @property
    def may_act(self) -> bool:
        """Whether the operator may change orders."""
        return self.role == "act"

    @property
    def signature(self) -> str:
        """The name of the operator in the history of the orders that it changes."""
        return f"operator:{self.id}"

    def may_see(self, client_id: str | None) -> bool:
        """Whether the operator may see the orders of this client."""
        return self.clients is None or client_id in self.clients


def misfits(operators: Mapping[str, Operator], clients: Mapping[str, Any]) -> Iterator[str]:
    """Yield an error message for each operator that names a client without an entry."""
    for operator in operators.values():
        unknown = [each for each in operator.clients or () if each not in clients]
        if unknown:
            yield f"{operator.id}: clients has {unknown[0]}, which is no client of this file"
