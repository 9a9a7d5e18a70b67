"""The playbook that is shipped, run on hosts of a molecule scenario by its tests."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def play(
    inventory: Path, *arguments: str, umask: int = -1, **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run site.yml with `variables`, and return what came of it; stderr is in `stdout`."""
    done = subprocess.run(
        [
            "ansible-playbook",
            f"--inventory={inventory}",
            "site.yml",
            f"--extra-vars={json.dumps(variables)}",
            *arguments,
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        },
        # Molecule has Ansible print failures to stderr.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        umask=umask,
        text=True,
        check=False,
    )
    print(done.stdout)  # pytest shows it where a test fails, and cuts it short in assertions
    return done


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a play printed, in one line: Ansible breaks long ones."""
    return " ".join(done.stdout.split())
