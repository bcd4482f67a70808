"""What is pure stays so, and the reactor is imported where it is chosen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

IMPURE = frozenset(
    {"twisted", "socket", "time", "os", "pathlib", "asyncio", "threading", "subprocess", "select"}
)
"""Modules that lead to the reactor, a socket, a clock or a file."""

SHELLS = frozenset(
    {
        "txraker/config/load.py",  # reads files, so that the rest of config needs not
        "txraker/simulator/__main__.py",  # runs the reactor
        "txraker/simulator/service.py",  # the socket and the clock of the virtual printer
        "txraker/simulator/files.py",  # lists the folder of the virtual SD card
    }
)

EXCEPTIONS: dict[str, frozenset[str]] = {
    "txraker/config/configuration.py": frozenset({"pathlib"}),  # holds paths that others open
    "txraker/config/schema.py": frozenset({"pathlib"}),  # names the file in its errors
    "txraker/simulator/host.py": frozenset({"pathlib"}),  # holds the path of the virtual SD card
    "txraker/simulator/config.py": frozenset({"pathlib"}),  # names files of the printer's configuration
}
"""Impure modules that a pure one may import, for their types."""

SHELLS_USED = {
    "txraker.simulator.files": {"host", "printer", "sdcard"},  # the SD card's folder, handed in from outside
}
"""Shells whose classes pure modules of the simulator name, because they are handed objects of them."""

REACTOR_CHOSEN_IN = {"txraker/tap.py"}


def pure_modules() -> Iterator[str]:
    """Yield the modules that must be pure, relative to the project."""
    for folder in ("api", "config", "simulator", "components/data_store"):
        for path in (ROOT / "txraker" / folder).glob("*.py"):
            name = str(path.relative_to(ROOT))
            if name not in SHELLS and path.name != "component.py":
                yield name
    yield from (f"txraker/{name}.py" for name in ("access", "errors", "events", "clients", "outgoing"))
    yield "txraker/metadata/facts.py"
    yield from (
        f"txraker/klippy/{name}.py" for name in ("framing", "freshness", "host", "session", "subscriptions")
    )
    yield from (
        "txraker/transports/frames.py",
        "txraker/transports/outbox.py",
        "txraker/system/cgroups.py",
        "txraker/system/services.py",
        "txraker/system/host/usage.py",
    )


def imports(path: Path, package: str) -> set[str]:
    """Return the absolute names of all modules that a module imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def imported_by(name: str) -> set[str]:
    """Return the modules that a module of ours imports."""
    path = ROOT / name
    return imports(path, ".".join(Path(name).parent.parts))


@pytest.mark.parametrize("name", sorted(pure_modules()))
def test_pure(name: str) -> None:
    """A pure module imports no reactor, no socket, no clock and no file."""
    roots = {module.split(".")[0] for module in imported_by(name)}
    assert roots & IMPURE == roots & EXCEPTIONS.get(name, frozenset())


@pytest.mark.parametrize("name", sorted(pure_modules()))
def test_pure_needs_only_pure(name: str) -> None:
    """A pure module imports from us only what is pure, or says nothing but interfaces."""
    ours = {module for module in imported_by(name) if module.startswith("txraker.")}
    files = (pure.removesuffix(".py").removesuffix("/__init__") for pure in pure_modules())
    pure = {file.replace("/", ".") for file in files}
    pure |= {"txraker.interfaces", "txraker.klippy", "txraker.components"}
    pure |= {shell for shell, users in SHELLS_USED.items() if Path(name).stem in users}
    assert {
        module for module in ours if module not in pure and module.rpartition(".")[0] not in pure
    } == set()


def test_exceptions_are_needed() -> None:
    """An exception that is not needed any more is taken from the list."""
    for name, modules in EXCEPTIONS.items():
        assert modules <= {module.split(".")[0] for module in imported_by(name)}, name
    assert all((ROOT / name).is_file() for name in SHELLS)


def test_the_reactor_is_chosen_in_one_place() -> None:
    """The global reactor is imported by the programs and by nothing else."""
    importing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "txraker").rglob("*.py")
        if "twisted.internet.reactor" in imported_by(str(path.relative_to(ROOT)))
    }
    assert importing == REACTOR_CHOSEN_IN


def test_imports_are_found(tmp_path: Path) -> None:
    """The check sees imports of every form."""
    module = tmp_path / "m.py"
    module.write_text(
        "import os.path\nfrom time import time\nfrom . import a\nfrom .b import c\nfrom ..d import e\n"
        "def f():\n    from twisted.internet import reactor\n"
    )
    assert imports(module, "txraker.api") == {
        "os.path",
        "time",
        "time.time",
        "txraker.api",
        "txraker.api.a",
        "txraker.api.b",
        "txraker.api.b.c",
        "txraker.d",
        "txraker.d.e",
        "twisted.internet",
        "twisted.internet.reactor",
    }
