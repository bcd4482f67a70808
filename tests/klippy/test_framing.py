"""Frames come out of a stream as they went in, however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.klippy.framing import TERMINATOR, FrameSplitter, FrameTooLong

frames = st.lists(st.binary(max_size=40).map(lambda text: text.replace(TERMINATOR, b"\x04")), max_size=8)


@given(frames, st.data())
def test_any_cut(sent: list[bytes], data: st.DataObject) -> None:
    """However a stream is cut into pieces, the same frames come out; empty ones are left out."""
    stream = b"".join(frame + TERMINATOR for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    splitter = FrameSplitter()
    received = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += splitter.feed(stream[begin:end])
    assert received == [frame for frame in sent if frame]


@given(st.binary(min_size=1, max_size=40).map(lambda text: text.replace(TERMINATOR, b"\x04")))
def test_unfinished(text: bytes) -> None:
    """A frame that is not ended is not there yet, and comes out whole when it is."""
    splitter = FrameSplitter()
    assert splitter.feed(text) == []
    assert splitter.feed(TERMINATOR + b"rest") == [text]


def test_large_frame_is_joined_once() -> None:
    """A frame of 20 MB that comes in small pieces is put together once, at its end."""
    piece = b"x" * 4096
    pieces = 20 * 1024 * 1024 // len(piece)
    splitter = FrameSplitter()
    for _ in range(pieces):
        assert splitter.feed(piece) == []
    assert len(splitter._pieces) == pieces
    (frame,) = splitter.feed(TERMINATOR)
    assert len(frame) == pieces * len(piece)
    assert splitter._pieces == []


def test_too_long() -> None:
    """A frame that passes the limit without an end is refused."""
    splitter = FrameSplitter(longest=100)
    assert splitter.feed(b"x" * 100) == []
    with pytest.raises(FrameTooLong, match="more than 100 bytes"):
        splitter.feed(b"x")


def test_limit_is_per_frame() -> None:
    """What was ended does not count: any number of frames within the limit may come."""
    splitter = FrameSplitter(longest=10)
    for _ in range(50):
        assert splitter.feed(b"x" * 6) == []
        assert splitter.feed(b"y" * 3 + TERMINATOR) == [b"xxxxxxyyy"]
