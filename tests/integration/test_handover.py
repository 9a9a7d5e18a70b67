"""One writer a site: `memfis sync` beside a running agent, and agents beside each other."""

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from integration.conftest import Agents, Filled, settle
from memfis.sync import try_lock
from support.agent import Agent
from support.command import COMMAND, environment, memfis, memfis_json
from support.memcached import Memcached
from support.process import wait_for

NOT_ROOT = os.geteuid() != 0
SOMEBODY = ("setpriv", "--reuid=nobody", "--clear-groups")


def one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    for word in words:
        assert word in line


def beside(agent: Agent, *arguments: str) -> "subprocess.Popen[str]":
    """Start `memfis sync` with the agent's configuration."""
    return subprocess.Popen(
        [*COMMAND, "sync", "--config", str(agent.config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_the_agent_syncs_for_whoever_asks(agent: Agent, filled: Filled) -> None:
    filled.store.delete_many([b"memfis://site.example/"])
    done = memfis("sync", "--config", agent.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"site\.example: 3 pages, .* 0 added, .* 1 restored ", done.stdout)
    assert agent.lines("1 restored")  # it was the agent's work
    assert filled.is_equal()


def test_its_report_is_the_document(agent: Agent, filled: Filled) -> None:
    (filled.root / "dangling").symlink_to("nowhere")
    agent.hears("dangling")
    done = memfis("sync", "--config", agent.config, "--json")
    assert done.returncode == 1
    [site] = json.loads(done.stdout)["sites"]
    assert site["problems"] == [{"path": "/dangling", "reason": "dangling symbolic link"}]
    assert (site["site"], site["pages"], site["unchanged"]) == ("site.example", 3, 3)
    assert site["root"] == str(filled.root)


def test_a_dry_run_by_the_agent_shows_what_would_be_done(agent: Agent, filled: Filled) -> None:
    filled.store.delete_many([b"memfis://site.example/docs/"])
    done = memfis("sync", "--config", agent.config, "-n")
    assert done.returncode == 0
    change, summary = done.stdout.splitlines()
    assert change == "~ site.example/docs/index.html (2000 bytes)"
    assert summary.startswith("dry run, nothing written: site.example: ")
    assert "1 restored" in summary


def test_the_agent_compares_content_when_it_is_asked_to(agent: Agent, filled: Filled) -> None:
    settle()
    assert memfis("sync", "--config", agent.config).returncode == 0
    filled.lie("index.html", b"OTHER PAGE")
    assert memfis_json("sync", "-c", agent.config)["sites"][0]["changed"] == 0
    assert filled.content(b"/") == b"OTHER PAGE"
    assert memfis_json("sync", "-c", agent.config, "--checksum")["sites"][0]["changed"] == 1
    assert filled.is_equal()


def with_deletions(new_agent: Agents, filled: Filled) -> Agent:
    """Return an agent that holds 30 deletions, of a site of which a sync may remove none."""
    for number in range(30):
        (filled.root / f"{number}.html").write_text("page")
    agent = new_agent(site={"max_delete": "0", "delete_grace": 60})
    agent.start()
    agent.tell(SIGSTOP)  # so that it sees them all at once
    for number in range(30):
        (filled.root / f"{number}.html").unlink()
    agent.tell(SIGCONT)
    agent.hears("30 pages whose files are gone are held")
    return agent


def test_a_limit_on_deletions_holds_for_the_agent_too(new_agent: Agents, filled: Filled) -> None:
    agent = with_deletions(new_agent, filled)
    items = {key: filled.store.get(key) for key in filled.store.all_keys()}
    done = memfis("sync", "--config", agent.config)
    one_line(done, 4, "would delete 30 of 33 pages", "--max-delete 0", "nothing was written")
    assert items == {key: filled.store.get(key) for key in filled.store.all_keys()}
    done = memfis("sync", "--config", agent.config, "--max-delete", "30")
    assert (done.returncode, done.stderr) == (0, "")
    assert "30 removed" in done.stdout
    assert filled.pages() == {b"/", b"/docs/", b"/docs/logo.png"}


def test_files_are_kept_when_the_agent_is_asked_to(new_agent: Agents, filled: Filled) -> None:
    agent = with_deletions(new_agent, filled)
    done = memfis("sync", "--config", agent.config, "--no-delete")
    assert (done.returncode, done.stderr) == (0, "")
    assert b"/29.html" in filled.pages()


def test_a_site_that_the_agent_has_otherwise_is_left_alone(agent: Agent, filled: Filled) -> None:
    agent.sites[0] |= {"exclude": ["*.png"], "max_page": 1000}
    agent.configure()
    done = memfis("sync", "--config", agent.config)
    one_line(done, 2, "site.example", "exclude", "max_page", "reload")
    assert b"/docs/logo.png" in filled.pages()


def test_a_site_that_the_agent_has_not_is_synced_at_once(agent: Agent, filled: Filled) -> None:
    agent.sites.append({"name": "other.example", "root": str(filled.root)})
    agent.configure()
    done = memfis("sync", "--config", agent.config, "--site", "other.example")
    assert (done.returncode, done.stderr) == (0, "")
    assert "other.example: 3 pages" in done.stdout


@pytest.mark.skipif(NOT_ROOT, reason="only root may become somebody else")
def test_another_user_may_not_ask(agent: Agent) -> None:
    agent.runtime.chmod(0o755)
    for path in agent.runtime.glob("*.lock"):
        path.chmod(0o666)
    done = subprocess.run(
        [*SOMEBODY, *COMMAND, "sync", "--config", str(agent.config)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    one_line(done, 2, "site.example", "as the agent's user or as root", "Permission denied")
    agent.runtime.chmod(0o700)
    done = subprocess.run(done.args, capture_output=True, text=True, env=environment(), timeout=60)
    one_line(done, 2, str(agent.runtime), "Permission denied", "runtime_directory")


@pytest.mark.skipif(NOT_ROOT, reason="only root may become somebody else")
def test_root_may_ask_an_agent_of_another_user(new_agent: Agents, filled: Filled) -> None:
    agent = new_agent(prefix=("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups"))
    # Given to it by root where nobody else may write, as tmpfiles.d gives /run/memfis.
    given = filled.root.parent / "given"
    agent.runtime = given / "run"
    agent.runtime.mkdir(parents=True)
    shutil.chown(agent.runtime, "www-data")
    agent.settings["runtime_directory"] = str(agent.runtime)
    agent.start()
    for _ in range(2):
        done = memfis("sync", "--config", agent.config)
        assert (done.returncode, done.stderr) == (0, "")
    agent.end()
    assert memfis("sync", "--config", agent.config).returncode == 0
    agent.start()  # what root made meanwhile is not in its way
    assert filled.is_equal()


def test_an_agent_that_is_killed_in_between_leaves_the_work_to_the_sync(
    agent: Agent, filled: Filled
) -> None:
    agent.tell(SIGSTOP)
    (filled.root / "index.html").write_text("changed")
    running = beside(agent)
    wait_for(lambda: has_socket(running.pid), "the sync to ask the agent")
    agent.end(SIGKILL)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out.count("1 changed")) == (0, 1), err
    assert filled.content(b"/") == b"changed"
    assert filled.is_equal()


def has_socket(pid: int) -> bool:
    """Whether the process `pid` has opened a socket."""
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(each.readlink()).startswith("socket:"):
                return True
    return False


def test_a_second_agent_in_the_same_place_says_so(agent: Agent, new_agent: Agents) -> None:
    done = memfis("agent", "--config", agent.config)
    one_line(done, 2, "agent.sock", "another agent")
    assert memfis("sync", "--config", agent.config).returncode == 0  # the first is well


def test_an_agent_waits_for_the_lock_of_a_site(new_agent: Agents, filled: Filled) -> None:
    agent = new_agent()
    with try_lock(agent.runtime, "site.example") as held:
        assert held
        agent.start(lambda: bool(agent.lines("waiting")))
        assert len(agent.lines("site.example", "another memfis is at work")) == 1
        assert filled.pages() == set()
    wait_for(agent.has_synced, "the agent to take over")
    assert filled.is_equal()


def test_syncs_wait_for_each_other(new_agent: Agents, filled: Filled) -> None:
    agent = new_agent()  # only for its configuration
    agent.configure()
    with try_lock(agent.runtime, "site.example"):
        both = [beside(agent) for _ in range(2)]
        for each in both:
            assert each.stderr is not None
            assert "waiting for another memfis" in each.stderr.readline()
        assert filled.pages() == set()
    for each in both:
        out, err = each.communicate(timeout=60)
        assert (each.returncode, err) == (0, "")
        assert "3 pages" in out
    assert filled.is_equal()


def test_many_may_ask_the_agent_at_once(agent: Agent, filled: Filled) -> None:
    filled.store.delete_many([b"memfis://site.example/docs/logo.png"])
    asking = [beside(agent, "--json") for _ in range(3)]
    restored = 0
    for each in asking:
        out, err = each.communicate(timeout=60)
        assert (each.returncode, err) == (0, "")
        restored += json.loads(out)["sites"][0]["restored"]
    assert restored == 1


def test_status_shows_what_the_agent_cannot_do_and_has_to_do(
    filled: Filled, new_agent: Agents
) -> None:
    [alone] = memfis_json("status", *filled.flags())["sites"]
    assert alone["agent"] is None
    (filled.root / "dangling.html").symlink_to("nowhere")
    (filled.root / "circle.html").symlink_to("circle.html")
    (filled.root / "also.html").symlink_to("nowhere else")
    agent = new_agent()
    agent.start()
    [kept] = memfis_json("status", "--config", agent.config)["sites"]
    assert kept["agent"] == {
        "pages": kept["pages"],
        "pending_directories": 0,
        "watched_directories": 2,
        "problems": {"dangling symbolic link": 2, "circular symbolic link": 1},
        "held": None,
    }
    said = memfis("status", "--config", agent.config).stdout
    assert "agent: 0 directories to look at, 2 watched" in said
    assert "not in memory: 2 dangling symbolic link\n    remove the link, or make" in said
    agent.end()
    assert "agent: none runs" in memfis("status", "--config", agent.config).stdout


@pytest.mark.skipif(NOT_ROOT, reason="only root may become somebody else")
def test_status_says_that_another_user_may_not_ask(agent: Agent) -> None:
    agent.runtime.chmod(0o755)
    done = subprocess.run(
        [*SOMEBODY, *COMMAND, "status", "--config", str(agent.config)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "agent: may not be asked" in done.stdout


def test_a_sync_right_after_the_store_was_restarted(agent: Agent, memcached: Memcached) -> None:
    for _ in range(3):
        memcached.end()
        memcached.start()
        [report] = memfis_json("sync", "--config", agent.config)["sites"]
        assert report["pages"] == 3
        assert memfis("verify", "--config", agent.config).returncode == 0
