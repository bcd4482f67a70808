"""Where the command ``txraker`` begins: with nothing but Python, so that it can name a missing package."""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path


def main() -> int:
    """Do what the command line asks for, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        from txraker.cli import main as command  # noqa: PLC0415  # it needs packages that may be missing
    except ImportError as missing:
        print(f"txraker: {missing}; this installs what is missing:", file=sys.stderr)
        print(f"    {remedy(missing.name or '')}", file=sys.stderr)
        return 1
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def remedy(module: str) -> str:
    """Return the command that installs the package of a module, or all packages that we ask for.

    Where we aren't installed that is this source: what PyPI may have by our name isn't ours.
    """
    try:
        wanted = [each for each in metadata.requires("txraker") or () if ";" not in each]
    except metadata.PackageNotFoundError:
        wanted = [str(Path(__file__).parents[1])]
    name = re.escape(module.partition(".")[0])
    missing = [each for each in wanted if re.match(rf"{name}(?![A-Za-z0-9_-])", each, re.IGNORECASE)]
    return shlex.join([sys.executable, "-m", "pip", "install", *(missing or wanted)])


if __name__ == "__main__":
    sys.exit(main())
