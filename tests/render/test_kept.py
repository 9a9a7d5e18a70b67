"""Rendered pages of a store that kept its memory: what they are made of may have changed unseen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from render.conftest import Rendered
from support.kept_store import KeptStore
from support.origin import Origin, Reply
from support.process import listening, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")


@pytest.fixture
def memcached(directory: Path) -> Iterator[KeptStore]:
    store = KeptStore(directory)
    try:
        store.start()
        yield store
    finally:
        store.end()


@pytest.mark.parametrize("runs", [False, True], ids=["agent_stopped", "agent_runs"])
def test_a_rendered_page_is_not_shown_again(
    rendered: Rendered, origin: Origin, memcached: KeptStore, runs: bool
) -> None:
    gates = rendered.directory / "gates"
    gates.mkdir()
    gate = gates / f"{rendered.NAME}.sock"
    rendered.agent.settings["gates"] = str(gates)
    (rendered.root / "file.html").write_text("a file")
    origin.pages["/page"] = Reply(b"<p>before</p>")
    origin.pages["/list"] = Reply(b"<p>list</p>")
    rendered.start(lifetime=3600, render=["/list"])
    rendered.hint("/page")
    rendered.has("/page", b"<p>before</p>")
    rendered.has("/list", b"<p>list</p>")
    if not runs:
        rendered.agent.end()
    memcached.stop()
    origin.pages["/page"] = Reply(b"<p>after</p>")
    origin.pages["/list"] = Reply(b"<p>other</p>")
    memcached.restart()
    rendered.store.close()
    if not runs:
        assert not listening(gate)
        assert rendered.content("/page") == b"<p>before</p>", "it is in the store"
        rendered.agent.start()
    wait_for(lambda: listening(gate), "nginx to be let in")
    assert rendered.content("/page") is None
    assert rendered.content("/list") != b"<p>list</p>"
    assert rendered.content("/file.html") == b"a file"
    rendered.has("/list", b"<p>other</p>")
    rendered.hint("/page")
    rendered.has("/page", b"<p>after</p>")
