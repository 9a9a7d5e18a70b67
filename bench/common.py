"""What the measurements share: interleaved rounds, medians, tables, targets."""

import json
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

Name = TypeVar("Name")

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has taken (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def interleaved(
    measures: Mapping[Name, Callable[[], float]], rounds: int
) -> dict[Name, list[float]]:
    """Take every measure in turn, `rounds` times: whatever else the machine does hits them all."""
    found: dict[Name, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def medians(found: Mapping[Name, Sequence[float]]) -> dict[Name, float]:
    """Return the median of each measure's rounds."""
    return {name: statistics.median(figures) for name, figures in found.items()}


def ratio(found: Mapping[Name, Sequence[float]], one: Name, other: Name) -> float:
    """Return the median of the rounds' ratios: those of one round met the same machine."""
    return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))


@dataclass(frozen=True)
class Target:
    """A figure that was measured, and the limit that it is to keep."""

    name: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure keeps its limit."""
        if self.at_least:
            return self.measured >= self.limit
        return self.measured <= self.limit

    def cells(self) -> list[str]:
        """Return its row of a table."""
        wanted = f"at {'least' if self.at_least else 'most'} {self.limit:g}"
        return [self.name, f"{self.measured:,.2f}", wanted, self.unit, "" if self.met else "missed"]


@dataclass(frozen=True)
class Section:
    """One table with its targets. `figures` is everything measured, for JSON."""

    title: str
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target]
    figures: Mapping[str, Any]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        head = ("target", "measured", "", "", "")
        targets = aligned([head, *(target.cells() for target in self.targets)])
        notes = "".join(f"\nnote: {note}" for note in self.notes)
        return f"{self.title}\n\n{aligned(self.rows)}\n\n{targets}{notes}\n"

    def document(self) -> dict[str, Any]:
        """Return what goes into the JSON document."""
        targets = [asdict(target) | {"met": target.met} for target in self.targets]
        return {**self.figures, "targets": targets, "notes": list(self.notes)}


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return `rows` with the first column left and the others right aligned."""
    rows = list(rows)
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        (
            row[0].ljust(first)
            + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], others, strict=True))
        ).rstrip()
        for row in rows
    )


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` to `path`."""
    path.write_text(json.dumps(document, indent=2) + "\n")
