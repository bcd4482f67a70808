"""The template references txraker knows, `{data_path}` and `{secrets.name.field}`, and the secrets file.

Everything else in braces is left as it is: it belongs to options whose templates are evaluated later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

import attrs

from txraker.config.errors import ConfigError
from txraker.config.masking import REFERENCE
from txraker.config.parse import ParsedOption, ParsedSection, parse

SECRETS_FILE: Final = "moonraker.secrets"
"""Name of the secrets file in the data folder."""


class SecretsError(Exception):
    """The secrets file can't be understood; the message never holds any of its text."""


@attrs.frozen
class TemplateContext:
    """What references are replaced with: the data folder, and the secrets by name."""

    data_path: str
    secrets: Mapping[str, object] = attrs.field(factory=dict, repr=False)


def parse_secrets(text: str) -> Mapping[str, object]:
    """Read the text of a secrets file, a JSON object or sections in the configuration's own dialect.

    Raises SecretsError, which names a line and nothing of what is written there.
    """
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    try:
        parsed = parse(text, SECRETS_FILE)
    except ConfigError as error:
        raise SecretsError(f"line {error.line} is not valid in an INI file") from None
    sections = [item for item in parsed.items if isinstance(item, ParsedSection)]
    if len(sections) != len(parsed.items):
        raise SecretsError("it can't include other files")
    return {section.name: {option.name: option.value for option in section.options} for section in sections}


def _parse_json(text: str) -> Mapping[str, object]:
    try:
        decoded = json.loads(text)
    except json.JSONDecodeError as error:
        raise SecretsError(f"line {error.lineno} is not valid JSON") from None
    except (ValueError, RecursionError):
        raise SecretsError("it holds JSON that is too large to read") from None
    if not isinstance(decoded, dict):
        raise SecretsError("it must hold a JSON object")
    return decoded


def expand(option: ParsedOption, section: str, context: TemplateContext) -> str:
    """Return the value of `option` with its references replaced.

    Raises ConfigError when a reference names a secret that doesn't exist or isn't a single value; the error
    names the secret, never a value.
    """

    def replacement(match: re.Match[str]) -> str:
        reference = match[1]
        if reference == "data_path":
            return context.data_path
        return _secret(reference, option, section, context.secrets)

    return REFERENCE.sub(replacement, option.value)


def _secret(reference: str, option: ParsedOption, section: str, secrets: Mapping[str, object]) -> str:
    found: object = secrets
    for name in reference.split(".")[1:]:
        # Option names of an INI secrets file are lower case, whatever case the reference is written in.
        key = name if isinstance(found, Mapping) and name in found else name.lower()
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, str | int | float):
        return str(found)
    if found is None:
        rule = f"refers to '{reference}', which {SECRETS_FILE} doesn't define"
    else:
        rule = f"refers to '{reference}', which is not a single value in {SECRETS_FILE}"
    raise ConfigError(rule, file=option.file, line=option.line, section=section, option=option.name)
