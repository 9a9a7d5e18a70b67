"""What visitors and the store saw of an upgrade, and what there is after it."""

import hashlib
import os
import re
import runpy
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CHANGING = "/changing.html"
OWN = ("memfis://", "memfis-private://", "memfis-dir://")


def told(text):
    """The text as it was before Ansible broke its lines."""
    return " ".join(text.split())


def test_a_new_agent_that_does_not_start_is_told_of():
    said = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "broken.txt").read_text()
    assert said.count("FAILED!") == 1
    message = told(said[said.index("FAILED!") :])
    assert "The new agent does not start" in message
    assert "this agent is broken on purpose" in message
    assert "The agent of before, memfis, version 0.1.0, was put back" in message


def test_the_agent_before_was_back_as_it_was(before, back):
    assert back["active"] == "active"
    for part in ("version", "requirement", "files", "modes"):
        assert back[part] == before[part], part
    assert before["front"] == back["front"] == [200, "HIT"]


def test_no_request_failed(visits):
    assert len(visits) > 500
    assert [visit for visit in visits if visit.status != 200] == []


def test_nothing_old_was_seen(visits, fetch, host):
    """Once a visitor was given a new page, no later one is given an older."""
    changing = [visit for visit in visits if visit.path == CHANGING]
    wrong = []
    newest, ended = -1, 0
    for visit in sorted(changing, key=lambda visit: visit.ended):
        if visit.shown < newest and visit.began > ended:
            wrong.append((visit, newest))
        if visit.shown > newest:
            newest, ended = visit.shown, visit.ended
    assert wrong == []
    now = host.file("/srv/www/docs/changing.html").content_string
    assert fetch(CHANGING) == (200, "HIT", now)
    # And it was not all the time the same.
    assert len({visit.shown for visit in changing}) > 5


def test_a_page_was_the_same_all_the_time(visits):
    """From memory, or from the disk while the store took too long on a busy machine."""
    shown = defaultdict(set)
    for visit in visits:
        if visit.path != CHANGING and (visit.source == "HIT" or visit.site == "docs.example.org"):
            shown[visit.site, visit.path].add(visit.shown)
    assert len(shown) > 100
    assert {page: each for page, each in shown.items() if len(each) > 1} == {}


def test_pages_that_php_made_are_still_those(visits, fetch, eventually):
    made = {
        visit.path: visit.shown
        for visit in visits
        if (visit.site, visit.source) == ("app.example.org", "HIT")
    }
    assert len(made) == 21

    def from_memory(path):
        status, source, body = fetch(path, "app.example.org")
        return (status, source) == (200, "HIT") and hashlib.sha256(body.encode()).hexdigest()

    for path, shown in made.items():
        assert eventually(lambda path=path: from_memory(path)) == shown, path


@pytest.mark.parametrize("moment", ["back", "after"])
def test_no_equal_page_was_sent_again(before, request, moment):
    then = request.getfixturevalue(moment)["items"]
    kept = {key: number for key, number in before["items"].items() if key.startswith(OWN)}
    # The author changed one page, and so the records of its directory.
    changed = {"memfis://docs.example.org" + CHANGING, "memfis-dir://docs.example.org/"}
    if moment == "after":  # every file of a web root was read once, and its identity recorded
        changed |= {key for key in kept if key.startswith("memfis-dir://docs.example.org/")}
    assert len(kept) > 1000
    assert {key for key in kept if then.get(key) != kept[key]} - changed == set()
    assert {key for key in then if key.startswith(OWN)} - set(kept) == set()


def test_the_store_was_not_started_again(before, after):
    assert after["store"] == before["store"]


def test_the_agent_is_the_new_one(after, host):
    version = re.search(r'version__ = "(.*)"', (ROOT / "agent/memfis/__init__.py").read_text())[1]
    assert after["version"] == f"memfis, version {version}"
    digest = runpy.run_path(str(ROOT / "roles/memfis/files/build_wheel.py"))["source_digest"]
    assert f"/{digest(ROOT)[:16]}/" in after["requirement"]
    assert after["active"] == "active"
    [program] = re.findall(r"path=(\S+)", after["program"])
    assert program == "/opt/memfis/agent/bin/memfis"
    pid = host.check_output("systemctl show --property=MainPID --value memfis-agent")
    runs_from = host.check_output("tr '\\0' '\\n' < /proc/%s/cmdline", pid).splitlines()[0]
    assert host.check_output("readlink -f /opt/memfis/agent") in runs_from
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_of_earlier_agents_nothing_is_left(host):
    assert not host.file("/opt/memfis/venv").exists
    environments = host.check_output("ls -d /opt/memfis/venvs/*").split()
    assert environments == [host.check_output("readlink /opt/memfis/agent")]


def test_files_of_the_mount_are_all_there(host, before, after):
    assert len(before["tree"]) > 100
    assert after["tree"] == before["tree"]
    assert host.service("memfis-mount-files.example.org").is_running


@pytest.mark.parametrize("site", ["docs.example.org", "app.example.org", "files.example.org"])
def test_store_and_disk_are_equal(host, site):
    done = host.run("memfis verify --site %s", site)
    assert (done.rc, " 0 differ" in done.stdout) == (0, True), done.stdout + done.stderr
