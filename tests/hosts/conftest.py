"""Fresh containers that know nothing of this checkout but a clone of its HEAD."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.machine import ENGINE, Machine, engine

ROOT = Path(__file__).parents[2]
DISTRO = os.environ.get("MOLECULE_DISTRO", "")

# As in molecule/default/create.yml.
_SYSTEMD = {
    "podman": (["--systemd=always", "--cap-add=SYS_ADMIN"], ["/sbin/init"]),
    "docker": (
        [
            "--cgroupns=private",
            "--cap-add=SYS_ADMIN",
            "--security-opt=apparmor=unconfined",
            "--tmpfs=/run",
            "--tmpfs=/run/lock",
        ],
        ["/bin/sh", "-c", "mount -o remount,rw /sys/fs/cgroup; exec /sbin/init"],
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave these tests to `nox -s first_run`, which says what to run them on."""
    if not DISTRO:
        skip = pytest.mark.skip(reason="needs containers: nox -s first_run")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def image() -> str:
    """Return an image of a fresh machine: git and the distribution's Python, nothing else."""
    base = os.environ.get("MOLECULE_BASE") or f"docker.io/library/{DISTRO}"
    host = f"localhost/memfis-host:{DISTRO.replace(':', '-')}"
    fresh = f"localhost/memfis-fresh:{DISTRO.replace(':', '-')}"
    directory = str(ROOT / "molecule")
    engine(
        "build",
        f"--tag={host}",
        f"--build-arg=BASE={base}",
        f"--file={directory}/Containerfile",
        directory,
    )
    added = f"""
        FROM {host}
        RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends git python3 python3-venv python3-pip
    """
    engine("build", f"--tag={fresh}", "--file=-", directory, stdin=added.encode())
    return fresh


@pytest.fixture(scope="session")
def first_command() -> str:
    """Return the first shell block of the README, as it stands there."""
    block = re.search(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert block, "README.md has no sh block"
    return block[1]


@pytest.fixture(scope="module")
def machine(
    request: pytest.FixtureRequest,
    image: str,
    first_command: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    """A machine that was fresh before the first test; parameter: whether it runs systemd."""
    systemd: bool = request.param
    options, command = _SYSTEMD[ENGINE] if systemd else ([], ["sleep", "infinity"])
    name = "memfis-first-run"
    subprocess.run([ENGINE, "rm", "--force", name], capture_output=True, check=False)
    engine("run", "--detach", f"--name={name}", f"--hostname={name}", *options, image, *command)
    try:
        fresh = Machine(name)
        if systemd:
            fresh.run("systemctl is-system-running --wait")
        bundle = os.environ.get("MOLECULE_CA_BUNDLE")
        if bundle:
            fresh.write("/etc/ssl/bundle.crt", Path(bundle).read_bytes())
            fresh.write("/etc/pip.conf", b"[global]\ncert = /etc/ssl/bundle.crt\n")
        # The address that the README names leads to this checkout's HEAD.
        clone = tmp_path_factory.mktemp("clone") / "memfis.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, clone], check=True)
        archive = subprocess.run(["tar", "-C", clone, "-c", "."], capture_output=True, check=True)
        fresh.write("/root/memfis.tar", archive.stdout)
        named = re.search(r"git clone (?:-\S+ )*(\S+)", first_command)
        script = ["mkdir /opt/memfis.git", "tar -C /opt/memfis.git -xf memfis.tar --no-same-owner"]
        script += ["git config --system --add safe.directory '*'"]
        if named:
            script += [f"git config --system url./opt/memfis.git.insteadOf {named[1]}"]
        else:
            # The block begins in a clone.
            script += ["git clone --quiet /opt/memfis.git memfis"]
        prepared = fresh.run(" && ".join(script))
        assert prepared.returncode == 0, prepared.stderr
        if not named:
            fresh = Machine(name, "/root/memfis")
        yield fresh
    finally:
        subprocess.run([ENGINE, "rm", "--force", name], capture_output=True, check=False)
