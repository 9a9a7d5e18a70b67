"""CouchbaseMock, Couchbase's own stand-in for its server (docs/gateway.md has its limits)."""

import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from functools import cache
from pathlib import Path

from support.ports import answers, free_port
from support.process import Process, wait_for

VERSION = "1.5.27"
COORDINATES = f"com.couchbase.mock:CouchbaseMock:{VERSION}"
BUCKET, PASSWORD = "memfis", "secret"


@cache
def jar() -> Path | None:
    """Return the mock's jar, fetched by Maven; None where there is no Java or no jar."""
    if not shutil.which("java"):
        return None
    repository = Path.home() / ".m2" / "repository"
    path = repository / f"com/couchbase/mock/CouchbaseMock/{VERSION}/CouchbaseMock-{VERSION}.jar"
    if not path.exists() and shutil.which("mvn"):
        fetch = ("mvn", "-q", "-B", "dependency:get", f"-Dartifact={COORDINATES}")
        subprocess.run([*fetch, "-Dtransitive=false"], check=False, timeout=300)
    return path if path.exists() else None


class CouchbaseMock:
    """A cluster of one node with one bucket; may be frozen, killed and started again, empty."""

    inside: tuple[str, ...] = ()
    """Put before the command of whatever asks it."""
    is_current = False
    """Whether it has `exists`, and checks passwords."""
    tells_what_is_missing = True
    """Whether it says of a bucket that there is none; else the SDK gives up in time."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        found = jar()
        assert found is not None
        self.password_file = directory / "couchbase.password"
        self.password_file.write_text(f"{PASSWORD}\n")
        java = ("java", "-XX:+UseSerialGC", "-Xmx1g", "-XX:TieredStopAtLevel=4", "-jar", found)
        options = ("--cccp", "-n", "1", "-R", "0", "-v", "64", "-h", "127.0.0.1")
        where = ("-p", str(self.port), "-b", f"{BUCKET}:{PASSWORD}")
        self._process = Process([*java, *options, *where], directory / "couchbase.log")

    def start(self) -> None:
        """Start it, with an empty bucket."""
        self._process.start(lambda: answers(self.port))

    def end(self) -> None:
        """End it, also when it is frozen."""
        self._process.end(signal.SIGKILL)

    def close(self) -> None:
        """End it, and what it needed."""
        self.end()

    def freeze(self) -> None:
        """Let it accept connections and answer nothing; return when every thread has stopped."""
        self._process.signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self._process.pid}/task")
        wait_for(lambda: all(_stopped(each) for each in tasks.iterdir()), "the mock to stop")

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._process.signal(signal.SIGCONT)

    @property
    def connection(self) -> str:
        """The connection string; it changes when the mock is started again."""
        login = base64.b64encode(f"{BUCKET}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/pools/default/b/{BUCKET}",
            headers={"Authorization": f"Basic {login}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            config = json.load(answer)
        return f"couchbase://127.0.0.1:{config['nodesExt'][0]['services']['kv']}"


def _stopped(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def environment() -> dict[str, str]:
    """Return the environment that a gateway in tests runs in."""
    tests = os.fspath(Path(__file__).parents[1])
    path = [tests, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
