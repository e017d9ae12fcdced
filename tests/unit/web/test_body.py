"""The bytes of a request: whole and small, or refused."""

from __future__ import annotations

import io

import pytest

from payment_service.errors import BadRequest
from payment_service.web.body import MAX_BODY_BYTES, MAX_READ_BYTES, read_body


class Trickle(io.RawIOBase):
    """Gives at most `most` bytes at a time, as a socket may; counts what was taken."""

    def __init__(self, size: int, most: int) -> None:
        self.left, self.most, self.taken = size, most, 0

    def read(self, size: int = -1) -> bytes:
        given = min(size, self.most, self.left)
        self.left -= given
        self.taken += given
        return b"x" * given


@pytest.mark.parametrize("most", [1000, MAX_BODY_BYTES])
def test_a_body_up_to_the_limit_is_read_completely(most: int) -> None:
    body = read_body(Trickle(MAX_BODY_BYTES, most).read, MAX_BODY_BYTES)
    assert len(body) == MAX_BODY_BYTES
    assert read_body(Trickle(0, most).read, None) == b""


@pytest.mark.parametrize("most", [1000, MAX_BODY_BYTES])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 2_000_000])
def test_a_larger_one_is_refused_once_it_is_all_taken(size: int, most: int) -> None:
    stream = Trickle(size, most)
    with pytest.raises(BadRequest) as caught:
        read_body(stream.read, None)
    assert caught.value.code == "too_large"
    assert stream.left == 0


def test_a_body_without_end_is_not_read_for_ever() -> None:
    stream = Trickle(10**12, MAX_BODY_BYTES)
    with pytest.raises(BadRequest) as caught:
        read_body(stream.read, None)
    assert caught.value.code == "too_large"
    assert stream.taken < MAX_READ_BYTES + 2 * MAX_BODY_BYTES + 1


@pytest.mark.parametrize("said", [0, 99, 101])
def test_a_body_that_differs_from_its_content_length_is_rejected(said: int) -> None:
    with pytest.raises(BadRequest, match="is incomplete") as caught:
        read_body(Trickle(100, 1000).read, said)
    assert caught.value.code == "malformed_json"


@pytest.mark.parametrize(
    ("coding", "shown"),
    [
        ("gzip", "Content-Encoding: gzip;"),
        ("X-GZIP", "Content-Encoding: X-GZIP;"),
        ("identity, br", "Content-Encoding: br;"),
        ("sk_test_4eC39HqLyjWD", "a Content-Encoding;"),
        ("<script>", "a Content-Encoding;"),
        ("z" * 1000, "a Content-Encoding;"),
    ],
)
def test_a_compressed_body_is_rejected_unread(coding: str, shown: str) -> None:
    stream = Trickle(100, 1000)
    with pytest.raises(BadRequest, match=shown) as caught:
        read_body(stream.read, 100, coding=coding)
    assert caught.value.code == "encoded_body"
    assert stream.taken == 0


@pytest.mark.parametrize("coding", [None, "", "identity", "Identity", "identity, identity"])
def test_the_identity_coding_is_no_coding(coding: str | None) -> None:
    assert len(read_body(Trickle(100, 1000).read, 100, coding=coding)) == 100


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_a_body_that_cannot_be_read_is_the_senders_matter(error: type[Exception]) -> None:
    def read(_: int) -> bytes:
        raise error

    with pytest.raises(BadRequest, match="is incomplete"):
        read_body(read, None)
