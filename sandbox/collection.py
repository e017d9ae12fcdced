"""The charges, refunds or disputes of one account, in the order of their creation.

An object is replaced, never changed, so that a collection is cheap to copy and an Event keeps the
object of its time.
"""

from __future__ import annotations

from sandbox.answers import JsonObject, refusal


class Collection:
    """Objects of one kind by id. Not thread-safe: the Sandbox holds its lock around every use."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, JsonObject] = {}

    def put(self, found: JsonObject) -> JsonObject:
        """Add an object, or replace its earlier version, and return it."""
        self._objects[found["id"]] = found
        return found

    def get(self, object_id: str, param: str = "id", status: int = 404) -> JsonObject:
        """Return an object, or raise resource_missing with this status."""
        if object_id not in self._objects:
            message = f"No such {self.kind}: '{object_id}'"
            raise refusal(message, status=status, code="resource_missing", param=param)
        return self._objects[object_id]

    def newest_first(self, **wanted: str) -> list[JsonObject]:
        """Return the objects whose fields have these values, as Stripe's lists order them."""
        found = [
            each
            for each in reversed(self._objects.values())
            if all(each[name] == value for name, value in wanted.items())
        ]
        # A late object counts from the time of its request; a stable sort keeps the others' order.
        return sorted(found, key=lambda each: -each["created"])

    def copy(self) -> Collection:
        """Return a copy; it shares the objects, which are immutable."""
        twin = Collection(self.kind)
        twin._objects = self._objects.copy()
        return twin

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._objects
