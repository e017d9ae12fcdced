"""The counters of the rate limits in the key store's Redis, which several machines share."""

from __future__ import annotations

from functools import partial
from typing import Any

from limits.storage import RedisStorage

from payment_service.key_store.redis.script import Script
from payment_service.key_store.redis.shared_scripts import SharedScripts

SCHEME = "key-store"

# Within the key patterns that the store's user may write.
PREFIX = "payment:rates"

_PING = Script.of("return 1")


class KeyStoreCounters(RedisStorage):
    """The sliding windows of `limits`, over the connections of our store.

    A RedisStorage would connect to a cluster when it is created, and so stop the start while the
    cluster is down. Only what the sliding windows need is available. Raises RedisError.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the base class declares it so

    def __init__(self, uri: str, *, url: str, timeout_seconds: float) -> None:
        """`url`: the key store's, of one Redis, a cluster or Sentinel."""
        super(RedisStorage, self).__init__(uri)
        self.key_prefix = PREFIX
        self._run = SharedScripts(url, timeout_seconds).run
        self.lua_sliding_window = self._script(self.SCRIPT_SLIDING_WINDOW)
        self.lua_acquire_sliding_window = self._script(self.SCRIPT_ACQUIRE_SLIDING_WINDOW)

    def check(self) -> bool:
        """Return whether the server of one key answers."""
        try:
            return bool(self._run(_PING, [self.prefixed_key("ping")], []))
        except Exception:  # noqa: BLE001 - flask_limiter asks again later
            return False

    def _script(self, text: bytes) -> Any:
        return partial(self._run, Script.of(text.decode()))
