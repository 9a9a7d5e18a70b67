"""What is checked, and how: `./check` runs the default sessions, `./check -s NAME` one of them."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "tests", "lua", "histories", "posix", "hosts", "first_run"]

DISTRIBUTIONS = ("debian:12", "debian:13", "ubuntu:24.04", "ubuntu:26.04")

PYTHONS = ("ubuntu:24.04", "debian:13", "ubuntu:26.04")
"""Distributions that have Python 3.12, 3.13 and 3.14; `tests` runs on Debian 12's 3.11 in CI."""

SUITES = ("pjdfstest@0.2.2", "fsx@0.3.2")
"""Public suites for file systems, on crates.io."""

QUICK = "not long and not test_memcached_passes"
"""What of tests/protocol takes half a minute: memcached passes its own tests in every run."""

SANITY = ("validate-modules", "ansible-doc", "compile", "replace-urlopen", "use-argspec-type-path")
"""Ansible's own tests for modules and filters, but for those of style, which ruff looks at."""


def install(session: nox.Session, *groups: str, project: bool = True) -> None:
    """Install dependency groups of pyproject.toml, and memfis as a developer has it."""
    session.install("pip")  # plays build the agent's wheel with it
    arguments = [word for group in groups for word in ("--group", group)]
    session.install(*arguments, *(("-e", ".") if project else ()))


def pytest(session: nox.Session, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run pytest, which remembers for each session what failed: they run beside each other."""
    cache = f"cache_dir=.cache/pytest/{session.name}"
    session.run("pytest", "-o", cache, *arguments, env=env)


def containers(session: nox.Session, distribution: str, scenario: str) -> dict[str, str]:
    """Return the environment that makes containers of `distribution` on this machine.

    With MOLECULE_ENGINE set the machine has an engine and can fetch public images: nothing is done.
    """
    # A directory of its own, so that several can be tested at a time.
    name = f"{scenario}-{distribution.replace(':', '-')}"
    directory = Path(".cache", "molecule", name).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    chosen = {
        "MOLECULE_DISTRO": distribution,
        "MOLECULE_EPHEMERAL_DIRECTORY": str(directory),
    }
    if "MOLECULE_ENGINE" in os.environ:
        return chosen
    printed = session.run(".ci/test-hosts", "image", distribution, external=True, silent=True)
    lines = (line.split("=", 1) for line in str(printed).splitlines() if "=" in line)
    return {name: value for name, value in lines if name.isidentifier()} | chosen


def molecule(session: nox.Session, distribution: str, scenario: str = "default") -> None:
    """Test the role in `scenario`, from nothing to removed.

    `-- short` leaves out check mode and idempotence.
    """
    environment = containers(session, distribution, scenario)
    commands = ("test",)
    if "short" in session.posargs:
        commands = ("destroy", "create", "prepare", "converge", "verify", "destroy")
    for command in commands:
        session.run("molecule", command, "-s", scenario, env=environment)


def sanity(session: nox.Session) -> None:
    """Let `ansible-test sanity` look at modules and filters, in a copy at a collection's path."""
    home = Path(".cache", "ansible-test").absolute()
    bootstrap = home / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy("tests/sanity/bootstrap_pip.py", bootstrap)
    tests = [f"--test={name}" for name in SANITY]
    python = f"--python={sys.version_info.major}.{sys.version_info.minor}"
    # Below the checkout git would say that the copy is ignored.
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "ansible_collections", "memfis", "memfis")
        for part in ("agent", "lua", "meta", "plugins", "templates", "tests/sanity"):
            shutil.copytree(part, copy / part, symlinks=True)
        shutil.copy("galaxy.yml", copy)
        with session.chdir(copy):
            command = ("ansible-test", "sanity", "--requirements", python, *tests)
            session.run(*command, "plugins/", env={"HOME": str(home)})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, layers, YAML, Lua, the roles and their collection."""
    install(session, "lint", "test", "molecule")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-logo")
    session.run("yamllint", "--strict", ".")
    session.run("luacheck", "--quiet", "lua", external=True)
    session.run("ansible-lint", "--offline", "--profile", "production", "--strict")
    session.run("pytest", "tests/collection")
    sanity(session)


@nox.session
def tests(session: nox.Session) -> None:
    """Test all that needs no host of its own: real nginx, memcached and documentation trees."""
    install(session, "test")
    pytest(session, "-n", "auto", *session.posargs)


@nox.session
def gateway(session: nox.Session) -> None:
    """Compare the gateway with memcached for longer, and put it in memcached's place.

    `-- short` does only the latter, which the session `tests` does not, the quick ones of
    memcached's own tests, and the contract of stores over Couchbase's newer mock.
    """
    install(session, "test")
    own = ("tests/protocol", *(("-k", QUICK) if "short" in session.posargs else ()))
    session.run("pytest", "-n", "auto", *own)
    # Couchbase's newer mock in the place of the other.
    suites = ("tests/contract", "tests/gateway/test_tools.py", "tests/gateway/test_differential.py")
    if "short" not in session.posargs:
        suites = ("tests/contract", "tests/gateway")
    newer = {"MEMFIS_TEST_COUCHBASE": "gocaves"}
    session.run("pytest", "-n", "auto", *suites, "-k", "couchbase or outage", env=newer)
    if "short" not in session.posargs:
        tests = ("tests/gateway/test_differential.py", "tests/gateway/test_clients.py")
        more = {"MEMFIS_GATEWAY_EXAMPLES": "2000"}
        session.run("pytest", "-n", "auto", *tests, *session.posargs, env=more)
    suites = ("tests/mount/test_operations.py", "tests/mount/test_sharing.py")
    instead = {"MEMFIS_TEST_STORE": "gateway"}
    session.run("pytest", "-n", "auto", *suites, "tests/integration/test_sync.py", env=instead)


@nox.session
def lua(session: nox.Session) -> None:
    """Run the suites of serving, the comparison with plain nginx, and drills, all with Lua.

    `-- short` leaves out a large documentation tree, and 100,000 reads in a race with changes.
    """
    install(session, "test")
    suites = [
        *("tests/serving", "tests/mount/test_serving.py"),
        *("tests/differential", "tests/documentation"),
    ]
    reader = {"MEMFIS_TEST_READER": "lua"}
    arguments = [each for each in session.posargs if each != "short"]
    if "short" in session.posargs:
        suites.pop()
    pytest(session, "-n", "auto", *suites, *arguments, env=reader)
    if not arguments:
        session.run("python", "bench/drills", "--short", env=reader)
    if not session.posargs:
        race = ("tests/reader/test_first_level.py", "-k", "nothing_old")
        pytest(session, *race, env=reader | {"MEMFIS_RACES": "100000"})


@nox.session
def histories(session: nox.Session) -> None:
    """Let random histories happen to sites, then the fault drills in short form."""
    install(session, "test")
    pytest(session, "tests/histories", "-n", "4", *session.posargs)
    session.run("python", "bench/drills", "--short")


@nox.session
def posix(session: nox.Session) -> None:
    """Run public suites for file systems over a mount; they are built where Rust is installed."""
    if not shutil.which("cargo"):
        session.skip("needs cargo, to build " + " and ".join(SUITES))
    install(session, "test")
    cargo = session.cache_dir / "cargo"
    missing = [each for each in SUITES if not (cargo / "bin" / each.split("@")[0]).exists()]
    if missing:
        options = ("--quiet", "--locked", "--debug", "--root", str(cargo))
        session.run("cargo", "install", *options, *missing, external=True)
    path = os.pathsep.join([*session.bin_paths, str(cargo / "bin"), os.environ["PATH"]])
    session.run("pytest", "tests/conformance/test_suites.py", *session.posargs, env={"PATH": path})


@nox.session
def hosts(session: nox.Session) -> None:
    """Test the role on Debian 12, from nothing to removed."""
    install(session, "molecule", project=False)
    molecule(session, DISTRIBUTIONS[0])


@nox.session
def couchbase(session: nox.Session) -> None:
    """Test the role with Couchbase as the store: plays on this machine, then hosts."""
    install(session, "test", "molecule")
    session.run("pytest", "tests/provisioning", "-n", "2")
    molecule(session, DISTRIBUTIONS[0], "couchbase")


@nox.session
def php(session: nox.Session) -> None:
    """Test the role with PHP: Debian's wikis and blog, from nothing to removed."""
    install(session, "molecule", project=False)
    molecule(session, DISTRIBUTIONS[0], "php")


@nox.session
def neighbours(session: nox.Session) -> None:
    """Test the role on a host that is somebody's own: Apache, an nginx.conf, umask, no IPv6.

    Its tests run the plays, so there is no short form.
    """
    install(session, "molecule", project=False)
    environment = containers(session, DISTRIBUTIONS[0], "neighbours")
    session.run("molecule", "test", "-s", "neighbours", env=environment)


@nox.session
def upgrade(session: nox.Session) -> None:
    """Test the way up: today's play over a host of version 0.1.0, and an agent that fails."""
    install(session, "molecule", project=False)
    molecule(session, DISTRIBUTIONS[0], "upgrade")


@nox.session
@nox.parametrize("distribution", DISTRIBUTIONS[1:], ids=DISTRIBUTIONS[1:])
def matrix(session: nox.Session, distribution: str) -> None:
    """Test the role elsewhere; `-- short` leaves out check mode, idempotence, and later plays.

    What an administrator does next (test_zz_*.py) is ten plays, and the same on each distribution.
    """
    install(session, "molecule", project=False)
    if "short" in session.posargs:
        session.env["PYTEST_ADDOPTS"] = "-k 'not test_zz_'"
    molecule(session, distribution)


@nox.session(venv_backend="none")
@nox.parametrize("distribution", PYTHONS, ids=PYTHONS)
def pythons(session: nox.Session, distribution: str) -> None:
    """Run the tests with another distribution's Python, nginx and memcached, in a container.

    `-- short` leaves out tests/integration, but for syncs; other arguments are pytest's.
    """
    name = f"memfis-pythons-{distribution.replace(':', '-')}"
    environment = os.environ | containers(session, distribution, "pythons")
    engine = environment.get("MOLECULE_ENGINE", "podman")
    base = environment.get("MOLECULE_BASE", f"docker.io/library/{distribution}")
    image, container = f"localhost/{name}", f"{name}-{os.getpid()}"
    recipe = ("--file", "tests/pythons/Containerfile", "--build-arg", f"BASE={base}")
    build = (engine, "build", "--tag", image, *recipe, "tests/pythons")
    session.run(*build, env=environment)

    # What is downloaded once for all: packages of pip's, and documentation trees.
    caches = {
        "pythons/pip": "/root/.cache/pip",
        "documentation": "/opt/memfis/.cache/documentation",
    }
    options = ["--rm", "--name", container, "--env", "CI", "--volume", f"{Path.cwd()}:/checkout:ro"]
    for directory, place in caches.items():
        here = Path(".cache", directory).absolute()
        here.mkdir(parents=True, exist_ok=True)
        options += ["--volume", f"{here}:{place}"]
    bundle = environment.get("MOLECULE_CA_BUNDLE")
    if bundle:
        inside = "/etc/ssl/bundle.crt"
        options += ["--volume", f"{bundle}:{inside}:ro", "--env", f"PIP_CERT={inside}"]
    # For user namespaces with fewer watches, for mounts, and for a tree of 100,000 files in memory.
    unmask = {"podman": "unmask=/proc/sys", "docker": "systempaths=unconfined"}[engine]
    options += ["--security-opt", unmask, "--cap-add", "SYS_ADMIN", "--device", "/dev/fuse"]
    options += ["--shm-size", "1g"]

    directories = ("tests/unit", "tests/contract", "tests/integration")
    arguments = (*directories, *session.posargs)
    if "short" in session.posargs:
        arguments = (*directories[:2], "tests/integration/test_sync.py")
    run = (engine, "run", *options, image, "/checkout/tests/pythons/run", *arguments)
    remove = (engine, "rm", "--force", container)
    try:
        session.run(*run, env=environment)
    finally:
        # It is there no more, or the session was stopped.
        session.run(*remove, env=environment, silent=True, success_codes=[0, 1])


@nox.session
def first_run(session: nox.Session) -> None:
    """Run the README's first command, word for word, on a fresh Debian 13."""
    install(session, "test", "molecule", project=False)
    session.run("pytest", "tests/hosts", env=containers(session, DISTRIBUTIONS[1], "first-run"))
