"""Traces while no OTEL_ variable asks for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store import KeyStore

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from payment_service.background.loop import Job
    from payment_service.gateways.send_report import Send
    from payment_service.payments.observer import Observation
    from payment_service.payments.shop_events.outbox import Post


class NoTracing:
    """The interface of `telemetry.tracing.spans.Tracing`; hands back what it is given."""

    def traced_app(self, app: WSGIApplication, _: Collection[str]) -> WSGIApplication:
        """See Tracing."""
        return app

    def traced_store(self, store: KeyStore, _: str) -> KeyStore:
        """See Tracing."""
        return store

    def traced_job(self, job: Job, _: str) -> Job:
        """See Tracing."""
        return job

    def traced_post(self, post: Post) -> Post:
        """See Tracing."""
        return post

    def observation(self, seen: Observation) -> None:
        """See Tracing."""

    def send(self, send: Send, gateway: str = DEFAULT_GATEWAY) -> None:
        """See Tracing."""

    def outgoing_headers(self) -> Mapping[str, str]:
        """See Tracing."""
        return {}
