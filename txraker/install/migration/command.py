"""``txraker migrate``: shows the way from Moonraker to us, asks, and goes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import field, frozen

from txraker.install.commands import ICommands
from txraker.install.errors import InstallError
from txraker.install.migration.journey import Interruption, Journey, one_at_a_time
from txraker.install.migration.plan import Step, refusals, steps, told_of_configuration, way_back
from txraker.install.migration.situation import Lookout, Situation
from txraker.install.migration.trial import Get, Trial, get
from txraker.install.unit_command import Ask, Say
from txraker.storage.importing import SOURCE, told
from txraker.storage.moonraker_import import Imported


@frozen(eq=False)
class MigrateCommand:
    """Moves a printer from Moonraker to us. ``now`` returns a time that can be part of a file's name."""

    _lookout: Lookout
    _commands: ICommands
    _say: Say
    _ask: Ask
    _now: Callable[[], str]
    _get: Get = get
    _interruption: Interruption = field(factory=Interruption)

    def run(
        self, data_path: str | None, service: str, name: str, *, dry_run: bool = False, yes: bool = False
    ) -> int:
        """Do it; return 0, or 1 when somebody said no or nothing can be done. Raises InstallError."""
        look, now = partial(self._lookout.look, data_path, service, name), self._now()
        situation = look()
        planned, journey = steps(situation, now), self._journey(situation)
        self._show(situation)
        reasons = refusals(situation)
        if reasons:
            for reason in reasons:
                self._say(f"This must be mended first: {reason}")
            self._say("Nothing was changed.")
            return 1
        trial = Trial(situation.data_path, situation.configuration, self._get)
        self._show_steps(planned, journey, trial)
        if dry_run or not (yes or self._ask("Do all this now?")):
            self._say("Nothing was changed.")
            return 0 if dry_run else 1
        self._check_root()
        with one_at_a_time(situation.data_path / "database"):
            latest = look()
            _check_unchanged(planned, steps(latest, now), refusals(latest))
            with self._interruption.noted():
                journey.go(planned, trial)
        self._say_way_back(situation)
        return 0

    def _say_way_back(self, situation: Situation) -> None:
        self._say("")
        self._say(f"{situation.own.unit} serves the printer. To go back to Moonraker:")
        self._say("")
        self._say(f"    {way_back(situation.own, situation.moonraker)}")

    def _check_root(self) -> None:
        """See whether root may be asked, before anything is done that needs it."""
        outcome = self._commands.as_root(["true"])
        if not outcome.is_good:
            raise InstallError(f"Root is needed and can't be asked: {outcome.words}. Nothing was changed.")

    def _journey(self, situation: Situation) -> Journey:
        moonraker = situation.moonraker
        runs = "runs" if moonraker.is_active else "is stopped"
        enabled = "enabled" if moonraker.is_enabled else "disabled"
        undone = f"Everything is as it was: {moonraker.unit} {runs} and is {enabled}."
        return Journey(self._commands, self._say, undone, self._interruption)

    def _show(self, situation: Situation) -> None:
        moonraker, configuration, imported = situation.moonraker, situation.configuration, situation.imported
        state = "runs" if moonraker.is_active else "doesn't run"
        enabled = "enabled" if moonraker.is_enabled else "not enabled"
        self._say(f"Printer {situation.data_path}")
        self._say(f"Moonraker is {moonraker.unit}, which {state} and is {enabled}")
        if configuration.fatal is None:
            for line in told_of_configuration(configuration):
                self._say(line)
        if isinstance(imported, Imported):
            self._say(f"Taken over from database/{SOURCE}, which isn't changed:")
            for line in told(imported):
                self._say(f"    {line}")
        if situation.earlier:
            self._say("There is a database of an earlier txraker. It is put aside and kept; what is in it")
            self._say("isn't taken over.")

    def _show_steps(self, planned: Sequence[Step], journey: Journey, trial: Trial) -> None:
        self._say("What will be done:")
        for number, step in enumerate(planned, start=1):
            self._say(f"{number:3}. {step.says}:")
            self._say(f"     {journey.shown(step.command)}")
        self._say(f"{len(planned) + 1:3}. See that it answers and has all that, with the API key:")
        self._say(f"     {trial.command}")
        self._say("If a step fails, those before it are undone, and Moonraker is as it is now.")


def _check_unchanged(shown: Sequence[Step], planned: Sequence[Step], reasons: Sequence[str]) -> None:
    """See that what was shown is still what is to be done: somebody may have answered hours later."""
    if reasons:
        raise InstallError(f"{reasons[0]}. Nothing was changed.")
    if planned != shown:
        raise InstallError("Something isn't as it was shown: call this again. Nothing was changed.")
