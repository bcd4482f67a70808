"""Configuration files on disk: where they are, what they include, what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from txraker.config.configuration import ConfigFile, Configuration
from txraker.config.errors import ConfigError
from txraker.config.load import load
from txraker.config.options import AuthorizationOptions, ServerOptions


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make an empty data folder."""
    (tmp_path / "config").mkdir()
    return tmp_path


def write(data: Path, **files: str) -> None:
    """Write configuration files: `a__b` is `config/a/b.conf`."""
    for name, text in files.items():
        path = data / "config" / (name.replace("__", "/") + ".conf")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def refused(data: Path, config_path: Path | None = None) -> ConfigError:
    """Load a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        load(data, config_path)
    return caught.value


def orig(config: Configuration) -> dict[str, dict[str, str]]:
    """Return the sections as written."""
    written = config.report().orig
    del written["DEFAULT"]
    return written


def test_no_file(data: Path) -> None:
    """Without any file the defaults hold."""
    assert not load(data, None).has_file
    assert not load(data / "nowhere", None).has_file
    assert load(data, None).read("server", ServerOptions).host == "127.0.0.1"


def test_default_files(data: Path) -> None:
    """The file is moonraker.conf, unless there is a txraker.conf."""
    write(data, moonraker="[server]\nport: 1")
    assert load(data, None).path == data / "config/moonraker.conf"
    write(data, txraker="[server]\nport: 2")
    config = load(data, None)
    assert (config.path, config.read("server", ServerOptions).port) == (data / "config/txraker.conf", 2)


def test_given_file(data: Path) -> None:
    """A file that is given is used, wherever it is and whatever else there is."""
    write(data, moonraker="[server]\nport: 1", other__mine="[server]\nport: 2")
    config = load(data, data / "config/other/mine.conf")
    assert config.read("server", ServerOptions).port == 2
    assert config.report().files == [ConfigFile("mine.conf", ["server"])]


def test_links(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Folders and files may be links; includes are looked for beside the link."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "real.conf").write_text("[include extra.conf]")
    (data / "config/moonraker.conf").symlink_to(elsewhere / "real.conf")
    write(data, extra="[server]\nport: 3")
    (elsewhere / "data").symlink_to(data)
    config = load(elsewhere / "data", None)
    assert config.read("server", ServerOptions).port == 3
    assert [file.filename for file in config.report().files] == ["moonraker.conf", "extra.conf"]


def test_include_order(data: Path) -> None:
    """Sections are merged where the include directive is: the latest option wins, the others stay."""
    write(
        data,
        moonraker="[server]\nhost: a\nport: 1\n[include extra.conf]\n[authorization]\nforce_logins: no\n",
        extra="[server]\nport: 2\n[authorization]\nforce_logins: yes\ncors_domains: *.home\n[history]",
    )
    assert orig(load(data, None)) == {
        "server": {"host": "a", "port": "2"},
        "authorization": {"force_logins": "no", "cors_domains": "*.home"},
        "history": {},
    }


def test_wildcards(data: Path) -> None:
    """A wildcard includes every match in alphabetical order, no folders, and may match nothing."""
    write(
        data,
        moonraker="[include parts/*.conf]\n[include nothing/*.conf]",
        parts__b="[server]\nport: 2\n[b]",
        parts__a="[server]\nport: 1\n[a]",
    )
    (data / "config/parts/folder.conf").mkdir()
    config = load(data, None)
    assert config.report().files == [
        ConfigFile("moonraker.conf", []),
        ConfigFile("parts/a.conf", ["server", "a"]),
        ConfigFile("parts/b.conf", ["server", "b"]),
    ]
    assert orig(config)["server"] == {"port": "2"}


def test_nested_includes(data: Path) -> None:
    """An include in an included file is relative to the folder of that file."""
    write(data, moonraker="[include a/one.conf]", a__one="[include two.conf]", a__two="[two]")
    assert [file.filename for file in load(data, None).files] == [
        "moonraker.conf",
        "a/one.conf",
        "a/two.conf",
    ]


def test_special_folder_names(tmp_path: Path) -> None:
    """Wildcard characters in the folder's own name mean nothing special."""
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    (folder / "x.conf").write_text("[include *.inc]")
    (folder / "y.inc").write_text("[y]")
    assert list(orig(load(tmp_path, folder / "x.conf"))) == ["y"]


def test_file_included_twice(data: Path) -> None:
    """A file may be included along two ways, and is listed once."""
    write(
        data,
        moonraker="[include a.conf]\n[include b.conf]",
        a="[include c.conf]",
        b="[include c.conf]",
        c="[c]",
    )
    names = [file.filename for file in load(data, None).files]
    assert names == ["moonraker.conf", "a.conf", "c.conf", "b.conf"]


@pytest.mark.parametrize(
    "files",
    [
        {"moonraker": "[include moonraker.conf]"},
        {"moonraker": "[include *.conf]"},
        {"moonraker": "[include a.conf]", "a": "[include b.conf]", "b": "[include ../config/a.conf]"},
    ],
)
def test_include_cycle(data: Path, files: dict[str, str]) -> None:
    """A file that includes itself, however indirectly, is refused."""
    write(data, **files)
    assert "leads back to itself" in str(refused(data))


def test_include_cycle_through_a_link(data: Path) -> None:
    """A link doesn't hide that a file includes itself."""
    write(data, moonraker="[include link.conf]")
    (data / "config/link.conf").symlink_to("moonraker.conf")
    error = refused(data)
    assert (error.file, error.line) == (str(data / "config/moonraker.conf"), 1)


def test_too_many_files(data: Path) -> None:
    """Files that include one another many times over are refused instead of read for ever."""
    for number in range(30):
        write(data, **{f"f{number}": f"[include f{number + 1}.conf]\n[include ../config/f{number + 1}.conf]"})
    write(data, moonraker="[include f0.conf]", f30="[end]")
    assert "more than 250 files" in str(refused(data))


def test_missing_include(data: Path) -> None:
    """An include of a file that doesn't exist is refused, naming both files and the line."""
    write(data, moonraker="[server]\n[include gone.conf]")
    error = refused(data)
    assert (error.file, error.line) == (str(data / "config/moonraker.conf"), 2)
    assert str(data / "config/gone.conf") in str(error)


def test_missing_file(data: Path) -> None:
    """A given file that doesn't exist is refused."""
    assert (
        str(refused(data, data / "gone.conf"))
        == f"{data}/gone.conf: can't be read: No such file or directory"
    )


def test_dangling_link(data: Path) -> None:
    """A link to nothing is refused rather than passed over."""
    write(data, moonraker="[server]")
    (data / "config/txraker.conf").symlink_to("gone.conf")
    assert refused(data).file == str(data / "config/txraker.conf")


def test_circular_link(data: Path) -> None:
    """A link to itself is refused."""
    (data / "config/txraker.conf").symlink_to("txraker.conf")
    assert "can't be read" in str(refused(data))


def test_folder(data: Path) -> None:
    """A folder in the place of a file is refused, included or not."""
    assert "it is a folder" in str(refused(data, data / "config"))
    write(data, moonraker="[include parts]", parts__a="[a]")
    assert refused(data).file == str(data / "config/parts")


def test_pipe(data: Path) -> None:
    """A pipe is refused at once, without waiting for someone to write to it."""
    os.mkfifo(data / "config/moonraker.conf")
    assert "not a regular file" in str(refused(data))


def test_large_file(data: Path) -> None:
    """A file of 10 MB is refused, one of 1 MB is read."""
    path = data / "config/moonraker.conf"
    path.write_bytes(b"[server]\n" + b"#" * 999_991)
    assert orig(load(data, None)) == {"server": {}}
    path.write_bytes(b"[server]\n" * 1_200_000)
    assert str(refused(data)) == f"{path}: can't be read: it is larger than 1 MB"


@pytest.mark.parametrize(
    "content",
    [
        b"[server]\n" + b" x:" * 333_000,
        b"[server]\nx" + b" " * 999_000 + b"y",
        b"[server]\nx: " + b"\\# " * 333_000,
        b"[server]\nx:\n" + b" \\#\n" * 240_000,
        b"[" * 1_000_000,
        b"[server]\nx: " + b"{ " * 480_000,
        b"[server]\npassword: " + b"{secrets.a" * 99_000,
    ],
    ids=["colons", "spaces", "escapes", "lines", "brackets", "braces", "references"],
)
def test_awkward_large_files(data: Path, content: bytes) -> None:
    """No file below the limit takes long, whatever is in it."""
    (data / "config/moonraker.conf").write_bytes(content)
    try:
        config = load(data, None)
    except ConfigError:
        return
    assert config.report().orig["server"]


def test_not_utf8(data: Path) -> None:
    """Text that isn't UTF-8 is refused, naming file and line."""
    path = data / "config/moonraker.conf"
    path.write_bytes(b"[server]\n# caf\xe9\n")
    assert str(refused(data)) == f"{path}, line 2: is not UTF-8 text"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(data: Path) -> None:
    """A file without permission to read it is refused."""
    write(data, moonraker="[server]")
    (data / "config/moonraker.conf").chmod(0)
    assert "Permission denied" in str(refused(data))


def test_denied_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file the system won't open is refused with the system's reason."""
    write(data, moonraker="[server]")

    def deny(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    error = refused(data)
    assert error.file == str(data / "config/moonraker.conf")
    assert str(error).endswith("can't be read: Permission denied")


def test_denied_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration folder that can't be searched is an error, not a configuration without a file."""

    def deny(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", deny)
    assert str(refused(data)).endswith("txraker.conf: can't be read: Permission denied")


def test_mistake_in_included_file(data: Path) -> None:
    """An error names the file that holds the mistake, also when the option is read later."""
    write(data, moonraker="[include extra.conf]", extra="[server]\nport: http")
    with pytest.raises(ConfigError) as caught:
        load(data, None).read("server", ServerOptions)
    assert str(caught.value) == (
        f"{data}/config/extra.conf, line 2: option 'port' in section [server] is 'http': "
        "it must be an integer of at least 1 and at most 65535"
    )


def test_secrets(data: Path) -> None:
    """References resolve to what the secrets file holds, whether INI or JSON, file or link."""
    write(data, moonraker="[server]\nklippy_uds_address: /tmp/{secrets.klippy.name}")
    (data / "moonraker.secrets").write_text("[klippy]\nname: one")
    assert load(data, None).read("server", ServerOptions).klippy_uds_address == "/tmp/one"
    (data / "moonraker.secrets").rename(data / "kept elsewhere")
    (data / "kept elsewhere").write_text('{"klippy": {"name": "two"}}')
    (data / "moonraker.secrets").symlink_to("kept elsewhere")
    assert load(data, None).read("server", ServerOptions).klippy_uds_address == "/tmp/two"


@pytest.mark.parametrize(
    "content",
    [b"hunter2", b'{"hunter2', b"\xff hunter2", b"x" * 2_000_000],
    ids=["ini", "json", "bytes", "large"],
)
def test_broken_secrets(data: Path, content: bytes) -> None:
    """A secrets file that can't be used is one warning that names it and tells nothing of it."""
    write(data, moonraker="[server]")
    (data / "moonraker.secrets").write_bytes(content)
    [warning] = load(data, None).problems
    assert warning.startswith(f"Secrets file {data}/moonraker.secrets: ")
    assert "hunter2" not in warning


def test_broken_secrets_without_a_file(data: Path) -> None:
    """The warning is there without a configuration file, too."""
    (data / "moonraker.secrets").mkdir()
    config = load(data, None)
    assert len(config.warnings()) == 1
    assert config.read("authorization", AuthorizationOptions).trusted_clients == ["127.0.0.0/8", "::1"]
