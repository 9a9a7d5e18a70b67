"""The role's own code, and a Couchbase that is a stand-in."""

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from support.couchbase_rest import Servers, World, machines

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"


def load(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    name = f"plugins_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def couchbase() -> Any:
    """module_utils of the role, in a hurry."""
    module: Any = load(PLUGINS / "module_utils" / "couchbase.py")
    module._PAUSE = 0.02
    module._GRACE = 3
    return module


@pytest.fixture(scope="session")
def filters() -> Any:
    """The role's filters."""
    return load(PLUGINS / "filter" / "couchbase.py")


@pytest.fixture(scope="session")
def fingerprints() -> Any:
    """What tells whose key a text has."""
    return load(PLUGINS / "filter" / "openpgp.py").fingerprints


@pytest.fixture(scope="session")
def role_filters() -> Any:
    """Filters of the role memfis that are no settings."""
    changes = load(PLUGINS / "filter" / "changes.py")
    install = load(PLUGINS / "filter" / "install.py")
    return SimpleNamespace(
        content_changes=changes.content_changes,
        site_changes=changes.site_changes,
        store_addresses=load(PLUGINS / "filter" / "gateway.py").store_addresses,
        install_problem=install.install_problem,
        with_extra=install.with_extra,
    )


_networks = itertools.count(1)


@pytest.fixture
def servers() -> Iterator[Callable[..., Servers]]:
    """Start machines that run Couchbase, on addresses of the loopback network that are free."""
    started = []

    def servers(count: int = 1, **world: Any) -> Servers:
        # Every address of 127.0.0.0/8 is this machine; a network of its own for each test.
        network = f"127.{os.getpid() % 200 + 20}.{next(_networks) % 250 + 1}"
        made = World(machines(f"{network}.{n}" for n in range(1, count + 1)), **world)
        made.seconds = world.get("seconds", 0.1)
        servers = Servers(made)
        servers.start()
        started.append(servers)
        return servers

    yield servers
    for each in started:
        each.stop()
