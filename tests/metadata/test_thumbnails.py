"""Pictures in gcode files: found, checked, and written beside them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metadata.images import block, png
from txraker.metadata.facts import Thumbnail
from txraker.metadata.gallery import hang, rehang, take_down
from txraker.metadata.thumbnails import LARGEST_PICTURE, MOST_PICTURES, Picture, is_open, pictures
from txraker.metadata.windows import WINDOW, read_windows

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)


def sizes(text: str) -> list[tuple[int, int, str]]:
    """Return what pictures there are in a text."""
    return [(picture.width, picture.height, picture.format) for picture in pictures(text.encode())]


def test_found() -> None:
    """Pictures are found in their order, by their content; sizes may be apart by a space."""
    text = (
        block(png(40, 30), "40x30")
        + "G28\n"
        + block(JPEG, "64 64", "_JPG")
        + block(b"qoif" + bytes(20), "8x8", "_QOI")
    )
    assert sizes(text) == [(40, 30, "png"), (64, 64, "jpg"), (8, 8, "qoi")]
    assert pictures(text.encode())[0].content == png(40, 30)


def test_carriage_returns() -> None:
    """Pictures in files with Windows' line ends are found."""
    assert sizes(block(png(40, 30), "40x30").replace("\n", "\r\n")) == [(40, 30, "png")]


@pytest.mark.parametrize(
    "text",
    [
        block(b"no picture at all", "10x10"),
        block(png(9, 9), "9x9", length=3),
        block(png(9, 9), "0x9"),
        block(png(9, 9), "9x99999"),
        block(png(9, 9), "9x9").replace("; thumbnail end\n", ""),
        block(png(9, 9), "9x9").replace("\n; ", "\nG1 X1\n; ", 1),
        "; thumbnail begin 1x1 4\n; A!!A\n; thumbnail end\n",
        "; thumbnail end\n",
        ";thumbnail: data:image/png;base64,!!!\n",
        ";thumbnail: data:image/png;base64,\n",
    ],
)
def test_left_out(text: str) -> None:
    """What isn't whole, isn't as long as it says, or isn't a picture is left out; what follows is found."""
    assert sizes(text + block(png(5, 5), "5x5")) == [(5, 5, "png")]


def test_each_size_once() -> None:
    """Of pictures that would have the same name the first counts, and there is a limit."""
    assert len(sizes(block(png(5, 5), "5x5") * 2)) == 1
    assert len(sizes("".join(block(png(5, 5), f"5x{side}") for side in range(5, 60)))) == MOST_PICTURES


def test_too_large() -> None:
    """A picture beyond the limit isn't kept."""
    length = LARGEST_PICTURE + 78
    lines = f"; {'A' * 78}\n" * (length // 78)
    assert sizes(f"; thumbnail begin 9x9 {length}\n{lines}; thumbnail end\n") == []


@given(
    st.lists(
        st.sampled_from(
            [b"; thumbnail begin 5x5 4\n", b"; thumbnail end\n", b"; AAAA\n", b"G1\n", b"\xff", b"\n"]
        )
    )
)
def test_any_bytes(parts: list[bytes]) -> None:
    """Whatever there is, looking for pictures raises nothing."""
    pictures(b"".join(parts))
    is_open(b"".join(parts))


def test_long() -> None:
    """Looking for pictures takes no longer for what is hostile."""
    begun = time.process_time()
    for piece in (
        b"; thumbnail begin 5x5 4\n",
        b"; thumbnail begin ",
        b";thumbnail: data:image/png;base64,\n",
    ):
        pictures(piece * (1024 * 1024 // len(piece)))
    assert time.process_time() - begun < 6


def test_windows(tmp_path: Path) -> None:
    """Of a large file the beginning, through its pictures, and the end are read, in whole lines."""
    file = tmp_path / "a.gcode"
    large = block(os.urandom(WINDOW), "900x900")
    moves = "G1 X1 Y1\n" * 400_000
    file.write_text(f"; first\n{large}; behind\n{moves}; last\n")
    with file.open("rb") as opened:
        head, tail = read_windows(opened, file.stat().st_size)
    assert b"; behind\n" in head.content
    assert head.content.endswith(b"\n")
    assert len(head.content) < 4 * WINDOW
    assert tail.content.startswith(b"G1 X1 Y1\n")
    assert tail.content.endswith(b"; last\n")
    assert file.read_bytes()[tail.offset :] == tail.content


@pytest.mark.parametrize("size", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 2 * WINDOW + 1])
def test_windows_cover(tmp_path: Path, size: int) -> None:
    """Of a file that isn't larger than both windows everything is read once; one line needs no end."""
    file = tmp_path / "a.gcode"
    file.write_bytes(b"x" * size)
    with file.open("rb") as opened:
        windows = read_windows(opened, size)
    assert sum(len(window.content) for window in windows) == (size if size <= 2 * WINDOW else 2 * WINDOW)


def picture(width: int, height: int) -> Picture:
    """Make a picture."""
    return Picture(width, height, "png", png(width, height))


def test_hang(tmp_path: Path) -> None:
    """Pictures are in .thumbs, named after the file and their size, and nothing else is left there."""
    assert hang(tmp_path / "a.b.gcode", [picture(32, 32), picture(40, 30)]) == [
        Thumbnail(32, 32, len(png(32, 32)), ".thumbs/a.b-32x32.png"),
        Thumbnail(40, 30, len(png(40, 30)), ".thumbs/a.b-40x30.png"),
    ]
    assert sorted(os.listdir(tmp_path / ".thumbs")) == ["a.b-32x32.png", "a.b-40x30.png"]
    assert (tmp_path / ".thumbs/a.b-40x30.png").read_bytes() == png(40, 30)


def test_icon(tmp_path: Path) -> None:
    """With Pillow there is an icon, first, in the shape of the largest picture; QOI becomes PNG."""
    pytest.importorskip("PIL")
    qoi = b"qoif" + (2).to_bytes(4) + (1).to_bytes(4) + b"\3\0" + b"\xfe\1\2\3" * 2 + bytes(7) + b"\1"
    hung = hang(tmp_path / "a.gcode", [picture(40, 40), picture(400, 300), Picture(2, 1, "qoi", qoi)])
    assert [(one.width, one.height, one.relative_path) for one in hung] == [
        (32, 24, ".thumbs/a-32x32.png"),
        (40, 40, ".thumbs/a-40x40.png"),
        (400, 300, ".thumbs/a-400x300.png"),
        (2, 1, ".thumbs/a-2x1.png"),
    ]


def test_broken_picture(tmp_path: Path) -> None:
    """A picture that can't be decoded is kept as it is, without an icon."""
    hung = hang(tmp_path / "a.gcode", [Picture(9, 9, "png", png(9, 9)[:40])])
    assert [one.relative_path for one in hung] == [".thumbs/a-9x9.png"]


def test_link(tmp_path: Path) -> None:
    """A .thumbs that is a link isn't written to."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".thumbs").symlink_to(tmp_path / "elsewhere")
    assert hang(tmp_path / "a.gcode", [picture(32, 32)]) == []
    assert os.listdir(tmp_path / "elsewhere") == []


def test_cannot_be_written(tmp_path: Path) -> None:
    """Without a folder for them, or with too long a name, there are no pictures, and no error."""
    assert hang(tmp_path / "gone" / "a.gcode", [picture(32, 32)]) == []
    assert hang(tmp_path / f"{'a' * 249}.gcode", [picture(32, 32)]) == []
    assert os.listdir(tmp_path / ".thumbs") == []


def test_rehang(tmp_path: Path) -> None:
    """Pictures go along with a file, named as it is now; those that are gone are left out."""
    hung = hang(tmp_path / "a.gcode", [picture(32, 32), picture(40, 30)])
    (tmp_path / "sub").mkdir()
    (tmp_path / ".thumbs/a-32x32.png").unlink()
    moved = rehang(tmp_path / "a.gcode", tmp_path / "sub" / "b.gcode", hung, ())
    assert [one.relative_path for one in moved] == [".thumbs/b-40x30.png"]
    assert (tmp_path / "sub/.thumbs/b-40x30.png").is_file()
    assert os.listdir(tmp_path / ".thumbs") == []


def test_rehang_shared(tmp_path: Path) -> None:
    """A picture that another file shows, too, is at both places then; a link isn't followed for that."""
    hung = hang(tmp_path / "a.gcode", [picture(32, 32), picture(40, 30)])
    (tmp_path / "secret").write_text("x")
    (tmp_path / ".thumbs/a-40x30.png").unlink()
    (tmp_path / ".thumbs/a-40x30.png").symlink_to(tmp_path / "secret")
    shared = {thumbnail.relative_path for thumbnail in hung}
    for _ in range(2):
        rehang(tmp_path / "a.gcode", tmp_path / "b.gcode", hung, shared)
    names = [f"{stem}-{size}.png" for stem in "ab" for size in ("32x32", "40x30")]
    assert sorted(os.listdir(tmp_path / ".thumbs")) == names
    assert (tmp_path / ".thumbs/b-32x32.png").read_bytes() == png(32, 32)
    assert (tmp_path / ".thumbs/b-40x30.png").is_symlink()


def test_take_down(tmp_path: Path) -> None:
    """Deleted pictures are gone with their empty folder; a path that leads elsewhere is never followed."""
    hung = hang(tmp_path / "a.gcode", [picture(32, 32)])
    (tmp_path / "precious").write_text("")
    take_down(tmp_path, [*hung, Thumbnail(1, 1, 1, "../precious"), Thumbnail(1, 1, 1, "precious")])
    assert os.listdir(tmp_path) == ["precious"]
