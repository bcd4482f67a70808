"""What each further printer takes: with txraker in the same process, with Moonraker in one of its own."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict, define

from sidebyside.scenario import Goal, Metric, Numbers, StartRig, at_most


@define
class FurtherPrinters:
    """``further`` printers beside the first, each with a data folder and a port; nobody is connected."""

    further: int = 3

    name = "further-printers"
    title = "Memory of each further printer"
    metrics = (
        Metric("one", "memory with one printer (PSS)", "MB"),
        Metric(
            "each",
            "memory of each further one (PSS)",
            "MB",
            digits=2,
            goal=Goal("each further printer in the process, PSS", at_most(5, "MB")),
        ),
        Metric("cpu", "CPU while idle, all printers", "ms a minute", digits=0),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Weigh a server of one printer and one of several."""
        with start() as rig, rig.window():
            one = rig.pss()
        with start(further=self.further) as rig:
            with rig.window() as window:
                rig.loop.run(2.0)
            return {
                "one": one,
                "each": (rig.pss() - one) / self.further,
                "cpu": window.server / window.wall * 60e3,
            }
