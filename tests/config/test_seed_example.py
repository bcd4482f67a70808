"""The example of the API documentation: what `server.config` reports for it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from txraker.config.load import load
from txraker.config.options import AuthorizationOptions, DataStoreOptions, ServerOptions

MOONRAKER_CONF = """\
# Sample Moonraker Configuration File
[server]
enable_debug_logging: True
max_upload_size: 210   # MiB

[file_manager]
config_path: ~/printer_config
log_path: ~/logs
queue_gcode_uploads: True
enable_object_processing: True

[machine]
provider: systemd_dbus

[announcements]

[job_queue]
job_transition_delay: 2.
job_transition_gcode:
  M118 Transitioning to next job...
load_on_startup: True

[authorization]
trusted_clients:
  192.168.1.0/24
cors_domains:
  *.home
  http://my.mainsail.xyz
  # the development machine
  http://app.fluidd.xyz
  *://localhost:*

[zeroconf]

[octoprint_compat]

[history]

[secrets]
secrets_path: ~/moonraker_secrets.ini

[include include/extras.conf]
"""

EXTRAS_CONF = """\
[mqtt]
address: eric-work.home
port: 1883
username: {secrets.mqtt_credentials.username}
password: {secrets.mqtt_credentials.password}
enable_moonraker_api: True
status_objects:
  webhooks
  toolhead=position,print_time
  idle_timeout=state
  gcode_macro M118
"""

ORIG = {
    "DEFAULT": {},
    "server": {"enable_debug_logging": "True", "max_upload_size": "210"},
    "file_manager": {
        "config_path": "~/printer_config",
        "log_path": "~/logs",
        "queue_gcode_uploads": "True",
        "enable_object_processing": "True",
    },
    "machine": {"provider": "systemd_dbus"},
    "announcements": {},
    "job_queue": {
        "job_transition_delay": "2.",
        "job_transition_gcode": "\nM118 Transitioning to next job...",
        "load_on_startup": "True",
    },
    "authorization": {
        "trusted_clients": "\n192.168.1.0/24",
        "cors_domains": "\n*.home\nhttp://my.mainsail.xyz\nhttp://app.fluidd.xyz\n*://localhost:*",
    },
    "zeroconf": {},
    "octoprint_compat": {},
    "history": {},
    "secrets": {"secrets_path": "~/moonraker_secrets.ini"},
    "mqtt": {
        "address": "eric-work.home",
        "port": "1883",
        "username": "{secrets.mqtt_credentials.username}",
        "password": "{secrets.mqtt_credentials.password}",
        "enable_moonraker_api": "True",
        "status_objects": "\nwebhooks\ntoolhead=position,print_time\nidle_timeout=state\ngcode_macro M118",
    },
}

FILES = [
    {
        "filename": "moonraker.conf",
        "sections": [
            "server",
            "file_manager",
            "machine",
            "announcements",
            "job_queue",
            "authorization",
            "zeroconf",
            "octoprint_compat",
            "history",
            "secrets",
        ],
    },
    {"filename": "include/extras.conf", "sections": ["mqtt"]},
]


def test_seed_example(tmp_path: Path) -> None:
    """The documented example gives the documented `orig` and `files` to the letter, and typed values."""
    (tmp_path / "config/include").mkdir(parents=True)
    (tmp_path / "config/moonraker.conf").write_text(MOONRAKER_CONF)
    (tmp_path / "config/include/extras.conf").write_text(EXTRAS_CONF)
    config = load(tmp_path, None)
    config.read("server", ServerOptions)
    config.read("data_store", DataStoreOptions)
    config.read("authorization", AuthorizationOptions)
    report = msgspec.to_builtins(config.report())
    assert report["orig"] == ORIG
    assert list(report["orig"]) == list(ORIG)
    assert report["files"] == FILES
    assert report["config"]["data_store"] == {"temperature_store_size": 1200, "gcode_store_size": 1000}
    assert report["config"]["server"] == {
        "host": "0.0.0.0",
        "port": 7125,
        "enable_http": True,
        "ssl_port": 7130,
        "ssl_certificate_path": None,
        "ssl_key_path": None,
        "klippy_uds_address": "/tmp/klippy_uds",
        "route_prefix": "",
        "max_upload_size": 210,
        "max_websocket_connections": 50,
        "enable_debug_logging": True,
        "client_queue_size": 1024,
        "client_queue_seconds": 30.0,
        "unix_socket_mode": "0660",
        "frontend_path": None,
    }
    assert report["config"]["authorization"]["trusted_clients"] == ["192.168.1.0/24"]
    [warning] = config.warnings()
    assert warning.startswith(
        "Valid, but not supported by txraker yet and without effect: section [file_manager],"
    )
    assert "section [mqtt]" in warning
