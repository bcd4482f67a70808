"""Which sections and options Moonraker's configuration documentation knows, deprecated ones included.

With it txraker tells an option that works in Moonraker and not here yet from one that nobody documents. Only
names are kept; a name that ends in `*` stands for every option that begins so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLAIN: Final[Mapping[str, frozenset[str]]] = {
    "server": _names(
        "host port ssl_port klippy_uds_address route_prefix max_upload_size max_websocket_connections"
        " enable_debug_logging enable_asyncio_debug ssl_certificate_path ssl_key_path"
    ),
    "file_manager": _names(
        "queue_gcode_uploads check_klipper_config_path enable_object_processing file_system_observer"
        " enable_observer_warnings enable_inotify_warnings enable_config_write_access config_path log_path"
    ),
    "machine": _names(
        "provider shutdown_action sudo_password validate_service validate_config force_validation"
        " supervisord_config_path"
    ),
    "database": _names("database_path enable_database_debug"),
    "data_store": _names("temperature_store_size gcode_store_size"),
    "job_queue": _names("load_on_startup automatic_transition job_transition_delay job_transition_gcode"),
    "announcements": _names("subscriptions enable_moonlight dev_mode"),
    "authorization": _names(
        "enable_api_key login_timeout max_login_attempts trusted_clients cors_domains force_logins"
        " default_source"
    ),
    "history": frozenset(),
    "analysis": _names(
        "platform estimator_config auto_dump_default_config estimator_timeout enable_auto_analysis"
        " enable_estimator_updates"
    ),
    "ldap": _names(
        "ldap_host ldap_port ldap_secure base_dn bind_dn bind_password group_dn is_active_directory"
        " user_filter membership_attribute check_dn_case"
    ),
    "octoprint_compat": _names("enable_ufp flip_h flip_v rotate_90 stream_url webcam_enabled"),
    "paneldue": _names("serial baud machine_name macros confirmed_macros"),
    "update_manager": _names(
        "enable_auto_refresh refresh_window refresh_interval enable_system_updates enable_packagekit channel"
    ),
    "mqtt": _names(
        "address port client_id enable_tls username password password_file mqtt_protocol"
        " enable_moonraker_api instance_name status_objects status_interval publish_split_status default_qos"
        " api_qos"
    ),
    "zeroconf": _names("mdns_hostname enable_ssdp"),
    "secrets": _names("secrets_path"),
    "simplyprint": _names("webcam_name power_device filament_sensor ambient_sensor"),
    "spoolman": _names("server sync_rate"),
}

# Sections with a name of the user's choice: `[power printer]`. Their options are those of every type
# together.
_NAMED: Final[Mapping[str, frozenset[str]]] = {
    "webcam": _names(
        "location icon enabled service target_fps target_fps_idle stream_url snapshot_url flip_horizontal"
        " flip_vertical rotation aspect_ratio"
    ),
    "power": _names(
        "type initial_state off_when_shutdown off_when_shutdown_delay on_when_job_queued"
        " locked_while_printing restart_klipper_when_powered restart_delay bound_services"
        " restrict_action_processing pin timer object_name on_code off_code address port output_id"
        " poll_interval user password device protocol token domain status_delay qos command_topic"
        " command_payload retain_command_state state_topic state_response_template state_timeout query_topic"
        " query_payload query_after_command on_url off_url status_url request_template response_template"
        " device_id device_type location"
    ),
    "update_manager": _names(
        "type channel repo path persistent_files refresh_interval info_tags report_anomalies origin"
        " primary_branch virtualenv env requirements system_dependencies install_script enable_node_updates"
        " is_system_service managed_services pinned_commit project_name"
    ),
    "wled": _names(
        "type address serial initial_preset initial_red initial_green initial_blue initial_white"
        " chain_count color_order"
    ),
    "button": _names("type pin debounce_period minimum_event_time on_press on_release"),
    "notifier": _names("url events body body_format title attach"),
    "sensor": _names("type name qos state_topic state_response_template parameter_* history_field_*"),
}

MOVED: Final[Mapping[tuple[str, str], str]] = {
    ("server", "temperature_store_size"): "data_store",
    ("server", "gcode_store_size"): "data_store",
}
"""Options that are documented to have moved: (section, option) to the section where they belong now."""


def _options(section: str) -> frozenset[str] | None:
    kind, *name = section.split(maxsplit=1)
    return (_NAMED if name else _PLAIN).get(kind)


def is_documented_section(section: str) -> bool:
    """Say whether the documentation knows the section with this full name, such as `power printer`."""
    return _options(section) is not None


def is_documented_option(section: str, option: str) -> bool:
    """Say whether the documentation knows `option` (lower case) in the section with this full name."""
    names = _options(section) or frozenset()
    return option in names or any(name.endswith("*") and option.startswith(name[:-1]) for name in names)
