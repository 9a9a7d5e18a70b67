"""`memfis agent` with a configuration of its own: started, asked for what it says, and ended."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGHUP, SIGTERM, Signals

from support.command import COMMAND, environment
from support.process import Process, wait_for
from support.reader import READER

SYNCED = re.compile(r": \d+ pages, ")
"""What the agent logs of a site when it looked at the whole of it for the first time."""

Settings = Mapping[str, object]


def toml(settings: Settings, sites: Sequence[Settings], fleet: Settings | None = None) -> str:
    """Return a configuration; strings, numbers and lists are the same in JSON and TOML."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    if fleet is not None:
        lines.append("[fleet]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in fleet.items()]
    for site in sites:
        for header, table in (("[[sites]]", site), ("[sites.php]", site.get("php"))):
            if isinstance(table, Mapping):
                lines.append(header)
                plain = {key: value for key, value in table.items() if key != "php"}
                lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    return "\n".join(lines) + "\n"


class Agent:
    """An agent in `directory`, of its own user unless `prefix` makes it somebody else's."""

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        sites: Sequence[Settings],
        *,
        name: str = "agent",
        prefix: Sequence[str | Path] = (),
        env: Mapping[str, str] | None = None,
        fleet: Settings | None = None,
    ) -> None:
        self.fleet = fleet
        self.runtime = directory / "run"
        self.settings = {"runtime_directory": str(self.runtime), **settings}
        self.sites = [dict(site) for site in sites]
        if READER == "lua":
            self.settings.setdefault("first_level", str(directory / "first-level.sock"))
            for site in self.sites:
                site.setdefault("from_memory", READER)
        self.config = directory / f"{name}.toml"
        self.log = directory / f"{name}.log"
        command = [*prefix, *COMMAND, "agent", "--config", self.config]
        self._process = Process(command, self.log, environment(**(env or {})))
        self._begun = 0

    def configure(self) -> None:
        """Write the configuration as it is now."""
        self.config.write_text(toml(self.settings, self.sites, self.fleet))

    def reload(self) -> None:
        """Write the configuration and let the agent read it again, and wait until it did."""
        self.configure()
        before = len(self.lines("settings"))
        self.tell(SIGHUP)
        wait_for(lambda: len(self.lines("settings")) > before, "the settings to be read again")

    def start(self, ready: Callable[[], bool] | None = None) -> None:
        """Start it and wait until it synced all sites, or is otherwise `ready`."""
        self.configure()
        self._begun = len(self.log.read_bytes()) if self.log.exists() else 0
        self._process.start(ready or self.has_synced)

    def has_synced(self) -> bool:
        """Whether it looked at the whole of every site since it was started."""
        return len(self.lines(SYNCED)) >= len(self.sites)

    def said(self) -> str:
        """Return what it logged since it was started."""
        return self.log.read_bytes()[self._begun :].decode() if self.log.exists() else ""

    def lines(self, *words: str | re.Pattern[str]) -> list[str]:
        """Return the lines of the log that hold all `words`."""
        return [
            line
            for line in self.said().splitlines()
            if all(word in line if isinstance(word, str) else word.search(line) for word in words)
        ]

    def hears(self, *words: str) -> None:
        """Wait until it logs a line with all `words`."""
        wait_for(lambda: bool(self.lines(*words)), f"the agent to say {words}")

    def tell(self, number: Signals) -> None:
        """Send a signal to it and its workers."""
        self._process.signal(number)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def end(self, number: Signals = SIGTERM) -> None:
        """End it; by SIGKILL its workers too, otherwise they are its own affair."""
        self._process.end(number)

    def kill_alone(self) -> int:
        """Kill it without its workers, and return the process group that they are in."""
        return self._process.kill_alone()
