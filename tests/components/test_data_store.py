"""The stores, fed by a Klippy in memory and by the clock."""

from __future__ import annotations

import pytest
from attrs import define, field
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from txraker.components.data_store.component import DataStore
from txraker.config.options import DataStoreOptions
from txraker.errors import BadRequest, KlippyError
from txraker.events import GcodeCommand
from txraker.interfaces import IComponent, IStatusSubscriber

SENSORS = {"available_sensors": ["extruder"], "available_monitors": ["tmc2209 x"]}


@define(eq=False)
class StoreBench(ComponentBench):
    """A data store on its bench."""

    size: int = 5
    store: DataStore = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.status |= {
            "heaters": dict(SENSORS),
            "extruder": {"temperature": 20.0, "target": 0.0, "power": 0.0, "pressure_advance": 0.1},
            "tmc2209 x": {"temperature": None},
        }
        options = DataStoreOptions(temperature_store_size=self.size, gcode_store_size=self.size)
        self.store = DataStore(options, self.clock, self.klippy.status, self.events, self.faults)
        self.store.start()
        self.serve(self.store)

    def temperatures(self, name: str = "extruder") -> list[float | None]:
        """Return a sensor's temperatures as a client sees them."""
        histories = self.call("server.temperature_store", include_monitors=True)
        found: list[float | None] = histories.get(name, {}).get("temperatures", [])
        return found


@pytest.fixture
def bench() -> StoreBench:
    """Make a store whose Klippy isn't there yet."""
    return StoreBench()


def test_provides(bench: StoreBench) -> None:
    """The store provides what it says."""
    assert verifyObject(IComponent, bench.store)
    assert verifyObject(IStatusSubscriber, bench.store)


def test_before_klippy_is_up(bench: StoreBench) -> None:
    """Without a Klippy the history is empty, however long that is so."""
    bench.clock.advance(10)
    assert bench.call("server.temperature_store") == {}


def test_first_sample_at_once(bench: StoreBench) -> None:
    """As soon as Klippy is ready there is a sample."""
    bench.up()
    assert bench.call("server.temperature_store") == {
        "extruder": {"temperatures": [20], "targets": [0], "powers": [0]}
    }
    assert bench.call("server.temperature_store", include_monitors="true")["tmc2209 x"] == {
        "temperatures": [None]
    }


def test_one_sample_a_second(bench: StoreBench) -> None:
    """Each second adds what is then, up to the configured size."""
    bench.up()
    for temperature in (21.0, 22.0, 23.0):
        bench.change(extruder={"temperature": temperature - 0.5})
        bench.change(extruder={"temperature": temperature})
        bench.clock.advance(1)
    assert bench.temperatures() == [20, 21, 22, 23]
    for _ in range(10):
        bench.clock.advance(1)
    assert bench.temperatures() == [23] * 5


def test_paused_while_klippy_is_away(bench: StoreBench) -> None:
    """While Klippy is away no samples are taken, and the history stays."""
    bench.up()
    bench.clock.advance(1)
    bench.klippy.disconnect()
    bench.clock.advance(60)
    assert bench.temperatures() == [20, 20]
    bench.status["extruder"]["temperature"] = 30.0
    bench.up()
    assert bench.temperatures() == [20, 20, 30]
    bench.clock.advance(1)
    assert bench.temperatures() == [20, 20, 30, 30]
    assert bench.faults.seen == []


def test_shutdown_goes_on(bench: StoreBench) -> None:
    """A printer that is shut down still has temperatures."""
    bench.up()
    bench.klippy.become("shutdown")
    bench.clock.advance(1)
    assert bench.temperatures() == [20, 20]


def test_shutdown_from_the_beginning(bench: StoreBench) -> None:
    """A Klippy found in shutdown is sampled, too, and one sample a second after it is ready again."""
    bench.klippy.connect()
    bench.klippy.become("shutdown")
    bench.turn()
    bench.klippy.become("ready")
    bench.turn()
    bench.clock.advance(1)
    assert bench.temperatures() == [20, 20]


def test_sensors_that_vanish(bench: StoreBench) -> None:
    """A sensor that Klippy no longer has is dropped, one that is new begins."""
    bench.up()
    bench.klippy.disconnect()
    bench.status["heaters"] = {"available_sensors": ["heater_bed"], "available_monitors": []}
    bench.status["heater_bed"] = {"temperature": 50.0, "target": 60.0}
    bench.up()
    assert list(bench.call("server.temperature_store", include_monitors=True)) == ["heater_bed"]


@pytest.mark.parametrize("heaters", [{}, {"available_sensors": []}, dict.fromkeys(SENSORS)])
def test_no_sensors(bench: StoreBench, heaters: dict[str, list[str] | None]) -> None:
    """A printer without sensors has an empty history."""
    bench.status["heaters"] = dict(heaters)
    bench.up()
    bench.clock.advance(5)
    assert bench.call("server.temperature_store") == {}
    assert bench.faults.seen == []


def test_klippy_goes_while_the_sensors_are_looked_for(bench: StoreBench) -> None:
    """Klippy that goes at once leaves nothing behind, and the next one is sampled."""
    bench.klippy.connect()
    bench.klippy.become("ready")
    bench.klippy.disconnect()
    bench.turn()
    bench.clock.advance(5)
    assert bench.call("server.temperature_store") == {}
    bench.up()
    assert bench.temperatures() == [20]
    assert bench.faults.seen == []


def test_klippy_refuses(bench: StoreBench) -> None:
    """A Klippy that refuses the subscription is asked again the next time it is ready."""
    answer = bench.klippy.answers["objects/subscribe"]

    def refuse(_params: object) -> dict[str, object]:
        raise KlippyError("not now")

    bench.klippy.answers["objects/subscribe"] = refuse
    bench.up()
    bench.klippy.answers["objects/subscribe"] = answer
    bench.klippy.become("shutdown")
    bench.klippy.become("ready")
    bench.turn()
    assert bench.temperatures() == [20]


def test_stop(bench: StoreBench) -> None:
    """A stopped store takes no more samples and leaves no timer."""
    bench.up()
    bench.store.stop()
    assert bench.clock.getDelayedCalls() == []


def test_gcode_store(bench: StoreBench) -> None:
    """Commands and responses are kept with their time, one entry a script, newlines included."""
    bench.clock.advance(100)
    bench.events.emit(GcodeCommand("G28\nG1 X5"))
    bench.clock.advance(0.5)
    bench.klippy.connect()
    bench.klippy.say("// a\n// b")
    assert bench.call("server.gcode_store") == {
        "gcode_store": [
            {"message": "G28\nG1 X5", "time": 100.0, "type": "command"},
            {"message": "// a\n// b", "time": 100.5, "type": "response"},
        ]
    }


@pytest.mark.parametrize(
    ("count", "numbers"),
    [(0, [3, 4, 5, 6, 7]), (-1, [3, 4, 5, 6, 7]), (2, [6, 7]), ("3", [5, 6, 7]), (100, [3, 4, 5, 6, 7])],
)
def test_count(bench: StoreBench, count: object, numbers: list[int]) -> None:
    """As many of the newest entries as asked for are returned, 0 meaning all that are kept."""
    for number in range(8):
        bench.klippy.say(f"// {number}")
    entries = bench.call("server.gcode_store", count=count)["gcode_store"]
    assert [entry["message"] for entry in entries] == [f"// {number}" for number in numbers]


@pytest.mark.parametrize("count", ["all", 1.5, True, [1]])
def test_count_that_is_no_integer(bench: StoreBench, count: object) -> None:
    """A count that is no integer is refused by name."""
    with pytest.raises(BadRequest, match="'count': must be an integer"):
        bench.call("server.gcode_store", count=count)


def test_history_survives_klippy(bench: StoreBench) -> None:
    """The console is kept while Klippy is away."""
    bench.up()
    bench.klippy.say("// hello")
    bench.klippy.disconnect()
    assert len(bench.call("server.gcode_store")["gcode_store"]) == 1
