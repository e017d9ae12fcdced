"""A key store for a service that a test kills and starts again."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty key store that outlives the service."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keys.db"
    name = "postgres_server" if request.param == "postgresql" else "redis_server"
    return str(request.getfixturevalue(name).new_url())
