"""Measure txraker and Moonraker side by side: ``python benchmarks/run.py --help``."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from sidebyside import ceiling, environments, report
from sidebyside.kept import KeptRigs, SharedRigs
from sidebyside.results import Measurement, Results, Shares
from sidebyside.rig import Cores, Rig, rig
from sidebyside.scenario import Kept, Scenario, Seldom, Sharing, StartRig
from sidebyside.scenarios import scenarios
from sidebyside.servers import MOONRAKER, TXRAKER, Program

ROUNDS: Final = 5
OUTPUT: Final = Path(__file__).parent / "results" / "latest"
PUBLISHED: Final = Path(__file__).parent.parent / "docs" / "benchmarks"


def _arguments(arguments: Sequence[str], names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/run.py",
        description="Measure txraker and Moonraker side by side, each on a virtual printer of its own.",
        epilog=f"Scenarios: {', '.join(names)}. Read benchmarks/README.md before quoting a number.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a result")
    parser.add_argument("--only", action="append", choices=names, metavar="SCENARIO", help="may be repeated")
    parser.add_argument("--rounds", type=int, help=f"(default: {ROUNDS}, or 1 with --quick)")
    parser.add_argument("--without-moonraker", action="store_true", help="measure txraker alone")
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        help="where to write, without .md and .json; also the folder of the plots (default: %(default)s)",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help=f"write the results to {PUBLISHED}.md, too, and plots beside it",
    )
    chosen = parser.parse_args(arguments)
    if chosen.publish and (chosen.quick or chosen.only or chosen.without_moonraker):
        parser.error("only a whole run on both servers is for publication")
    return chosen


def main(arguments: Sequence[str]) -> int:
    """Run scenarios round by round; results are written after each measurement. Return the exit status."""
    chosen = _arguments(arguments, [scenario.name for scenario in scenarios(quick=True)])
    selected = [each for each in scenarios(quick=chosen.quick) if not chosen.only or each.name in chosen.only]
    programs = [TXRAKER] if chosen.without_moonraker else [MOONRAKER, TXRAKER]
    rounds = chosen.rounds or (1 if chosen.quick else ROUNDS)
    # So that what was started is stopped, too, when somebody stops us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, cores.clients)
    environments.TXRAKER.renew()
    if MOONRAKER in programs:
        environments.MOONRAKER.install()
    results = Results(environment=_environment(cores, rounds, MOONRAKER in programs), measurements=[])
    with ExitStack() as stack:
        kept = KeptRigs(stack, cores)
        for scenario in selected:
            if isinstance(scenario, Kept):
                for program in programs:
                    kept.begin(scenario, program)
        shared = SharedRigs(cores)
        stack.callback(shared.end)
        previous = 1
        for number, scenario, program in _plan(selected, programs, rounds):
            if number != previous:
                shared.end()
                previous = number
            new: StartRig = partial(rig, program, cores)
            if isinstance(scenario, Kept):
                new = kept.starter(scenario, program)
            elif isinstance(scenario, Sharing) and scenario.shares:
                new = shared.starter(program)
            results.measurements.append(_measure(scenario, program, number, new))
            _write(results, selected, chosen.output)
    print(report.markdown(results, selected, chosen.output.name))
    if chosen.publish:
        report.write(results, selected, PUBLISHED)
    return 1 if results.failed else 0


def _plan(
    selected: Sequence[Scenario], programs: Sequence[Program], rounds: int
) -> Iterator[tuple[int, Scenario, Program]]:
    """Say what is measured when: round by round, and at the end what servers of some age are for."""
    for is_kept in (False, True):
        for number in range(1, rounds + 1):
            for scenario in selected:
                is_due = number <= scenario.most_rounds if isinstance(scenario, Seldom) else True
                if isinstance(scenario, Kept) == is_kept and is_due:
                    # Which server goes first alternates, so that neither always has the colder machine.
                    for program in programs if number % 2 else reversed(programs):
                        yield number, scenario, program


def _measure(scenario: Scenario, program: Program, number: int, new: StartRig) -> Measurement:
    print(f"Round {number}: {scenario.name} on {program.name}", file=sys.stderr, end="", flush=True)
    began = time.monotonic()
    shares: list[Shares] = []

    @contextmanager
    def start(**load: float) -> Iterator[Rig]:
        with new(**load) as each:
            yield each
            shares.append(_shares(each))

    numbers, failure = {}, None
    try:
        numbers = scenario.measure(start)
    except (RuntimeError, OSError, LookupError, ArithmeticError, ValueError, msgspec.MsgspecError) as problem:
        failure = f"{type(problem).__name__}: {problem}"
    print(f", {time.monotonic() - began:.0f} s{'' if failure is None else ': ' + failure}", file=sys.stderr)
    return Measurement(
        scenario=scenario.name,
        server=program.name,
        round=number,
        numbers=numbers,
        shares=shares[-1] if shares else None,
        failure=failure,
    )


def _shares(used: Rig) -> Shares:
    windows = [window for window in used.windows if window.wall > 0]
    return Shares(
        clients=max(window.clients / window.wall for window in windows),
        printer=max(window.printer / window.wall for window in windows),
        others=max(window.others / window.wall for window in windows),
        late=used.printer.statistics()["worst_lateness"],
    )


def _environment(cores: Cores, rounds: int, with_moonraker: bool) -> dict[str, Any]:
    limit = ceiling.measure(cores, 2.0)
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "cores": f"server {cores.server}, clients {cores.clients}, printer {cores.printer}",
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "txraker": f"{version('txraker')}, {_commit()}",
        "libraries": _told(environments.TXRAKER.versions(("twisted", "autobahn", "msgspec"))),
        "rounds": rounds,
        "the clients' ceiling": (
            f"{limit.messages_per_second:,.0f} messages of 2.7 KB a second on {ceiling.CLIENTS} connections, "
            f"{limit.cpu_per_message * 1e6:.1f} µs of CPU each"
        ),
    }
    if with_moonraker:
        names = ("moonraker", "tornado", "msgspec", "uvloop")
        found["Moonraker"] = _told(environments.MOONRAKER.versions(names))
    return found


def _told(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Return the commit of the checkout, and whether there are changes beside it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not a checkout"


def _write(results: Results, selected: Sequence[Scenario], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    report.write(results, selected, output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
