"""A container, through the engine's own command line."""

import os
import subprocess
from dataclasses import dataclass

ENGINE = os.environ.get("MOLECULE_ENGINE") or "podman"


def engine(*arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run([ENGINE, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout.decode().strip()


@dataclass(frozen=True)
class Machine:
    """A container, and what a person would type in it."""

    name: str
    directory: str = "/root"

    def command(self, script: str) -> list[str]:
        """Return what runs `script` as root in the directory."""
        workdir = f"--workdir={self.directory}"
        return [ENGINE, "exec", workdir, "--env=HOME=/root", self.name, "sh", "-c", script]

    def run(self, script: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run `script` as root in the directory, with the environment of a login."""
        return subprocess.run(
            self.command(script),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def write(self, path: str, content: bytes) -> None:
        engine("exec", "--interactive", self.name, "sh", "-c", f"cat > {path}", stdin=content)
