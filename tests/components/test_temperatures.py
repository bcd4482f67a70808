"""Temperature histories: one sample a second, the newest kept, nothing invented."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from txraker.components.data_store.temperatures import TemperatureStore

Histories = dict[str, dict[str, list[float | None]]]


def shown(store: TemperatureStore, *, include_monitors: bool = True) -> Histories:
    """Return what a client gets."""
    histories: Histories = msgspec.json.decode(
        msgspec.json.encode(store.histories(include_monitors=include_monitors))
    )
    return histories


def tracking(*sensors: str, monitors: tuple[str, ...] = (), size: int = 10) -> TemperatureStore:
    """Make a store that tracks sensors."""
    store = TemperatureStore(size)
    store.track(sensors, monitors)
    return store


@given(st.integers(1, 200), st.lists(st.floats(-50, 400), max_size=400))
def test_never_longer_than_its_size(size: int, temperatures: list[float]) -> None:
    """However many samples are taken, the newest are kept, and never more than the size."""
    store = tracking("extruder", size=size)
    for temperature in temperatures:
        store.merge({"extruder": {"temperature": temperature}})
        store.sample()
    expected = [round(temperature, 2) for temperature in temperatures][-size:]
    assert shown(store).get("extruder", {}).get("temperatures", []) == expected


samples = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.none() | st.integers(0, 300),
            "target": st.integers(0, 300),
            "power": st.floats(0, 1),
            "other": st.text(),
        },
    ),
    max_size=30,
)


@given(samples, st.booleans())
def test_no_empty_arrays_and_no_padding(updates: list[dict[str, Any]], monitor: bool) -> None:
    """A field has as many samples as were taken since it was first reported, or is left out."""
    store = tracking(*([] if monitor else ["s"]), monitors=("s",) if monitor else ())
    known: set[str] = set()
    counts: dict[str, int] = {}
    for update in updates:
        store.merge({"s": update})
        known |= {name for name, value in update.items() if value is not None}
        store.sample()
        for name in known | ({"temperature"} if monitor else set()):
            counts[name] = min(10, counts.get(name, 0) + 1)
    counts.pop("other", None)
    history = shown(store).get("s", {})
    assert {name: len(values) for name, values in history.items()} == {
        name + "s": count for name, count in counts.items()
    }


def test_a_sample_repeats_what_has_not_changed() -> None:
    """A sensor that reports no change has the same value again."""
    store = tracking("extruder")
    store.merge({"extruder": {"temperature": 20.004, "target": 0.0, "power": 0.0}})
    store.sample()
    store.merge({"extruder": {"temperature": 21.5}})
    store.sample()
    store.sample()
    assert shown(store) == {
        "extruder": {"temperatures": [20.0, 21.5, 21.5], "targets": [0, 0, 0], "powers": [0, 0, 0]}
    }


def test_fields_that_a_sensor_lacks_are_left_out() -> None:
    """Each sensor has just the fields that it reports."""
    store = tracking("extruder", "temperature_fan f", "temperature_sensor s")
    store.merge(
        {
            "extruder": {"temperature": 20, "target": 0, "power": 0.5, "speed": None},
            "temperature_fan f": {"temperature": 20, "target": 40, "speed": 1, "power": None},
            "temperature_sensor s": {"temperature": 20, "target": None, "measured_min_temp": 1},
        }
    )
    store.sample()
    assert {name: sorted(history) for name, history in shown(store).items()} == {
        "extruder": ["powers", "targets", "temperatures"],
        "temperature_fan f": ["speeds", "targets", "temperatures"],
        "temperature_sensor s": ["temperatures"],
    }


def test_monitors() -> None:
    """Monitors are shown when asked for, with null where they had no measurement."""
    store = tracking("extruder", monitors=("tmc2209 x",))
    store.merge({"extruder": {"temperature": 20}, "tmc2209 x": {"temperature": None}})
    store.sample()
    store.merge({"tmc2209 x": {"temperature": 41.234}})
    store.sample()
    store.merge({"tmc2209 x": {"temperature": None}})
    store.sample()
    assert shown(store)["tmc2209 x"] == {"temperatures": [None, 41.23, None]}
    assert list(shown(store, include_monitors=False)) == ["extruder"]


def test_nothing_before_the_first_sample() -> None:
    """Before the first sample there is no history at all."""
    store = tracking("extruder", monitors=("m",))
    store.merge({"extruder": {"temperature": 20}})
    assert shown(store) == {}


def test_tracking_anew() -> None:
    """A sensor that stays keeps its history, one that vanishes is dropped, a new one begins."""
    store = tracking("extruder", "heater_bed")
    store.merge({"extruder": {"temperature": 20}, "heater_bed": {"temperature": 30}})
    store.sample()
    store.track(["extruder", "temperature_sensor new"], [])
    store.merge({"heater_bed": {"temperature": 99}, "temperature_sensor new": {"temperature": 40}})
    store.sample()
    assert shown(store) == {
        "extruder": {"temperatures": [20, 20]},
        "temperature_sensor new": {"temperatures": [40]},
    }


def test_a_sensor_that_becomes_a_monitor() -> None:
    """What Klippy calls a monitor now is one, whatever it was before."""
    store = tracking("s")
    store.merge({"s": {"temperature": 20}})
    store.sample()
    store.track([], ["s"])
    assert shown(store, include_monitors=False) == {}
    assert shown(store) == {"s": {"temperatures": [20]}}


def test_a_sensor_that_loses_its_value() -> None:
    """A sensor whose temperature becomes unknown has null there, and goes on."""
    store = tracking("s")
    for value in (20, None, 22):
        store.merge({"s": {"temperature": value}})
        store.sample()
    assert shown(store) == {"s": {"temperatures": [20, None, 22]}}


def test_strange_values() -> None:
    """What is no number has no history."""
    store = tracking("s")
    store.merge({"s": {"temperature": "hot", "target": [1], "power": {}}, "unknown": {"temperature": 1}})
    store.sample()
    assert shown(store) == {}
