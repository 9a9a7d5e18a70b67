"""What another user may have put in the place of our directory, lock or socket is never used."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Agents, Filled
from memfis.service.runtime import SYSTEM_DIRECTORY
from support.agent import Agent
from support.command import environment, memfis
from support.process import Process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

SOMEBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")

IMPOSTOR = """
import fcntl, os, socket, sys
os.umask(0)
directory = sys.argv[1]
os.makedirs(directory, mode=0o777, exist_ok=True)
lock = open(directory + "/site.example.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
listener = socket.socket(socket.AF_UNIX)
listener.bind(directory + "/agent.sock")
listener.listen()
print("listening", flush=True)
while True:
    client, _ = listener.accept()
    if asked := client.recv(65536):
        print("asked:", asked, flush=True)
        client.sendall(sys.argv[2].encode() + b"\\n")
    client.close()
"""
"""Holds the lock and answers who asks: everything is fine."""

FINE = json.dumps({"type": "purged", "rendered": 7, "files": 7, "paths": []})


class Impostor:
    """Another user's process that plays the agent in `directory`."""

    def __init__(self, directory: Path, log: Path) -> None:
        command = (*SOMEBODY, sys.executable, "-c", IMPOSTOR, str(directory), FINE)
        self._process = Process(command, log)
        self._log = log

    def start(self) -> None:
        self._process.start(lambda: "listening" in self._log.read_text())

    def end(self) -> None:
        self._process.end()

    @property
    def was_asked(self) -> bool:
        return "asked" in self._log.read_text()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory as /tmp is, where everybody may write."""
    path = tmp_path / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    for each in (*tmp_path.parents, tmp_path):
        if each.stat().st_mode & 0o077 == 0:
            each.chmod(0o755)  # pytest's are for their owner alone
    return path


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[[Path], Impostor]]:
    made: list[Impostor] = []

    def start(directory: Path) -> Impostor:
        made.append(Impostor(directory, tmp_path / "impostor.log"))
        (tmp_path / "impostor.log").touch()
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.end()


def refused(done: "subprocess.CompletedProcess[str]", *words: str | Path) -> None:
    assert done.returncode == 2, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    for word in words:
        assert str(word) in line


def commands(filled: Filled) -> list[list[str]]:
    flags = [str(each) for each in filled.flags()]
    return [
        ["sync", *flags],
        ["sync", *flags, "-n"],
        ["status", *flags],
        ["purge", *flags, "/**"],
    ]


@pytest.mark.skipif(SYSTEM_DIRECTORY.exists(), reason="this host has an agent's own directory")
def test_the_directory_of_another_user_in_tmp(
    filled: Filled, shared: Path, impostor: Callable[[Path], Impostor]
) -> None:
    theirs = shared / "memfis-0"
    fake = impostor(theirs)
    env = environment(TMPDIR=str(shared))
    del env["XDG_RUNTIME_DIR"]
    for command in commands(filled):
        refused(memfis(*command, env=env), theirs, "user nobody", "runtime_directory")
    assert not fake.was_asked
    assert filled.pages() == set()
    shutil.rmtree(theirs)
    assert memfis(*commands(filled)[0], env=env).returncode == 0
    assert (theirs.stat().st_uid, theirs.stat().st_mode & 0o777) == (0, 0o700)


@pytest.mark.parametrize("owner", ["nobody", "root"])
@pytest.mark.skipif(SYSTEM_DIRECTORY.exists(), reason="this host has an agent's own directory")
def test_a_link_in_its_place(filled: Filled, shared: Path, owner: str) -> None:
    elsewhere = shared.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    link = shared / "memfis-0"
    link.symlink_to(elsewhere)
    os.lchown(link, pwd.getpwnam(owner).pw_uid, -1)
    env = environment(TMPDIR=str(shared))
    del env["XDG_RUNTIME_DIR"]
    refused(memfis(*commands(filled)[0], env=env), link, f"symbolic link of user {owner}")
    assert list(elsewhere.iterdir()) == []


def test_a_directory_for_users_that_is_somebody_elses(filled: Filled, shared: Path) -> None:
    theirs = shared / "user"
    theirs.mkdir(mode=0o700)
    shutil.chown(theirs, "nobody")
    env = environment(XDG_RUNTIME_DIR=str(theirs))
    for command in commands(filled):
        refused(memfis(*command, env=env), theirs, "XDG_RUNTIME_DIR", "user nobody", "unset")
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_may_write_to(agent: Agent, filled: Filled, mode: int) -> None:
    agent.end()
    shutil.chown(agent.runtime, group="nogroup")
    agent.runtime.chmod(mode)
    for command in ("sync", "status", "agent"):
        refused(memfis(command, "-c", agent.config), agent.runtime, "chmod go-w", "user root")
    agent.runtime.chmod(0o700)
    assert memfis("sync", "-c", agent.config).returncode == 0


def test_a_directory_below_that_of_another_user(new_agent: Agents, shared: Path) -> None:
    above = shared / "above"
    (above / "run").mkdir(parents=True)
    shutil.chown(above, "nobody")
    agent = new_agent(settings={"runtime_directory": str(above / "run")})
    agent.configure()
    for command in ("sync", "status", "agent"):
        refused(memfis(command, "-c", agent.config), above, "user nobody")
    assert list((above / "run").iterdir()) == []


def test_a_lock_of_another_user(agent: Agent, filled: Filled) -> None:
    agent.end()
    lock = agent.runtime / "site.example.lock"
    shutil.chown(lock, "nobody")
    refused(memfis("sync", "-c", agent.config), lock, "user nobody", "remove")
    lock.unlink()
    lock.symlink_to("/etc/hostname")
    refused(memfis("sync", "-c", agent.config), lock, "symbolic link", "remove")


def test_a_socket_of_another_user(
    agent: Agent, filled: Filled, impostor: Callable[[Path], Impostor]
) -> None:
    agent.end()
    agent.runtime.chmod(0o777)  # as it once was
    (agent.runtime / "site.example.lock").unlink()
    fake = impostor(agent.runtime)
    agent.runtime.chmod(0o755)
    refused(memfis("status", "-c", agent.config), "agent.sock", "user nobody")
    # The file can be made ours, not the process that listens.
    for name in ("agent.sock", "site.example.lock"):
        shutil.chown(agent.runtime / name, "root")
    for command in ("sync", "status"):
        refused(memfis(command, "-c", agent.config), "agent.sock", "user nobody listens there")
    refused(memfis("purge", "-c", agent.config, "/**"), "agent.sock", "user nobody listens there")
    assert not fake.was_asked
    (agent.runtime / "agent.sock").unlink()
    (agent.runtime / "agent.sock").symlink_to("/run/other.sock")
    refused(memfis("status", "-c", agent.config), "agent.sock", "no socket")


def test_a_link_that_root_made_where_nobody_else_may_is_followed(
    new_agent: Agents, filled: Filled, tmp_path: Path
) -> None:
    """As /var/run is one."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    agent = new_agent(settings={"runtime_directory": str(tmp_path / "link" / "memfis")})
    agent.start()
    assert memfis("sync", "-c", agent.config).returncode == 0
    assert (tmp_path / "run" / "memfis" / "agent.sock").is_socket()


def test_an_ordinary_user_has_a_directory_of_his_own(filled: Filled, shared: Path) -> None:
    own = shared / "user"
    own.mkdir(mode=0o700)
    shutil.chown(own, "nobody")
    env = environment(XDG_RUNTIME_DIR=str(own))
    done = subprocess.run(
        [*SOMEBODY, sys.executable, "-m", "memfis", "status", *map(str, filled.flags())],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
    )
    assert done.returncode == 0, done
    assert "agent: none runs" in done.stdout
