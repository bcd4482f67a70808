"""Forms with files, as clients send them and as nobody should."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.wire import BOUNDARY, file, form, part
from txraker.errors import BadRequest
from txraker.transports.web.multipart_form import LONGEST_FIELD, LONGEST_PREAMBLE, FormReader, boundary_of


@define(eq=False)
class Reading:
    """A form being read: what has come of it."""

    opened: list[tuple[str, dict[str, str]]] = field(factory=list)
    content: BytesIO = field(factory=BytesIO)
    form: FormReader = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.form = FormReader(BOUNDARY, frozenset({"root", "print"}), self.open)

    def open(self, name: str, fields: Mapping[str, str]) -> BytesIO:
        """Note with what a file was opened."""
        self.opened.append((name, dict(fields)))
        return self.content

    def read(self, data: bytes) -> Reading:
        """Read a whole form."""
        self.form.feed(data)
        self.form.end()
        return self


def test_fields_around_the_file() -> None:
    """Fields may come before and after the file, also as file parts; others are ignored."""
    reading = Reading().read(
        form(
            part("root", "config", "root"),
            file(b"a: 1\r\n--Xy", "printer.cfg"),
            part("plateindex", "0"),
            part("thumbnail", b"\xff" * 100_000, "x.png"),
            part("print", "true"),
        )
    )
    assert reading.opened == [("printer.cfg", {"root": "config"})]
    assert reading.content.getvalue() == b"a: 1\r\n--Xy"
    assert reading.form.fields == {"root": "config", "print": "true"}


@given(
    content=st.lists(
        st.sampled_from([b"\r\n", b"--", BOUNDARY.encode(), b"\r", b"G1 X1\n", b"\0"]), max_size=12
    ).map(b"".join),
    size=st.integers(1, 40),
)
def test_pieces(content: bytes, size: int) -> None:
    """However a form is cut into pieces, the file is what was sent; a look-alike of the end isn't the end."""
    if b"--" + BOUNDARY.encode() in content:
        content = content.replace(BOUNDARY.encode(), b"")
    reading = Reading()
    data = form(file(content), part("root", "gcodes"))
    for begin in range(0, len(data), size):
        reading.form.feed(data[begin : begin + size])
    reading.form.end()
    assert reading.content.getvalue() == content


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="a.gcode"', "a.gcode"),
        ("filename=a.gcode", "a.gcode"),
        ('filename="Würfel (1).gcode"', "Würfel (1).gcode"),
        ('filename="a%20b.gcode"', "a%20b.gcode"),
        ('filename="a%22b.gcode"', 'a"b.gcode'),
        ('filename="a\\"b.gcode"', 'a"b.gcode'),
        ("filename*=utf-8''W%C3%BCrfel.gcode", "Würfel.gcode"),
        ("filename=\"x.gcode\"; filename*=UTF-8''%E2%82%AC.gcode", "€.gcode"),
        ("filename=\"x; filename*=utf-8''evil\"", "x; filename*=utf-8''evil"),
        ('filename="C:\\Users\\me\\a.gcode"', "a.gcode"),
        ('filename="sub/a.gcode"', "sub/a.gcode"),
    ],
)
def test_file_names(disposition: str, name: str) -> None:
    """File names come quoted, encoded as RFC 5987 has it, and as old clients write them."""
    head = f'Content-Disposition: form-data; name="file"; {disposition}\r\n\r\n'.encode()
    assert Reading().read(form(head + b"x")).form.filename == name


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (form(part("root", "gcodes")), "holds no file"),
        (form(part("file", "no file name")), "holds no file"),
        (form(file(name="")), "holds no file"),
        (form(part("other", "x", "a.gcode")), "holds no file"),
        (form(file(), file(name="b.gcode")), "more than one file"),
        (form(part("root", "x" * (LONGEST_FIELD + 1))), "longer than"),
        (form(part("root", b"\xff"), file()), "not UTF-8"),
        (form(*[part("x", "y")] * 100), "count"),
        (form(b"Content-Disposition: attachment\r\n\r\nx"), "can't be read"),
        (form(b"X: y\r\n\r\nx"), "can't be read"),
        (form(b"Content-Disposition: form-data; name=file; filename*=no-such''x\r\n\r\nx"), "decoded"),
        (form(file())[:-8], "not complete"),
        (b"\r\n", "not complete"),
        (b"y" * (LONGEST_PREAMBLE + 1), "doesn't begin"),
    ],
)
def test_broken_forms(data: bytes, words: str) -> None:
    """A form that is broken, or lacks the file, is refused with what is wrong."""
    with pytest.raises(BadRequest, match=words):
        Reading().read(data)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', "a b"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
        ("", None),
        (f"multipart/form-data; boundary={'x' * 300}", None),
    ],
)
def test_boundary(content_type: str, boundary: str | None) -> None:
    """The boundary is that of a form, and of a sensible length."""
    assert boundary_of(content_type) == boundary
