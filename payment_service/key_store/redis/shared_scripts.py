"""Runs scripts of others, such as the rate limits', on the servers of a Redis URL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from redis import RedisError

from payment_service.key_store.redis.opening import open_servers
from payment_service.key_store.redis.pipeline import Pipeline
from payment_service.key_store.redis.script import Script, ScriptCall


class SharedScripts:
    """Connects on first use, and follows redirections and failovers as the store does."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        servers, _ = open_servers(url, timeout_seconds)
        self._pipeline, self._timeout_seconds = Pipeline(servers), timeout_seconds

    def run(self, script: Script, keys: Sequence[str], values: Sequence[Any]) -> Any:
        """Return the script's result; in a cluster, its keys have one slot. Raises RedisError."""
        call = ScriptCall(script, keys[0], tuple(values), more_keys=tuple(keys[1:]))
        (answer,) = self._pipeline.run([call], time.monotonic() + self._timeout_seconds)
        if isinstance(answer, RedisError):
            raise answer
        return answer
