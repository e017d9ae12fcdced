"""The bytes of a request: complete and within the limit, or rejected."""

from __future__ import annotations

import io

import pytest

from payment_service.errors import BadRequest
from payment_service.web.body import MAX_BODY_BYTES, MAX_READ_BYTES, read_body


class Trickle(io.RawIOBase):
    """A stream that returns at most `most` bytes per read, as a socket may, and counts them."""

    def __init__(self, size: int, most: int) -> None:
        self.left, self.most, self.taken = size, most, 0

    def read(self, size: int = -1) -> bytes:
        given = min(size, self.most, self.left)
        self.left -= given
        self.taken += given
        return b"x" * given


@pytest.mark.parametrize("most", [1000, MAX_BODY_BYTES])
def test_body_up_to_the_limit_is_read_completely(most: int) -> None:
    body = read_body(Trickle(MAX_BODY_BYTES, most).read, MAX_BODY_BYTES)
    assert len(body) == MAX_BODY_BYTES
    assert read_body(Trickle(0, most).read, None) == b""


@pytest.mark.parametrize("most", [1000, MAX_BODY_BYTES])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 2_000_000])
def test_larger_body_is_drained_and_rejected(size: int, most: int) -> None:
    stream = Trickle(size, most)
    with pytest.raises(BadRequest) as caught:
        read_body(stream.read, None)
    assert caught.value.code == "too_large"
    assert stream.left == 0


def test_endless_body_is_not_drained_forever() -> None:
    stream = Trickle(10**12, MAX_BODY_BYTES)
    with pytest.raises(BadRequest) as caught:
        read_body(stream.read, None)
    assert caught.value.code == "too_large"
    assert stream.taken < MAX_READ_BYTES + 2 * MAX_BODY_BYTES + 1


@pytest.mark.parametrize("said", [0, 99, 101])
def test_body_that_differs_from_content_length_is_rejected(said: int) -> None:
    with pytest.raises(BadRequest, match="broke off") as caught:
        read_body(Trickle(100, 1000).read, said)
    assert caught.value.code == "malformed_json"


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_unreadable_body_is_a_client_error(error: type[Exception]) -> None:
    def read(_: int) -> bytes:
        raise error

    with pytest.raises(BadRequest, match="broke off"):
        read_body(read, None)
