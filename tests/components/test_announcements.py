"""Announcements: what is in feeds, what is dismissed, what comes back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.tools import Logged, caller, result_of, start
from txraker.api.caller import Role, Who
from txraker.components.announcements.component import FETCH_EVERY, FIRST_FETCH, TRY_AGAIN, Announcements
from txraker.components.announcements.lookout import REST, Lookout
from txraker.components.announcements.moonlight import FEEDS, Moonlight
from txraker.components.announcements.options import AnnouncementOptions
from txraker.components.announcements.rss import LONGEST_TEXT, NotAFeed, read_feed
from txraker.components.announcements.store import MOST_FEEDS, AnnouncementStore
from txraker.errors import BadRequest, Forbidden, Unavailable
from txraker.events import AnnouncementDismissed, AnnouncementUpdate, AnnouncementWake
from txraker.fetching import CannotFetch
from txraker.interfaces import IComponent
from txraker.server_warnings import ServerWarnings
from txraker.testing.namespaces import MemoryNamespaces

NOW = 1_800_000_000.0


def item(number: int, feed: str = "klipper", day: int = 16, priority: str = "normal") -> str:
    """Return an item of a feed, as Moonlight makes it."""
    return (
        f"<item><title>Title {number}</title><link>https://github.com/x/{feed}/issues/{number}</link>"
        f"<description>About {number} &amp; more</description>"
        f"<pubDate>Wed, {day:02} Mar 2022 19:33:39 GMT</pubDate><category>{priority}</category>"
        f"<guid>x/{feed}/issue/{number}</guid></item>"
    )


def rss(*items: str) -> bytes:
    """Return a feed."""
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        '<rss version="2.0" xmlns:moonlight="https://arksine.github.io/moonlight"><channel>'
        "<title>x/y</title><moonlight:configHash>f29</moonlight:configHash>"
        f"{''.join(items)}</channel></rss>"
    ).encode()


@define(eq=False)
class NewsBench(ComponentBench):
    """Announcements on their bench, with the web in ``feeds``."""

    namespaces: MemoryNamespaces = field(factory=MemoryNamespaces)
    subscriptions: list[str] = field(factory=lambda: ["Mainsail"])
    is_online: bool = True
    feeds: dict[str, bytes] = field(
        factory=lambda: {name: rss() for name in ("moonraker", "klipper", "mainsail")}
    )
    asked: list[str] = field(factory=list)
    told: list[tuple[str, list[str]]] = field(factory=list)
    hanging: Deferred[bytes] | None = None
    warnings: ServerWarnings = field(factory=lambda: ServerWarnings(Logged().logger()))
    lookout: Lookout = field(init=False)
    component: Announcements = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.clock.rightNow = max(self.clock.rightNow, NOW)
        self.events.on(AnnouncementDismissed, self.hear)
        self.events.on(AnnouncementWake, self.hear)
        self.events.on(
            AnnouncementUpdate,
            lambda e: self.told.append((e.wire_name, [each.entry_id for each in e.announcements.entries])),
        )
        store = AnnouncementStore(self.subscriptions, self.namespaces)
        moonlight = Moonlight(self.read, self.clock.seconds, self.warnings)
        self.lookout = Lookout(moonlight, store, self.clock.seconds, self.events)
        lookout = self.lookout if self.is_online else None
        self.component = Announcements(self.clock, store, lookout, self.events, self.faults, lambda: 0.5)
        self.serve(self.component)
        self.component.start()

    def hear(self, event: AnnouncementDismissed | AnnouncementWake) -> None:
        """Be a client that is told of one announcement."""
        self.told.append((event.wire_name, [event.announcement.entry_id]))

    async def read(self, url: str) -> bytes:
        """Be the web."""
        self.asked.append(url)
        if self.hanging is not None:
            return await self.hanging
        name = url.removeprefix(f"{FEEDS}/").removesuffix(".xml")
        if name not in self.feeds:
            raise CannotFetch("it is answered with 404")
        return self.feeds[name]

    def ids(self, **arguments: object) -> list[str]:
        """Return the numbers of the announcements, in their order."""
        entries = self.call("server.announcements.list", **arguments)["entries"]
        return [entry["entry_id"].rpartition("/")[2] for entry in entries]

    def entry(self, entry_id: str) -> dict[str, Any]:
        """Return an announcement."""
        entries = self.call("server.announcements.list")["entries"]
        found: dict[str, Any] = next(entry for entry in entries if entry["entry_id"] == entry_id)
        return found

    def dismiss(self, number: int, **arguments: object) -> None:
        """Dismiss an announcement of klipper's."""
        entry_id = f"x/klipper/issue/{number}"
        answer = self.call("server.announcements.dismiss", entry_id=entry_id, **arguments)
        assert answer == {"entry_id": entry_id}

    def update(self) -> bool:
        """Fetch the feeds, when it is time to, and return whether that changed anything."""
        self.clock.advance(REST)
        modified: bool = self.call("server.announcements.update")["modified"]
        return modified

    def hang(self) -> None:
        """Let the web answer no more."""
        self.hanging = Deferred()

    def come_back(self) -> None:
        """Let the web answer again, first with an empty feed."""
        hanging, self.hanging = self.hanging, None
        assert hanging is not None
        hanging.callback(rss())

    def again(self, *, is_online: bool = True) -> NewsBench:
        """Return what there is after a restart."""
        self.component.stop()
        return NewsBench(clock=self.clock, namespaces=self.namespaces, feeds=self.feeds, is_online=is_online)


@pytest.fixture
def bench() -> NewsBench:
    """Make announcements of which two are there: klipper's 1 and 2."""
    bench = NewsBench()
    bench.feeds["klipper"] = rss(item(1), item(2, day=18, priority="high"))
    bench.call("server.announcements.update")
    bench.told.clear()
    bench.asked.clear()
    return bench


def test_provides(bench: NewsBench) -> None:
    """The component provides what it says."""
    assert verifyObject(IComponent, bench.component)


def test_off_unless_configured() -> None:
    """By default nobody on the internet is asked, and everything else works."""
    assert AnnouncementOptions().enable_moonlight is False
    bench = NewsBench(is_online=False)
    expected = {"entries": [], "feeds": ["moonraker", "klipper", "mainsail"]}
    assert bench.call("server.announcements.list") == expected
    assert bench.call("server.announcements.update") == {"entries": [], "modified": False}
    bench.call("server.announcements.post_feed", name="other")
    bench.call("server.announcements.delete_feed", name="other")
    bench.clock.advance(100_000)
    assert (bench.asked, bench.told, bench.warnings.texts()) == ([], [], [])
    assert bench.clock.getDelayedCalls() == []


def test_entry(bench: NewsBench) -> None:
    """An announcement is as documented, and kept as Moonraker keeps it."""
    expected = {
        "entry_id": "x/klipper/issue/2",
        "url": "https://github.com/x/klipper/issues/2",
        "title": "Title 2",
        "description": "About 2 & more",
        "priority": "high",
        "date": 1647632019.0,
        "dismissed": False,
        "date_dismissed": None,
        "dismiss_wake": None,
        "source": "moonlight",
        "feed": "klipper",
    }
    assert bench.entry("x/klipper/issue/2") == expected
    assert result_of(bench.namespaces.get("announcements", ["000001"])) == expected
    assert bench.ids() == ["2", "1"]


def test_update(bench: NewsBench) -> None:
    """What is new is added, what is gone goes, what is known stays as it is; everybody is told, once."""
    bench.dismiss(2)
    bench.feeds["klipper"] = rss(item(2, day=20), item(3, day=19), item(3, day=25))
    bench.told.clear()
    assert bench.update() is True
    assert bench.told == [("notify_announcement_update", ["x/klipper/issue/3", "x/klipper/issue/2"])]
    assert bench.entry("x/klipper/issue/2")["dismissed"] is True
    assert list(result_of(bench.namespaces.get("announcements"))) == ["000001", "000002"]
    assert bench.update() is False
    assert len(bench.told) == 1


def test_a_feed_that_fails(bench: NewsBench) -> None:
    """A feed that can't be had, or isn't one, keeps what it had, and is a warning until it is back."""
    for broken in (None, b"<html>", b"\xff"):
        feed = bench.feeds.pop("klipper")
        if broken is not None:
            bench.feeds["klipper"] = broken
        bench.feeds["mainsail"] = rss(item(7, "mainsail"))
        bench.update()
        assert bench.ids() == ["2", "1", "7"] or bench.ids() == ["2", "7", "1"]
        (warning,) = bench.warnings.texts()
        assert f"'klipper' can't be read from {FEEDS}/klipper.xml" in warning
        bench.feeds["klipper"] = feed
        bench.update()
        assert bench.warnings.texts() == []


def test_regularly() -> None:
    """Feeds are fetched soon after the start and every half hour, more or less."""
    bench = NewsBench()
    assert bench.asked == []
    bench.clock.advance(FIRST_FETCH / 2)
    assert bench.asked == [f"{FEEDS}/{name}.xml" for name in ("moonraker", "klipper", "mainsail")]
    bench.clock.advance(FETCH_EVERY - 1)
    assert len(bench.asked) == 3
    bench.feeds["klipper"] = rss(item(1))
    bench.clock.advance(1)
    assert len(bench.asked) == 6
    assert bench.told == [("notify_announcement_update", ["x/klipper/issue/1"])]


def test_one_look_at_a_time() -> None:
    """Who wants the feeds fetched while they are is told what comes of that, and nobody is asked twice."""
    bench = NewsBench()
    bench.feeds["klipper"] = rss(item(1))
    bench.hang()
    updates = [bench.begin("server.announcements.update") for _ in range(3)]
    assert not any(update.done for update in updates)
    bench.come_back()
    assert [msgspec.to_builtins(update.result())["modified"] for update in updates] == [True] * 3
    assert bench.asked == [f"{FEEDS}/{name}.xml" for name in ("moonraker", "klipper", "mainsail")]
    assert len(bench.told) == 1


def test_soon_after(bench: NewsBench) -> None:
    """Who wants the feeds fetched again right away is told what came of it, and nobody is asked."""
    bench.feeds["klipper"] = rss()
    bench.clock.advance(REST - 0.1)
    assert bench.call("server.announcements.update")["modified"] is True
    assert (bench.asked, bench.ids()) == ([], ["2", "1"])
    bench.clock.advance(0.1)
    assert bench.call("server.announcements.update") == {"entries": [], "modified": True}


def test_a_look_that_fails(bench: NewsBench) -> None:
    """What fetched feeds can't be written for isn't fetched again by all who wait for it."""
    bench.clock.advance(REST)
    bench.hang()
    updates = [bench.begin("server.announcements.update") for _ in range(3)]
    bench.feeds["klipper"] = rss(item(3))
    bench.namespaces.problem = Unavailable("disk full")
    bench.come_back()
    assert isinstance(updates[0].error, Unavailable)
    assert [msgspec.to_builtins(update.result())["modified"] for update in updates[1:]] == [False] * 2
    assert len(bench.asked) == 3


def test_dismiss(bench: NewsBench) -> None:
    """A dismissed announcement says since when, and stays dismissed after a restart."""
    bench.dismiss(1)
    entry = bench.entry("x/klipper/issue/1")
    assert (entry["dismissed"], entry["date_dismissed"], entry["dismiss_wake"]) == (True, NOW, None)
    assert bench.ids(include_dismissed="false") == ["2"]
    assert bench.told == [("notify_announcement_dismissed", ["x/klipper/issue/1"])]
    bench.dismiss(1, wake_time=5)
    assert len(bench.told) == 1
    again = bench.again()
    assert again.entry("x/klipper/issue/1") == entry
    assert again.ids() == ["2", "1"]


def test_dismiss_what_is_not_there(bench: NewsBench) -> None:
    """An announcement that isn't there can't be dismissed, in Moonraker's words."""
    with pytest.raises(BadRequest) as raised:
        bench.call("server.announcements.dismiss", entry_id="nope")
    assert str(raised.value) == "No key matching entry id: nope"


@pytest.mark.parametrize("wake", ["x", -1, 1e300, [1]])
def test_wake_times_that_are_none(bench: NewsBench, wake: object) -> None:
    """A time after which to come back is a number of seconds."""
    with pytest.raises(BadRequest, match="wake_time"):
        bench.call("server.announcements.dismiss", entry_id="x/klipper/issue/1", wake_time=wake)
    assert bench.ids(include_dismissed=False) == ["2", "1"]


def test_wake(bench: NewsBench) -> None:
    """Announcements come back each at its time, and everybody is told."""
    bench.dismiss(1, wake_time=600)
    bench.dismiss(2, wake_time=10.5)
    assert bench.entry("x/klipper/issue/1")["dismiss_wake"] == NOW + 600
    bench.told.clear()
    bench.clock.advance(10)
    assert bench.told == []
    bench.clock.advance(0.5)
    assert bench.told == [("notify_announcement_wake", ["x/klipper/issue/2"])]
    assert bench.ids(include_dismissed=False) == ["2"]
    bench.clock.advance(600)
    assert bench.told[1:] == [("notify_announcement_wake", ["x/klipper/issue/1"])]
    entry = bench.entry("x/klipper/issue/1")
    assert (entry["dismissed"], entry["date_dismissed"], entry["dismiss_wake"]) == (False, None, None)
    assert bench.again().entry("x/klipper/issue/1") == entry


def test_wake_after_a_restart(bench: NewsBench) -> None:
    """What is to come back does so after a restart, too, and at once when its time has passed."""
    bench.dismiss(1, wake_time=100)
    bench.dismiss(2, wake_time=300)
    bench.component.stop()
    bench.clock.advance(200)
    again = bench.again(is_online=False)
    again.clock.advance(0)
    assert again.told == [("notify_announcement_wake", ["x/klipper/issue/1"])]
    again.clock.advance(100)
    assert again.told[1:] == [("notify_announcement_wake", ["x/klipper/issue/2"])]


def test_wake_without_a_database(bench: NewsBench) -> None:
    """An announcement comes back even when that can't be written."""
    bench.dismiss(1, wake_time=10)
    bench.namespaces.problem = Unavailable("disk full")
    bench.clock.advance(10)
    assert bench.told[-1] == ("notify_announcement_wake", ["x/klipper/issue/1"])
    bench.namespaces.problem = None
    assert bench.ids(include_dismissed=False) == ["2", "1"]
    assert bench.faults.seen == []


def test_database_that_comes_late(bench: NewsBench) -> None:
    """What a database can't say at the start is asked again; meanwhile calls are told why they fail."""
    bench.dismiss(1, wake_time=10)
    bench.namespaces.problem = Unavailable("not open")
    again = bench.again(is_online=False)
    with pytest.raises(Unavailable, match="not open"):
        again.call("server.announcements.list")
    bench.namespaces.problem = None
    again.clock.advance(TRY_AGAIN)
    again.clock.advance(0)
    assert again.told == [("notify_announcement_wake", ["x/klipper/issue/1"])]
    assert again.faults.seen == []


def test_dismissing_fails(bench: NewsBench) -> None:
    """What can't be written isn't dismissed, and nobody is told that it is."""
    bench.namespaces.problem = Unavailable("disk full")
    with pytest.raises(Unavailable):
        bench.dismiss(1)
    bench.namespaces.problem = None
    assert bench.ids(include_dismissed=False) == ["2", "1"]
    assert bench.told == []


def test_feeds(bench: NewsBench) -> None:
    """A feed that is added is kept, fetched at once, and with its announcements removed again."""
    bench.feeds["fluidd"] = rss(item(9, "fluidd", 29))
    added = bench.call("server.announcements.post_feed", name="Fluidd")
    assert added == {"feed": "fluidd", "action": "added"}
    assert bench.asked == [f"{FEEDS}/fluidd.xml"]
    assert bench.ids() == ["9", "2", "1"]
    again = bench.again()
    assert again.call("server.announcements.feeds") == {
        "feeds": ["moonraker", "klipper", "mainsail", "fluidd"]
    }
    assert result_of(bench.namespaces.get("moonraker", ["announcements", "stored_feeds"])) == ["fluidd"]
    skipped = again.call("server.announcements.post_feed", name="FLUIDD")
    assert skipped == {"feed": "fluidd", "action": "skipped"}
    removed = again.call("server.announcements.delete_feed", name="Fluidd")
    assert removed == {"feed": "fluidd", "action": "removed"}
    assert again.ids() == ["2", "1"]
    assert again.told == [("notify_announcement_update", ["x/klipper/issue/2", "x/klipper/issue/1"])]


def test_a_feed_that_nobody_has(bench: NewsBench) -> None:
    """A feed that isn't there is a warning, which goes with the subscription."""
    bench.call("server.announcements.post_feed", name="nobodys")
    assert len(bench.warnings.texts()) == 1
    bench.call("server.announcements.delete_feed", name="nobodys")
    assert bench.warnings.texts() == []


def test_feeds_that_are_added_meanwhile(bench: NewsBench) -> None:
    """Feeds that are added while others are fetched come after that, each once, unless removed by then."""
    bench.clock.advance(REST)
    bench.hang()
    updating = bench.begin("server.announcements.update")
    for name in ("fluidd", "gone", "fluidd", "other"):
        bench.call("server.announcements.post_feed", name=name)
        if name != "other":
            bench.call("server.announcements.delete_feed", name=name)
    bench.call("server.announcements.post_feed", name="fluidd")
    assert start(bench.lookout.look_at("other")).done
    assert bench.asked == [f"{FEEDS}/moonraker.xml"]
    bench.come_back()
    assert updating.done
    assert bench.asked[1:3] == [f"{FEEDS}/klipper.xml", f"{FEEDS}/mainsail.xml"]
    assert sorted(bench.asked[3:]) == [f"{FEEDS}/fluidd.xml", f"{FEEDS}/other.xml"]


def test_most_feeds(bench: NewsBench) -> None:
    """There is a limit to the feeds that are added; one that is there already may be added again."""
    for number in range(MOST_FEEDS):
        assert bench.call("server.announcements.post_feed", name=f"feed{number}")["action"] == "added"
    with pytest.raises(BadRequest, match="No more than 50 feeds"):
        bench.call("server.announcements.post_feed", name="more")
    assert bench.call("server.announcements.post_feed", name="feed0")["action"] == "skipped"
    bench.call("server.announcements.delete_feed", name="feed7")
    assert bench.call("server.announcements.post_feed", name="more")["action"] == "added"
    assert len(bench.asked) == MOST_FEEDS + 1


@pytest.mark.parametrize("name", ["klipper", "mainsail", "nope"])
def test_feeds_that_can_not_be_removed(bench: NewsBench, name: str) -> None:
    """Feeds that weren't added can't be removed, in Moonraker's words."""
    with pytest.raises(BadRequest) as raised:
        bench.call("server.announcements.delete_feed", name=name)
    assert str(raised.value) == f"Feed '{name}' not stored"
    assert bench.ids() == ["2", "1"]


@pytest.mark.parametrize("name", ["a/../b", "..", "a b", "x" * 101, "", "ä"])
def test_names_that_are_no_feeds(bench: NewsBench, name: str) -> None:
    """A feed's name is part of a URL, and no way out of it."""
    with pytest.raises(BadRequest, match="name"):
        bench.call("server.announcements.post_feed", name=name)


def test_names_from_elsewhere() -> None:
    """A name that was imported, or configured, leads nowhere else either."""
    bench = NewsBench(subscriptions=["../../evil?x=", "https://evil/"])
    bench.update()
    assert bench.asked[2:] == [f"{FEEDS}/..%2F..%2Fevil%3Fx%3D.xml", f"{FEEDS}/https%3A%2F%2Fevil%2F.xml"]


def test_a_subscription_that_ended(bench: NewsBench) -> None:
    """Announcements of a feed that isn't configured any more go with the next look at the feeds."""
    bench.feeds["mainsail"] = rss(item(7, "mainsail"))
    bench.update()
    bench.component.stop()
    again = NewsBench(clock=bench.clock, namespaces=bench.namespaces, feeds=bench.feeds, subscriptions=[])
    assert "7" in again.ids()
    assert again.update() is True
    assert again.ids() == ["2", "1"]


def test_removed_while_it_is_fetched(bench: NewsBench) -> None:
    """What arrives from a feed whose subscription ended meanwhile is not taken."""
    bench.call("server.announcements.post_feed", name="fluidd")
    bench.clock.advance(REST)
    bench.hanging = Deferred()
    updating = bench.begin("server.announcements.update")
    bench.call("server.announcements.delete_feed", name="fluidd")
    hanging, bench.hanging = bench.hanging, None
    bench.feeds["fluidd"] = rss(item(9, "fluidd"))
    hanging.callback(rss())
    assert updating.done
    assert "9" not in bench.ids()


def test_what_others_kept() -> None:
    """What was kept and makes no sense is passed over; what is from no feed is never pruned."""
    namespaces = MemoryNamespaces()
    good = {
        "entry_id": "internal/1",
        "url": "",
        "title": "t",
        "description": "d",
        "priority": "normal",
        "date": 5,
        "dismissed": False,
        "date_dismissed": None,
        "dismiss_wake": None,
        "source": "internal",
        "feed": "simplyprint",
    }
    result_of(namespaces.put_many("announcements", {"000004": good, "000005": {"entry_id": 5}, "x": "text"}))
    result_of(namespaces.put("moonraker", ["announcements"], {"stored_feeds": "text"}))
    bench = NewsBench(namespaces=namespaces)
    bench.feeds["klipper"] = rss(item(1))
    assert bench.update() is True
    assert bench.ids() == ["1", "1"]
    assert result_of(namespaces.get("announcements", ["000005", "entry_id"])) == "x/klipper/issue/1"


def test_roles(bench: NewsBench) -> None:
    """A viewer reads announcements and dismisses none."""
    viewer = caller(who=Who("v", Role.VIEWER))
    assert bench.call("server.announcements.list", viewer)["entries"]
    with pytest.raises(Forbidden):
        bench.call("server.announcements.dismiss", viewer, entry_id="x/klipper/issue/1")


def test_stop(bench: NewsBench) -> None:
    """Who stops leaves no timer and no fetch."""
    bench.dismiss(1, wake_time=10)
    bench.hanging = Deferred()
    bench.clock.advance(FIRST_FETCH)
    assert bench.asked
    asked = len(bench.asked)
    bench.component.stop()
    assert bench.clock.getDelayedCalls() == []
    assert bench.hanging.called
    assert len(bench.asked) == asked
    assert bench.faults.seen == []


def test_documented_feed() -> None:
    """A feed is read as documented: all that is said, and null for what isn't."""
    (whole, partial) = read_feed(
        rss(item(1, priority="high"), "<item><guid> p/1 </guid><link>javascript:x</link></item>"),
        "klipper",
        NOW,
    )
    assert (whole.entry_id, whole.priority, whole.date) == ("x/klipper/issue/1", "high", 1647459219.0)
    assert (partial.entry_id, partial.date) == ("p/1", NOW)
    assert (partial.url, partial.title, partial.description, partial.priority) == (None, None, None, None)


def test_items_that_are_none() -> None:
    """Items without an id are left out, of several with one id the first counts, long texts are cut."""
    long = f"<item><guid>a</guid><title>{'x' * 9000}</title><pubDate>yesterday</pubDate></item>"
    (only,) = read_feed(
        rss("<item><title>no id</title></item>", long, "<item><guid>a</guid></item>"), "f", NOW
    )
    assert only.title == "x" * LONGEST_TEXT
    assert only.date == NOW


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<rss><channel><item><guid>&b;</guid></item></channel></rss>"
)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"text",
        b"<rss><channel></rss>",
        b"\xff\xfe<\x00",
        BOMB,
        BOMB.decode().encode("utf-16"),
        b"<rss><channel><item><guid>&undefined;</guid></item></channel></rss>",
        b"\x00",
        b"<html><item><guid>a</guid></item></html>",
        b"<rss/>",
    ],
)
def test_no_feed(document: bytes) -> None:
    """What isn't a feed, such as a portal's page, or is one with entities of its own, is refused."""
    with pytest.raises(NotAFeed):
        read_feed(document, "f", NOW)


def test_no_items() -> None:
    """A feed may be empty."""
    assert read_feed(rss(), "f", NOW) == []


def test_encoding_that_is_claimed() -> None:
    """What a document claims of its encoding doesn't count: it is UTF-8."""
    document = rss("<item><guid>ä</guid></item>").replace(b"'utf-8'", b"'utf-7'")
    assert [each.entry_id for each in read_feed(document, "f", NOW)] == ["ä"]
