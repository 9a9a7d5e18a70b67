"""Whatever happens to a web root, its store and its agent: in the end, both are equal."""

import ast
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from histories.conftest import COUNT, SEED
from histories.history import History, run
from histories.strategies import histories

SHARDS = 20
"""Tests that the histories are dealt out to, for the processes of pytest-xdist."""

FAILED = Path(__file__).parents[2] / ".cache" / "histories"

KINDS = ("usual", "pinned")
"""Kinds of histories (`History.kind`), by turns."""

READERS = ("lua", "memcached_pass")
"""Readers of the sites (`History.reader`), by turns of two."""

ENDS = ("sync", "sync beside the agent", "sync --checksum", "agent", "agent", "agent")
"""How histories end (`History.end`): half of them by the agent alone."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_store_and_web_root_are_equal_in_the_end(shard: int) -> None:
    number = int(os.environ[SEED]) * SHARDS + shard
    shrinks = "MEMFIS_HISTORIES_SHRINK" in os.environ
    failures: list[str] = []

    @seed(number)
    @settings(
        max_examples=-(-int(os.environ[COUNT]) // SHARDS),
        phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(histories(KINDS[shard % 2], READERS[shard // 2 % 2], ENDS))
    def check(history: History) -> None:
        if failures and not shrinks:
            return  # the first is told; that a race is lost twice is not to be expected
        wrong = run(history)
        if wrong:
            failures.append(explain(history, wrong, FAILED / f"{number}.txt"))
        assert not (wrong and shrinks)

    try:
        check()
    finally:
        if failures:
            pytest.fail(failures[-1], pytrace=False)


def explain(history: History, wrong: list[str], file: Path) -> str:
    """Write `history` to `file`, and return what to tell about it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(history.shown())
    lines = [*wrong, "the history:", history.shown(), f"again: MEMFIS_HISTORY={file}"]
    return "\n".join(lines)


@pytest.mark.skipif("MEMFIS_HISTORY" not in os.environ, reason="MEMFIS_HISTORY names no file")
@pytest.mark.parametrize("time", range(10))
def test_the_history_given(time: int) -> None:
    history = History(*ast.literal_eval(Path(os.environ["MEMFIS_HISTORY"]).read_text()))
    wrong = run(history)
    assert not wrong, "\n".join(wrong)
