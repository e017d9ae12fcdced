"""The OTEL_ variables: OpenTelemetry's own settings, which its SDK reads from the environment."""

from __future__ import annotations

import os

from payment_service.settings.environment import dotenv

# Each asks for traces, unless OTEL_TRACES_EXPORTER is `none`.
ASKING = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)


def otel_of_dotenv() -> dict[str, str]:
    """Return the OTEL_ variables of `.env` that the environment lacks. Raises SettingsError."""
    found = {name: text for name, text in dotenv().items() if name.startswith("OTEL_")}
    return {name: text for name, text in found.items() if text.strip() and name not in os.environ}


def publish_otel() -> None:
    """Put the OTEL_ variables of `.env` into the process's environment. Raises SettingsError."""
    os.environ.update(otel_of_dotenv())


def asks_for_traces() -> str | None:
    """Return the variable that asks for traces; None if none does, or if OTEL_SDK_DISABLED."""
    given = {name: text.strip() for name, text in os.environ.items() if name.startswith("OTEL_")}
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if given.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
        return None
    return next((name for name in ASKING if given.get(name)), None)


def traces_exporters() -> list[str]:
    """Return the names of the exporters as the SDK's packages register them.

    `otlp`, the default, stands for one of its protocols; http/protobuf is the default there.
    """
    listed = os.environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    named = [name.strip().lower() for name in listed if name.strip()] or ["otlp"]
    return [_otlp() if name == "otlp" else name for name in named]


def _otlp() -> str:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := os.environ.get(name, "").strip():
            return f"otlp_proto_{protocol.removesuffix('/protobuf')}"
    return "otlp_proto_http"
