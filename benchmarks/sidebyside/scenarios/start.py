"""From the start of the process to an idle server: how long, at what CPU, in how much memory."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict, define

from sidebyside.scenario import Goal, Metric, Numbers, StartRig, ratio_at_most


@define
class Start:
    """Start beside a Klippy that is ready; then do nothing for ``idle`` seconds, as nobody is connected.

    Who asks whether the server is ready asks every 20 ms, which costs the server some requests.
    """

    idle: float = 4.0

    name = "start"
    title = "Start to first answer and to ready; then idle, without clients"
    metrics = (
        Metric("first_wall", "time to the first answer", "s", digits=2),
        Metric("first_cpu", "CPU to the first answer", "s", digits=2),
        Metric("ready_wall", "time to ready", "s", digits=2),
        Metric(
            "ready_cpu",
            "CPU to ready",
            "s",
            digits=2,
            goal=Goal("start to ready, CPU", ratio_at_most(0.8)),
        ),
        Metric(
            "pss",
            "memory once ready (PSS, with children)",
            "MB",
            goal=Goal("PSS at ready, children included", ratio_at_most(0.85)),
        ),
        Metric("idle_cpu", "CPU while idle", "ms a minute", digits=0),
        Metric("idle_pss", "memory after that", "MB"),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Take what was noted while the server started, and watch it idle."""
        with start() as rig:
            startup, pss = rig.server.startup, rig.pss()
            with rig.window() as window:
                rig.loop.run(self.idle)
            return {
                "first_wall": startup.answered.wall,
                "first_cpu": startup.answered.cpu,
                "ready_wall": startup.ready.wall,
                "ready_cpu": startup.ready.cpu,
                "pss": pss,
                "idle_cpu": window.server / window.wall * 60e3,
                "idle_pss": rig.pss(),
            }
