"""Clients that come and go: does the server keep anything of them?"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict, define

from sidebyside.rig import Rig
from sidebyside.scenario import Metric, Numbers, StartRig, at_most
from sidebyside.websocket import Client


@define
class Connects:
    """``connects`` websockets, one after the other; every other one leaves without a closing handshake.

    The first fifth is not counted: a server may grow to its working size then.
    """

    connects: int = 5000

    name = "connects"
    shares = True
    most_rounds = 2
    title = "Websockets that connect, ask one question and disconnect"
    metrics = (
        Metric("slope", "memory kept of each (PSS)", "bytes", digits=0, has_ratio=False),
        Metric(
            "descriptors", "descriptors kept", "", digits=0, has_ratio=False, bar=at_most(0, "descriptors")
        ),
        Metric("cpu", "server CPU for each", "µs", digits=0),
        Metric("rate", "connected and gone", "/s", digits=0),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Weigh the server before and after."""
        warm_up = self.connects // 5
        counted = self.connects - warm_up
        with start() as rig:
            self._come_and_go(rig, warm_up)
            rig.loop.run(1.0)
            pss, descriptors = rig.pss(), rig.descriptors()
            with rig.window() as window:
                self._come_and_go(rig, counted)
            rig.loop.run(1.0)
            return {
                "slope": (rig.pss() - pss) * 1024 * 1024 / counted,
                "descriptors": rig.descriptors() - descriptors,
                "cpu": window.server / counted * 1e6,
                "rate": counted / window.wall,
            }

    @staticmethod
    def _come_and_go(rig: Rig, times: int) -> None:
        for number in range(times):
            client = Client(rig.server.port)
            rig.loop.add(client)
            states: list[str] = []
            client.request(
                "server.info",
                {},
                lambda answer, _, states=states: states.append(answer["result"]["klippy_state"]),  # type: ignore[misc]
            )
            if not rig.loop.run_until(lambda states=states: bool(states), 10):  # type: ignore[misc]
                raise RuntimeError(f"no answer to client {number}")
            if number % 2:
                rig.loop.remove(client)
                continue
            client.take_leave()
            if not rig.loop.run_until(lambda client=client: client.closed is not None, 10):  # type: ignore[misc]
                raise RuntimeError(f"client {number} wanted to leave and got no answer")
