"""Containers of the molecule scenarios, as testinfra's hosts."""

import os
from pathlib import Path
from typing import Any

import testinfra
from testinfra.backend.base import BaseBackend, CommandResult

ENGINE = os.environ.get("MOLECULE_ENGINE") or "podman"

_ENTER = Path(__file__).parents[2] / "molecule" / "enter"


def container(name: str) -> testinfra.host.Host:
    """Return the running container `name`."""
    return testinfra.host.Host(_Container(name))


class _Container(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """Runs commands as the plays do: testinfra's own way takes three times as long."""

    NAME = "container"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._name = name

    def run(self, command: str, *arguments: str, **_options: Any) -> CommandResult:
        command = self.get_command(command, *arguments)
        enter = [os.fspath(_ENTER), ENGINE, self._name, "/bin/sh", "-c", command]
        done = self.run_local(" ".join(["%s"] * len(enter)), *enter)
        done.command = self.encode(command)
        return done
