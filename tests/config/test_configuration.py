"""What a configuration says once its sections are read: typed options, warnings, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.config.options import AuthorizationOptions, DataStoreOptions, ServerOptions
from txraker.config.parse import ParsedSection, parse
from txraker.config.schema import NoOptions, Option

DATA = Path("/home/pi/printer_data")
PATH = DATA / "config/moonraker.conf"


class Mqtt(msgspec.Struct, frozen=True, kw_only=True):
    """A section with a credential."""

    address: str
    port: int = 1883
    password: Annotated[str | None, Option(template=True)] = None
    pin: Annotated[str | None, Option(secret=True)] = None


def configuration(text: str, problems: tuple[str, ...] = ()) -> Configuration:
    """Make the configuration of one file."""
    sections = [item for item in parse(text, str(PATH)).items if isinstance(item, ParsedSection)]
    return Configuration(
        data_path=DATA,
        path=PATH,
        problems=problems,
        sections={section.name: {option.name: option for option in section.options} for section in sections},
        secrets={"mqtt": {"password": "hunter2"}},
    )


def test_read() -> None:
    """A section is read into typed options with its templates expanded."""
    config = configuration(
        "[server]\nport: 80\nklippy_uds_address: {data_path}/comms/klippy.sock\n"
        "[mqtt]\naddress: a\npassword: {secrets.mqtt.password}"
    )
    server = config.read("server", ServerOptions)
    assert (config.has_file, server.port, server.host) == (True, 80, "0.0.0.0")
    assert server.klippy_uds_address == "/home/pi/printer_data/comms/klippy.sock"
    assert config.read("mqtt", Mqtt).password == "hunter2"


def test_absent_section() -> None:
    """A section that isn't there reads as its defaults, `[server]` included, and is reported."""
    config = configuration("")
    assert config.read("server", ServerOptions) == ServerOptions()
    assert config.read("data_store", DataStoreOptions) == DataStoreOptions()
    assert config.report().config["data_store"] == {"temperature_store_size": 1200, "gcode_store_size": 1000}


def test_defaults() -> None:
    """Without any file only this machine is listened to and trusted, and nothing is reported as written."""
    config = Configuration.defaults(DATA)
    assert (config.has_file, config.path, config.data_path) == (False, None, DATA)
    assert config.read("server", ServerOptions).host == "127.0.0.1"
    assert config.read("authorization", AuthorizationOptions).trusted_clients == ["127.0.0.0/8", "::1"]
    report = config.report()
    assert report.config["server"]["host"] == "127.0.0.1"
    assert (report.orig, report.files, config.warnings()) == ({"DEFAULT": {}}, [], [])


def test_file_without_authorization() -> None:
    """With a file but without `[authorization]` no network client is trusted."""
    assert configuration("[server]").read("authorization", AuthorizationOptions).trusted_clients == []


def test_sections_by_kind() -> None:
    """Sections with names of their own are listed by kind, in the order of the file."""
    config = configuration("[power printer]\n[power]\n[server]\n[power  light]\n[powerful thing]")
    assert config.named("power") == ["power printer", "power  light"]
    assert (config.has("power printer"), config.has("power other")) == (True, False)


def test_invalid_option_and_section() -> None:
    """Names that nobody documents are warned of in the words of `server.info`."""
    config = configuration("[fake_section]\na: 1\n[authorization]\napi_key_path: x")
    config.read("authorization", AuthorizationOptions)
    assert config.warnings() == [
        "Invalid config option 'api_key_path' detected in section [authorization]. Remove the option to "
        "resolve this issue. In the future this will result in a startup error.",
        "Unparsed config section [fake_section] detected.  This may be the result of a component that "
        "failed to load.  In the future this will result in a startup error.",
    ]


def test_not_supported_yet() -> None:
    """All that is documented and not supported yet shares one warning."""
    config = configuration(
        "[server]\nmax_upload_size: 7\nenable_asyncio_debug: x\n[mqtt]\naddress: a\n"
        "[power printer]\ntype: gpio\n[secrets]"
    )
    config.read("server", ServerOptions)
    assert config.warnings() == [
        "Valid, but not supported by txraker yet and without effect: section [mqtt], "
        "section [power printer], "
        "option 'enable_asyncio_debug' in [server]."
    ]


def test_defaults_are_not_warned_of() -> None:
    """Options without effect are only mentioned when they are set."""
    config = configuration("[server]\n[authorization]\ntrusted_clients: 10.0.0.0/8")
    config.read("server", ServerOptions)
    config.read("authorization", AuthorizationOptions)
    assert config.warnings() == []


def test_moved_option() -> None:
    """An option in the section where it used to be is told where it belongs."""
    config = configuration("[server]\ngcode_store_size: 5")
    config.read("server", ServerOptions)
    assert config.warnings() == [
        "Option 'gcode_store_size' of section [server] has moved to section [data_store] and "
        "has no effect where it is."
    ]


def test_problems() -> None:
    """Problems met while loading come last among the warnings."""
    assert configuration("[odd]", problems=("The secrets are odd.",)).warnings()[-1] == "The secrets are odd."


def test_failed_component() -> None:
    """A section of a component that failed is not called unknown, whatever it failed at."""
    config = configuration("[third_party]\nx: 1\n[mqtt]\nport: 1\nodd: 1")
    config.failed("third_party")
    with pytest.raises(ConfigError, match=r"option 'address' in section \[mqtt\] must be given$"):
        config.read("mqtt", Mqtt)
    assert config.warnings() == []
    assert config.report().config == {}


def test_read_in_parts() -> None:
    """Two components may read the same section, each with its own schema."""

    class Size(msgspec.Struct, frozen=True, kw_only=True):
        gcode_store_size: int = 1

    class Other(msgspec.Struct, frozen=True, kw_only=True):
        odd: bool = False

    config = configuration("[data_store]\ngcode_store_size: 5\nodd: yes")
    assert config.read("data_store", Size).gcode_store_size == 5
    assert config.read("data_store", Other).odd is True
    assert config.warnings() == []
    assert config.report().config == {"data_store": {"gcode_store_size": 5, "odd": True}}


def test_report() -> None:
    """The report has values as used, templates and text as written, and masks secrets in both."""
    config = configuration(
        "[history]\n[mqtt]\naddress: a\npassword: {secrets.mqtt.password}\npin: 1234\n[other]\ntoken: hunter2"
    )
    config.read("history", NoOptions)
    config.read("mqtt", Mqtt)
    config.read("server", ServerOptions)
    report = config.report()
    assert report.config["mqtt"] == {
        "address": "a",
        "port": 1883,
        "password": "{secrets.mqtt.password}",
        "pin": "****",
    }
    assert report.config["history"] == {}
    assert report.config["server"]["klippy_uds_address"] == "/tmp/klippy_uds"
    assert list(report.orig) == ["DEFAULT", "history", "mqtt", "other"]
    assert report.orig["mqtt"] == {"address": "a", "password": "{secrets.mqtt.password}", "pin": "****"}
    assert report.orig["other"] == {"token": "****"}
    assert b"hunter2" not in msgspec.json.encode(report)
    assert "hunter2" not in repr(config.read("server", ServerOptions))


def test_error_shows_the_reference() -> None:
    """An error about an expanded value shows the text of the file, never the secret in it."""

    class Length(msgspec.Struct, frozen=True, kw_only=True):
        size: Annotated[int, Option(template=True)]

    config = configuration("[length]\nsize: {secrets.mqtt.password}")
    with pytest.raises(ConfigError, match="must be an integer") as caught:
        config.read("length", Length)
    assert "{secrets.mqtt.password}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
