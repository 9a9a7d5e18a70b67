"""`memfis top`: in a terminal, and where there is none."""

import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Agents, Filled
from support.agent import Agent
from support.command import COMMAND, environment, memfis
from support.gateway import Gateway
from support.memcached import Memcached
from support.process import wait_for
from support.terminal import Terminal


def in_terminal(agent: Agent, *options: str, rows: int = 24, columns: int = 120) -> Terminal:
    command = [*COMMAND, "top", "-c", os.fspath(agent.config), "--interval", "0.2", *options]
    return Terminal(command, environment(), rows=rows, columns=columns)


def cells(screen: list[str], first: str) -> list[str]:
    """Return the words of the line that begins with `first`."""
    [line] = [line for line in screen if line.startswith(first)]
    return line.split()


def test_it_shows_sites_and_stores_as_they_change(agent: Agent, filled: Filled) -> None:
    with in_terminal(agent) as terminal:
        screen = terminal.shows("site.example", "3")
        heads = [line.split() for line in screen if line.startswith(("site ", "store "))]
        assert [head[1] for head in heads] == ["memory", "pages"]
        assert cells(screen, "site.example")[1] == "3"
        (filled.root / "new.html").write_text("new")
        (filled.root / "gone").symlink_to("nowhere")
        wait_for(
            lambda: cells(terminal.shows("site.example"), "site.example")[1] == "4", "the new page"
        )
        wait_for(
            lambda: "1" in cells(terminal.shows("site.example"), "site.example")[5:7],
            "the link that leads nowhere",
        )
        key = b"memfis://site.example/"
        for _ in range(3):
            assert filled.store.get(key) is not None
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.is_as_before
    # Asked was what top itself did, and we: each look found something.
    assert b"%" in terminal.written


def test_it_fills_a_terminal_whose_size_changes(agent: Agent) -> None:
    with in_terminal(agent, rows=30, columns=140) as terminal:
        terminal.shows("site.example")
        for rows, columns in ((12, 90), (40, 200), (5, 20), (24, 100)):
            terminal.resize(rows, columns)

            def fits(rows: int = rows, columns: int = columns) -> bool:
                screen = terminal.screen()
                return len(screen) == rows and max(map(len, screen)) > columns * 3 // 4

            wait_for(fits, f"a screen of {rows} lines")
            assert max(map(len, terminal.screen())) <= columns
        terminal.type("q")
        assert terminal.ended() == 0


def test_however_it_ends_the_terminal_is_as_before(agent: Agent) -> None:
    for typed, sent, code in (
        ("q", None, 0),
        ("\x04", None, 0),
        ("\x03", None, 130),
        ("", signal.SIGTERM, 128 + signal.SIGTERM),
        ("", signal.SIGHUP, 128 + signal.SIGHUP),
    ):
        with in_terminal(agent) as terminal:
            terminal.shows("site.example")
            assert not terminal.is_as_before
            terminal.type(typed)
            if sent is not None:
                terminal.signal(sent)
            assert terminal.ended() == code
            assert terminal.is_as_before
            assert b"Traceback" not in terminal.written
    with in_terminal(agent) as terminal:
        terminal.shows("site.example")
        terminal.type("\x1a")
        wait_for(terminal.stopped, "it to be suspended")
        assert terminal.is_as_before
        terminal.signal(signal.SIGCONT)
        wait_for(lambda: not terminal.is_as_before, "it to go on")
        terminal.shows("site.example")


def test_what_is_away_is_shown_and_comes_back(agent: Agent, memcached: Memcached) -> None:
    with in_terminal(agent) as terminal:
        terminal.shows("site.example", "3")
        memcached.end()
        terminal.shows(f"store memcached://{memcached.socket} cannot be reached")
        terminal.shows("away")
        agent.end()
        terminal.shows("agent of site.example: none runs")
        memcached.start()
        agent.start()
        wait_for(
            lambda: not any("agent of" in line or "away" in line for line in terminal.screen()),
            "both to be back",
        )
        terminal.shows("site.example", "3")
        memcached.freeze()
        terminal.resize(30, 100)
        wait_for(lambda: len(terminal.screen()) == 30, "the new size while the store hangs")
        terminal.type("q")
        assert terminal.ended() == 0
        memcached.thaw()


def test_more_sites_than_lines(new_agent: Agents, filled: Filled) -> None:
    agent = new_agent()
    agent.sites += [
        {"name": f"site{number}.example", "root": filled.site.root} for number in range(30)
    ]
    agent.configure()  # and no agent runs
    with in_terminal(agent, "--count", "2") as terminal:
        screen = terminal.shows("sites more")
        named = [line for line in screen if line.startswith("site") and ".example" in line]
        [more] = [line for line in screen if "sites more" in line]
        assert len(screen) == 24
        assert len(named) + int(more.split()[1]) == 31
        terminal.shows("agent of site.example and 30 more: none runs")
        assert terminal.ended() == 0


def test_elsewhere_it_is_one_line_each_time(agent: Agent, filled: Filled) -> None:
    done = memfis("top", "--config", agent.config, "-n", "3", "-i", "0.2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert " sites=1 pages=3 pending=0 held=0 not_in_memory=0 " in line
    assert "\x1b" not in done.stdout
    # This command asks the store too, and finds something.
    [found] = [word for word in lines[-1].split() if word.startswith("hits/s=")]
    assert float(found.partition("=")[2]) > 0
    command = f'"$@" top --config {agent.config} -i 0.1 | head -n 2'
    cut = subprocess.run(
        ["bash", "-c", command, "bash", *COMMAND],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert len(cut.stdout.splitlines()) == 2
    assert cut.stderr == ""


def lines(agent: Agent, *options: str) -> Generator[Any, None, None]:
    """Yield the documents that it prints until it is not read any more."""
    command = [*COMMAND, "top", "--json", "-i", "0.2", "--config", os.fspath(agent.config)]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for line in running.stdout:
            yield json.loads(line)
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()


def test_documents_for_machines(agent: Agent, filled: Filled) -> None:
    documents = list(lines(agent, "--count", "3"))
    assert len(documents) == 3
    assert [each["time"] for each in documents] == sorted(each["time"] for each in documents)
    assert documents[0]["stores"] == {}  # nothing to compare with
    for each in documents[1:]:
        [site] = each["sites"]
        assert (site["site"], site["pages"]) == ("site.example", 3)
        assert site["agent"]["pending_directories"] == 0
        rates = each["stores"][filled.site.store]
        assert rates["hits_per_second"] > 0
        assert 0 < rates["hit_ratio"] <= 1
        assert each["troubles"] == []

    # Settings that become wrong meanwhile are said, and no end.
    good = agent.config.read_text()
    following = lines(agent)
    assert next(following)["troubles"] == []
    agent.config.write_text("nonsense = 1\n" + good)
    bad = next(each for each in following if each["troubles"])
    assert "nonsense" in bad["troubles"][0]
    agent.config.write_text(good)
    again = next(each for each in following if not each["troubles"])
    assert again["sites"][0]["pages"] == 3
    following.close()


def test_held_pages_are_told_with_their_reason(new_agent: Agents, filled: Filled) -> None:
    for number in range(30):
        (filled.root / f"{number}.html").write_text(str(number))
    agent = new_agent(site={"delete_grace": 60})
    agent.start()
    for number in range(30):
        (filled.root / f"{number}.html").unlink()
    held = next(each for each in lines(agent) if any("held" in said for said in each["troubles"]))
    assert held["sites"][0]["agent"]["held"]["pages"] == 30
    [said] = held["troubles"]
    assert said.startswith("site.example: 30 pages held until ")


def test_a_gateway_whose_couchbase_is_away(directory: Path, filled: Filled) -> None:
    gateway = Gateway(directory)
    gateway.start()
    try:
        flags = (
            "--root",
            filled.site.root,
            "--name",
            "x",
            "--store",
            f"memcached://{gateway.socket}",
        )
        done = memfis("top", *flags, "--json", "-n", "1")
        [site] = json.loads(done.stdout)["sites"]
        assert site["statistics"]["gateway"] == {
            "breaker_open": False,
            "breaker_opened": 0,
            "errors": 0,
        }
        assert "Couchbase answers" in memfis("status", *flags).stdout
    finally:
        gateway.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_an_ordinary_user_is_told_what_to_do(agent: Agent) -> None:
    agent.config.chmod(0o644)
    prefix = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    command = [*prefix, *COMMAND, "top", "--config", os.fspath(agent.config), "-n", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    assert "run this as its user or as root" in done.stdout, done
    agent.config.chmod(0o600)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr
    [_] = done.stderr.splitlines()


@pytest.mark.parametrize("options", [("-i", "0"), ("-n", "0"), ("-i", "soon")])
def test_numbers_that_make_no_sense(options: tuple[str, str]) -> None:
    done = memfis("top", *options)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: Invalid value for")
