"""Websocket frames that are read and written here, and what Autobahn is given to read the others with."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts.test_connection_contract import Websocket, server_frames
from txraker.transports.frames import Masker, Utf8Validator, take_text, text_frame, unmasked

KEYS = st.binary(min_size=4, max_size=4)


def masked_slowly(payload: bytes, key: bytes) -> bytes:
    """Mask as RFC 6455 words it, in section 5.3."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def client_text(text: bytes, key: bytes = b"\1\2\3\4", *, first: int = 0x81) -> bytes:
    """Frame a text as clients do, in the least bytes."""
    size = len(text)
    head = (
        bytes([first, 0x80 | size])
        if size < 126
        else struct.pack("!BBH", first, 0xFE, size)
        if size < 65536
        else struct.pack("!BBQ", first, 0xFF, size)
    )
    return head + key + masked_slowly(text, key)


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_head(length: int, head: bytes) -> None:
    """The head of a frame is as RFC 6455 has it, at both sides of each of its bounds."""
    assert text_frame(b"x" * length) == head + b"x" * length


@given(st.lists(st.binary(max_size=300), max_size=5), st.sampled_from([0, 65530]))
def test_frames_can_be_read(texts: list[bytes], more: int) -> None:
    """Frames one after the other are read as the texts they were made of."""
    texts = [text + b" " * more for text in texts]
    assert server_frames(b"".join(text_frame(text) for text in texts)) == [(1, text) for text in texts]


@given(st.binary(max_size=100), KEYS)
def test_unmasked(payload: bytes, key: bytes) -> None:
    """Masks are taken off as RFC 6455 words it."""
    assert unmasked(payload, key) == masked_slowly(payload, key)


@given(st.lists(st.binary(max_size=11), max_size=8), KEYS)
def test_masker(pieces: list[bytes], key: bytes) -> None:
    """A mask goes on where it was, however the payload is cut."""
    masker = Masker(key, 99)
    assert b"".join(masker.process(piece) for piece in pieces) == masked_slowly(b"".join(pieces), key)
    assert masker.pointer() == sum(map(len, pieces))


@given(st.lists(st.text(max_size=200).map(str.encode), max_size=4), KEYS, st.binary(max_size=9))
def test_take_texts(texts: list[bytes], key: bytes, before: bytes) -> None:
    """Whole texts are taken one after the other, wherever the first begins."""
    data = before + b"".join(client_text(text, key) for text in texts)
    at, seen = len(before), []
    while (taken := take_text(data, at)) is not None:
        text, at = taken
        seen.append(text)
    assert (seen, at) == (texts, len(data))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535])
def test_take_sizes(size: int) -> None:
    """Texts of up to 64 KiB are taken, and not before their last byte is there."""
    frame = client_text(b"x" * size)
    assert take_text(frame, 0) == (b"x" * size, len(frame))
    assert all(take_text(frame[:end], 0) is None for end in (0, 1, 2, 3, 5, len(frame) - 1))


@pytest.mark.parametrize(
    "frame",
    [
        client_text(b"x" * 65536),
        client_text(b"ping", first=0x89),
        client_text(b"binary", first=0x82),
        client_text(b"begun", first=0x01),
        client_text(b"ended", first=0x80),
        client_text(b"squeezed", first=0xC1),
        client_text(b"\xff\xfe"),
        client_text("ä".encode()[:1]),
        text_frame(b"not masked"),
        text_frame(b"not masked" * 20),
        b"\x81\xfe\x00\x05" + client_text(b"short")[2:],
    ],
)
def test_left_to_autobahn(frame: bytes) -> None:
    """What is no whole, masked, well-formed short text is left to Autobahn."""
    assert take_text(frame + bytes(20), 0) is None


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_utf8(pieces: list[bytes]) -> None:
    """A text is judged the same whole and in pieces, and what isn't a text is found where it begins."""
    validator = Utf8Validator()
    whole = b"".join(pieces)
    done = 0
    for piece in pieces:
        valid, at_end, here, there = validator.validate(piece)
        assert there == done + here
        if not valid:
            with pytest.raises(UnicodeDecodeError):
                whole.decode()
            return
        done += len(piece)
        assert here == len(piece)
        assert at_end == is_text(whole[:done])
    assert validator.validate(b"")[1] == is_text(whole)


def is_text(data: bytes) -> bool:
    """Tell whether Python takes bytes for UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_utf8_anew() -> None:
    """After a reset nothing is left of a message before."""
    validator = Utf8Validator()
    validator.validate(b"\xc3")
    validator.reset()
    assert validator.validate(b"ok") == (True, True, 2, 2)


@given(st.lists(st.integers(1, 60), max_size=12))
def test_any_cut(cuts: list[int]) -> None:
    """Requests are answered once and in order, however the bytes that bring them are cut."""
    setting = Websocket()
    said = [
        client_text(b'{"jsonrpc":"2.0","method":"x","id":%d}' % i, bytes([i, 7, 0, 255])) for i in range(4)
    ]
    ping, long_one = client_text(b"!", first=0x89), client_text(b'{"id":4,"method":"%s"}' % (b"x" * 66000))
    data = b"".join((said[0], said[1], ping, said[2], said[3], long_one))
    for cut in cuts:
        setting.protocol.dataReceived(data[:cut])
        data = data[cut:]
    setting.protocol.dataReceived(data)
    assert [message["id"] for message in setting.received()] == [0, 1, 2, 3, 4]
    assert (0x0A, b"!") in server_frames(setting.transport.text())


def test_no_text() -> None:
    """Text that isn't UTF-8 ends the connection with 1007; what came before it is answered."""
    setting = Websocket()
    setting.protocol.dataReceived(
        client_text(b'{"jsonrpc":"2.0","method":"x","id":1}') + client_text(b'"\xff"') + client_text(b"{}")
    )
    assert [message["id"] for message in setting.received()] == [1]
    closed = setting.closed()
    assert closed is not None
    assert closed[0] == 1007
