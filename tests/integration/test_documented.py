"""Commands of README.md and docs/, run as they are printed, or listed with the reason why not.

In namespaces of their own (network, mounts): so http://www.example.org/, memcached's usual port and
/mnt/site are the test's, and the host is the one that the page describes.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT

import pytest

from support.agent import Agent
from support.command import environment
from support.directory import reachable_directory
from support.memcached import Memcached
from support.namespace import needs_mounts
from support.nginx import Nginx, Site
from support.process import Process, wait_for

CHECKOUT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/*.md", "roles/*/README.md")
PROGRAMS = re.compile(
    r"(memfis|curl|cp|mkdir|fusermount3|memcached|apt-get|pip|python|sort|valgrind|ansible-\w+"
    r"|export) .+|\./\w+.*",
)
"""What a command is that is indented by four spaces; in a fence of the shell's each line is one."""

ELSEWHERE = {
    r"\./deploy": "tests/hosts runs it on a fresh machine",
    r"\./check.*": "these tests themselves",
    r"curl -sI http://localhost/ .*": "tests/hosts asks so after ./deploy",
    r"python bench/.*": "measurements, which take minutes",
    r"valgrind .*": "a measurement, which takes minutes",
    r"memcached -d .*": "run without -d: it is the store of all commands here",
    r"sort .* \| uniq -c": "tests/monitoring runs it, on what nginx wrote",
    r"apt-get install .*": "changes the machine",
    r"pip install .*": "changes the machine; molecule/couchbase installs the same extra",
    r"ansible-vault .*": "opens an editor",
    r"ansible-playbook .* --ask-vault-pass": "asks for a password; molecule runs the play",
    r"memfis check": "asks this machine's own nginx; plays of molecule end with it",
    r"(sudo )?memfis (off|on) .*": "is about this machine's own nginx; molecule/default runs it",
    r"(python3 -m venv|(printf .* \| )?\.venv/bin/|ansible-galaxy|\(umask 077|--stdin-name ).*": (
        "tests/collection and tests/hosts run docs/collection.md"
    ),
    r"ansible-playbook site\.yml -e memfis_state=absent": "molecule/default runs it",
    r"export MEMFIS_COUCHBASE_.*": "a real Couchbase is needed",
}
"""Commands that are not run here, and why."""

UNTIL_STOPPED = ("memfis serve DIR", "memfis top")
"""They go on until Ctrl-C."""


def documented() -> Iterator[tuple[str, list[str]]]:
    """Yield the commands, without comments, that stand together, and the page that has them."""
    for page in sorted(path for pattern in PAGES for path in CHECKOUT.glob(pattern)):
        fence, block = None, []
        for line in [*page.read_text().splitlines(), ""]:
            if line.startswith("```"):
                fence = line[3:] if fence is None else None
            command = re.sub(r"\s+# .*", "", line.strip())
            indented = fence is None and line.startswith("    ") and command.isascii()
            is_code = indented or (fence == "sh" and not line.startswith("```"))
            if command and is_code and (fence or PROGRAMS.fullmatch(command)):
                block.append(command)
            elif not is_code and block:
                yield str(page.relative_to(CHECKOUT)), block
                block = []


def is_elsewhere(command: str) -> bool:
    return any(re.fullmatch(pattern, command) for pattern in ELSEWHERE)


class Host:
    """A host with one site of PHP, www.example.org, in network and mount namespaces."""

    SCRIPT = (
        "ip link set lo up; mount -t tmpfs tmpfs /mnt; mount -t tmpfs tmpfs /run;"
        ' mkdir /run/memfis; mount --bind "$1" /etc/hosts; touch /run/ready; exec sleep 1000'
    )

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        hosts = directory / "hosts"
        hosts.write_text("127.0.0.1 localhost www.example.org\n")
        apart = ("unshare", "--net", "--mount", "--propagation", "private")
        shell = ("sh", "-euc", self.SCRIPT, "sh", hosts)
        self.holder = Process([*apart, *shell], directory / "holder.log")

    def start(self) -> None:
        self.holder.start(lambda: self.run("test -e /run/ready").returncode == 0)

    @property
    def enter(self) -> tuple[str, ...]:
        """What is put before a command to run it there."""
        return ("nsenter", f"--target={self.holder.pid}", "--net", "--mount")

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return environment(PATH=path, MEMFIS_CONFIG=str(self.directory / "agent.toml"))

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a line of a shell's there, in `directory`."""
        return subprocess.run(
            [*self.enter, "bash", "-c", f"cd {self.directory}; {command}"],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
        )

    def begin(self, block: list[str]) -> None:
        """Have nothing in the store but what the agent keeps there, and a place for a mount."""
        if all(map(is_elsewhere, block)):
            return
        flushed = "exec 3<>/dev/tcp/127.0.0.1/11211; echo flush_all >&3; read <&3; echo $REPLY"
        assert self.run(flushed).stdout.startswith("OK")
        place = (
            "rmdir /mnt/site 2>/dev/null" if "mkdir /mnt/site" in block else "mkdir -p /mnt/site"
        )
        self.run(place)
        wait_for(lambda: self.run("memfis verify").returncode == 0, "the agent to fill the store")

    def process(self, command: str, log: str) -> Process:
        """Return a program there that can be started and ended."""
        words = [*self.enter, "bash", "-c", f"cd {self.directory}; exec {command}"]
        return Process(words, self.directory / log, self.environment)


class Tcp(Memcached):
    """memcached at its usual port of the host."""

    address = "127.0.0.1:11211"

    def __init__(self, host: Host) -> None:
        self.host = host
        printed = next(
            each for _, block in documented() for each in block if each.startswith("memcached -d ")
        )
        self._process = host.process(printed.replace(" -d ", " "), "memcached.log")

    def start(self) -> None:
        self._process.start(lambda: self.host.run("echo >/dev/tcp/127.0.0.1/11211").returncode == 0)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with reachable_directory() as directory:
        host = Host(directory)
        host.start()
        store = Tcp(host)
        site = Site(directory, store, "www.example.org", listen=["127.0.0.1:80"])
        (site.root / "docs").mkdir()
        (site.root / "index.html").write_text("front page")
        (site.root / "docs" / "index.html").write_text("documentation")
        (directory / "DIR").mkdir()
        (directory / "DIR" / "index.html").write_text("of DIR")
        (directory / "public").mkdir()
        (directory / "public" / "index.html").write_text("published")
        nginx = Nginx(directory, site, patient=True, prefix=host.enter)
        settings = {
            "store": "memcached://127.0.0.1:11211",
            "runtime_directory": "/run/memfis",
            "metrics": "unix:/run/memfis/metrics.sock",
        }
        php = {"canonical": "http://www.example.org"}
        told = {"name": site.name, "root": str(site.root), "origin": str(site.origin), "php": php}
        agent = Agent(directory, settings, [told], prefix=host.enter)
        parts = (store, nginx, agent)
        try:
            for part in parts:
                part.start()
            yield host
        finally:
            for part in reversed(parts):
                part.end()
            host.holder.end()


def test_no_reason_is_given_for_what_is_printed_nowhere() -> None:
    commands = [command for _, block in documented() for command in block]
    assert len(commands) > 30
    for pattern in ELSEWHERE:
        assert any(re.fullmatch(pattern, command) for command in commands), pattern


def _stopped(host: Host, command: str) -> None:
    """Run `command` until it has said something, and stop it as Ctrl-C does."""
    running = host.process(command, "running.log")
    running.start(lambda: bool(running.log.read_text()))
    os.killpg(running.pid, SIGINT)
    wait_for(lambda: not running.running, f"{command} to end")


@needs_mounts
def test_commands_do_what_their_pages_say(host: Host) -> None:
    for page, block in documented():
        host.begin(block)
        for command in filter(lambda each: not is_elsewhere(each), block):
            if command in UNTIL_STOPPED:
                _stopped(host, command)
                continue
            done = host.run(command)
            said = f"{page}: {command}: {done.stdout}{done.stderr}"
            assert "Traceback" not in said
            assert done.returncode == 0, said
