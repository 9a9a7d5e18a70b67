"""Hosts that share a store: a page is rendered once for all, and a purge holds everywhere."""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memfis.layout import boxes
from memfis.layout.keys import box_key
from memfis.settings.addresses import StoreAddress
from memfis.store import Store
from support.command import memfis, memfis_json
from support.fleet import Host, Hosts, fleet
from support.php import PhpFpm
from support.process import wait_for

NAMES = ("web1", "web2", "web3")

BOUND = 1.0
"""Seconds after a purge until no host shows what was there before."""


@pytest.fixture
def hosts(directory: Path, php: PhpFpm) -> Iterator[Hosts]:
    with fleet(directory, php, *NAMES) as hosts:
        yield hosts


def hot(hosts: Hosts, target: str) -> None:
    """Wait until every host answers `target` from memory, with what the application says."""

    def everywhere() -> bool:
        return all(host.get(target)[0] == "HIT" for host in hosts.all)

    wait_for(everywhere, f"{target} to be in memory")


def shown(hosts: Hosts, target: str) -> set[bytes]:
    """Return what hosts show of `target`."""
    return {host.get(target)[1] for host in hosts.all}


def is_shown(hosts: Hosts, pages: set[bytes]) -> bool:
    """Whether all hosts show one of `pages`."""
    return shown(hosts, "/page") <= pages


def page(text: str) -> bytes:
    return f"<html><p>{text}</p></html>".encode()


def test_a_page_that_any_host_misses_is_rendered_once_for_all(hosts: Hosts) -> None:
    _, *others = hosts.all
    for host in others:
        assert host.get("/page")[0] == "FALLBACK"
    wait_for(lambda: all(host.get("/page")[0] == "HIT" for host in others), "the page")
    assert hosts.asked("/page").count("web1") == 1  # where no visitor was
    hot(hosts, "/page")
    assert shown(hosts, "/page") == {page("0")}
    time.sleep(BOUND)
    before = hosts.asked("/page")
    hot(hosts, "/page")
    assert hosts.asked("/page") == before


@pytest.mark.parametrize("at", range(len(NAMES)), ids=NAMES)
def test_a_purge_at_one_host_holds_at_all(hosts: Hosts, at: int) -> None:
    for number, target in enumerate(("/page", "/*", "/page"), 1):
        hot(hosts, "/page")
        hosts.say(str(number))
        assert hosts.all[at].purge(target) == 200
        assert hosts.all[at].get("/page")[1] == page(str(number))
        time.sleep(BOUND)
        for _ in range(10):
            assert shown(hosts, "/page") == {page(str(number))}
    # Files are as they were, and in memory soon.
    wait_for(lambda: all(host.get("/file.txt")[0] == "HIT" for host in hosts.all), "the file")


def test_who_was_cut_off_shows_nothing_older_when_it_is_back(hosts: Hosts) -> None:
    for number, host in enumerate(hosts.all, 1):
        hot(hosts, "/page")
        host.link.cut()
        time.sleep(BOUND)  # what its nginx has of its own is right for so long
        hosts.say(str(number))
        others = [each for each in hosts.all if each is not host]
        assert others[number % 2].purge("/page") == 200
        time.sleep(BOUND)
        assert shown(hosts, "/page") == {page(str(number))}
        host.link.mend()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert shown(hosts, "/page") == {page(str(number))}


def test_a_purge_of_who_is_cut_off_is_done_when_it_is_back(hosts: Hosts) -> None:
    for number, host in enumerate(hosts.all, 1):
        hot(hosts, "/page")
        host.link.cut()
        hosts.say(str(number))
        assert host.purge("/page") == 503
        assert host.purge("/other") == 503
        if number == 2:  # what waits outlives an agent
            host.agent.end()
            host.start_agent()
        host.link.mend()
        new = {page(str(number))}
        wait_for(partial(is_shown, hosts, new), "the purge")
        time.sleep(BOUND)
        assert is_shown(hosts, new)


def test_a_host_that_freezes_keeps_nobody_waiting(hosts: Hosts) -> None:
    hot(hosts, "/page")
    hosts.all[1].link.freeze()
    hosts.say("1")
    assert hosts.all[2].purge("/page") == 200
    time.sleep(BOUND)
    assert {hosts.all[0].get("/page")[1], hosts.all[2].get("/page")[1]} == {page("1")}
    hosts.all[1].link.thaw()
    wait_for(lambda: hosts.all[1].get("/page")[1] == page("1"), "the page of now")


def boxed(hosts: Hosts) -> Store:
    return Store(StoreAddress.parse(f"memcached://{hosts.store.socket}"))


def test_what_is_no_box_is_told_once_and_harms_nobody(hosts: Hosts) -> None:
    web1, web2, web3 = hosts.all
    web3.agent.end()
    hot(hosts, "/page")
    with closing(boxed(hosts)) as store:
        for nonsense in (b"{", b"\xff" * 100, b"[" * 10_000, b'{"host": "web3"}', b"1" * (1 << 21)):
            store.set(box_key("web3"), nonsense)
            time.sleep(0.5)
    for host in (web1, web2):
        assert len(host.agent.lines("what web3 says is no box")) == 1
        assert "Traceback" not in host.agent.said()
    hosts.say("1")
    assert web2.purge("/page") == 200
    time.sleep(BOUND)
    assert shown(hosts, "/page") == {page("1")}


def said_of(host: Host, hosts: Hosts, ago: float = 0.0, **changes: object) -> None:
    """Say in the box of `host`, whose agent has ended, what it would say but for `changes`.

    `ago`: seconds by which its clock is late.
    """
    box = boxes.Box(host=host.name, run="r", written=0.0, version="0", publishes=False)
    for name, value in changes.items():
        setattr(box, name, value)
    with closing(boxed(hosts)) as store:
        for _ in range(2):
            box.written = time.time() - ago
            store.set(box_key(host.name), boxes.written(box))
            time.sleep(0.5)


def test_hosts_that_do_not_go_together_are_told(hosts: Hosts) -> None:
    web1, web2, web3 = hosts.all
    web3.agent.end()
    said_of(web3, hosts, publishes=True, sites=("site.example",))
    web1.agent.hears("web3 says that it publishes, and so does this host")
    said_of(web3, hosts, publishes=True, sites=("other.example",))
    web2.agent.hears("web3, which publishes, has no site site.example: nothing fills it")
    said_of(web3, hosts, ago=3600)
    for host in (web1, web2):
        host.agent.hears("the clock of web3 is 36", "behind this host's")
    # A purge that nobody can have meant, and one of a site that is nowhere.
    purges = (boxes.Purge("site.example", ("nonsense",)), boxes.Purge("other.example", ("</",)))
    said_of(web3, hosts, purged=2, purges=purges, run="s")
    hot(hosts, "/page")
    assert "Traceback" not in web1.agent.said() + web2.agent.said()


@pytest.fixture
def taking(directory: Path, php: PhpFpm) -> Iterator[Hosts]:
    with fleet(directory, php, *NAMES, takeover=True) as hosts:
        yield hosts


def publishing(hosts: Hosts) -> list[str]:
    """Return which hosts say that they fill the store."""
    began, ended = "this host fills the store", "this host does not fill the store"
    return [
        host.name
        for host in hosts.all
        if len(host.agent.lines(began)) > len(host.agent.lines(ended))
    ]


def test_another_host_fills_the_store_when_the_one_is_gone(taking: Hosts) -> None:
    web1, *others = taking.all
    wait_for(lambda: publishing(taking) == ["web1"], "web1 to begin")
    hot(taking, "/page")
    web1.link.cut()
    web1.agent.hears("this host does not fill the store any more")
    wait_for(lambda: len(publishing(taking)) == 1, "another to begin")
    assert publishing(taking) != ["web1"]
    others[0].get("/new")
    wait_for(lambda: all(host.get("/new")[0] == "HIT" for host in others), "a page to be rendered")
    # It comes back, and does as the others do.
    web1.link.mend()
    wait_for(lambda: web1.get("/new")[0] == "HIT", "web1 to see the store again")
    web1.get("/newer")
    hot(taking, "/newer")
    assert len(publishing(taking)) == 1
    assert publishing(taking) != ["web1"]
    # Who ends lets another go on at once.
    [name] = publishing(taking)
    [host] = [each for each in others if each.name == name]
    host.agent.end()
    wait_for(
        lambda: sum(name in publishing(taking) for name in {*NAMES} - {host.name}) == 1,
        "another to go on",
    )


def test_the_hosts_are_listed(hosts: Hosts) -> None:
    _, web2, web3 = hosts.all

    def listed() -> Any:
        return memfis_json("status", "--fleet", "--config", web2.agent.config)

    wait_for(lambda: len(listed()["hosts"]) == 3 and not listed()["problems"], "all to be heard")
    told = {each["host"]: each for each in listed()["hosts"]}
    assert [told[host.name]["publishes"] for host in hosts.all] == [True, False, False]
    assert told["web1"]["sites"] == ["site.example"]
    shown = memfis("status", "--fleet", "--config", web2.agent.config)
    assert "web1  fills the store, heard" in shown.stdout
    assert "web3  follows, heard" in shown.stdout
    # What only one may do is refused at the others, with its name.
    refused = memfis("sync", "--config", web2.agent.config)
    assert refused.returncode == 2
    assert "web1 fills the store that this host shares; run it there" in refused.stderr
    with closing(boxed(hosts)) as store:
        web3.agent.end()
        store.delete_many([box_key("web3")])
    assert listed()["problems"] == ["web3: it has said nothing for a day"]
