"""Run the sessions of CI two at a time, and show what each has printed when it ends.

One at a time leaves a machine of two cores idle for half of the time: tests wait for servers, for
the network and for what they made happen. A test that failed beside another session is run once
more when all are over, and both are told. What a session prints is also in .cache/ci; what failed
ends the output, for whoever sees no more than that of it.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".cache" / "ci"
AT_A_TIME = 2

sys.path.insert(0, str(ROOT))
import nox  # noqa: E402
import noxfile  # noqa: E402

IN_SHORT = (
    *("gateway", "couchbase", "php", "upgrade"),
    *(f"matrix({distribution})" for distribution in noxfile.DISTRIBUTIONS[1:]),
)
SESSIONS: dict[str, list[str]] = {session: [] for session in nox.options.sessions} | {
    session: ["--", "short"] for session in IN_SHORT
}
# So that no long one is left over for the end.
SHORT_ONES = ("first_run", "lint")
# What runs only those tests of a session again that failed.
AGAIN = {session: ["--", "--last-failed", "-n", "0"] for session in ("tests", "histories")}
SEED = re.compile(r"\b(MEMFIS_\w+)=(\S+)")
# Lines of a failed session that are shown once more at the end.
LAST_LINES = 60

running: dict[str, subprocess.Popen[bytes]] = {}
results: dict[str, str] = {}
printing = threading.Lock()


def say(line: str) -> None:
    """Print a line of our own."""
    print(f"ci: {line}", flush=True)


def log(session: str) -> Path:
    """Return the file that has what `session` prints."""
    return LOGS / f"{session}.log"


def show(output: Path) -> None:
    """Print what a session has printed into `output`."""
    say(f"======== {output.stem}")
    sys.stdout.flush()
    sys.stdout.buffer.write(output.read_bytes())
    sys.stdout.buffer.flush()


def run(session: str) -> None:
    """Run `session` to its end."""
    passed, took = call(session, SESSIONS[session], log(session))
    with printing:
        results[session] = f"{'passed' if passed else 'FAILED'} after {took}"
        show(log(session))
        say(f"{session} {results[session]}")


def run_again(session: str) -> None:
    """Run what failed of `session` once more: with the same seeds, and nothing beside it."""
    lines = log(session).read_text(errors="replace").splitlines()
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if not failures:
        return  # it was something else
    seeds = [line for line in lines if ": to repeat, " in line]
    again = LOGS / f"{session}, again.log"
    passed, took = call(session, AGAIN[session], again, dict(SEED.findall(" ".join(seeds))))
    show(again)
    if passed:
        told = [f"failed after {results[session].split()[-1]}, passed alone after {took}"]
        results[session] = "\n    ".join(told + failures)


def call(
    session: str, arguments: list[str], output: Path, environment: dict[str, str] | None = None
) -> tuple[bool, str]:
    """Run `session`; return whether it passed, and the minutes and seconds that it took."""
    began = time.monotonic()
    with output.open("wb") as file:
        running[session] = subprocess.Popen(
            ["./check", "-s", session, *arguments],
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    say(f"{session} begins")
    code = running[session].wait()
    took = round(time.monotonic() - began)
    return code == 0, f"{took // 60}:{took % 60:02}"


def stopped(number: int, _frame: object) -> None:
    """Show how far everything is, and stop it."""
    with printing:
        for session, process in running.items():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                show(log(session))
                say(f"{session} STOPPED")
        sys.stdout.flush()
        # The threads would wait for the sessions.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def main() -> int:
    """Return 0 when every session has passed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopped)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(run, sorted(SESSIONS, key=lambda session: session in SHORT_ONES)))
    assert results.keys() == SESSIONS.keys()
    for session in AGAIN:
        if results[session].startswith("FAILED"):
            run_again(session)
    failed = [session for session in results if results[session].startswith("FAILED")]
    for session in failed:
        say(f"======== {session}: its last lines")
        print(*log(session).read_text(errors="replace").splitlines()[-LAST_LINES:], sep="\n")
    say("========")
    for session, result in results.items():
        say(f"{session:22} {result}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
