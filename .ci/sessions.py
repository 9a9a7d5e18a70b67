"""Run the sessions of CI two at a time, and show what each has printed when it ends.

One at a time leaves a machine of two cores idle for half of the time: tests wait for servers, for
the network and for what they made happen. A test that failed beside another session is run once
more when all are over, and both are told. What a session prints is also in .cache/ci; what failed
ends the output, for whoever sees no more than that of it. CI that takes too long has failed, too.

    .ci/sessions.py [WHEN]      WHEN: when CI began, set-up included (seconds since the epoch)
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
import durations  # noqa: E402
import nox  # noqa: E402
import noxfile  # noqa: E402, F401  # it says which sessions there are

# What has no time here is for who changes what it tests: `./check -s matrix`, `./check -s pythons`.
IN_SHORT = ("lua", "gateway", "couchbase", "php", "upgrade")
# Fewer random requests and histories than `./check` makes, some of the interruptions, and no plays
# that remove a gateway and a host with PHP, or that go back to the settings before.
SHORTER = {
    "MEMFIS_REQUESTS": "2000",
    "MEMFIS_PARITY": "200",
    "MEMFIS_HISTORIES": "40",
    "MEMFIS_INTERRUPTED_EVERY": "8",
    "PYTEST_ADDOPTS": "-k 'not test_zzz_gateway and not test_zzz_php and not test_zz_settings'",
}
SESSIONS: dict[str, list[str]] = {session: [] for session in nox.options.sessions} | {
    session: ["--", "short"] for session in IN_SHORT
}
# They begin first, so that none is left over for the end.
LONG_ONES = ("hosts", "tests", "upgrade", "php", "couchbase", "first_run")
# What runs only those tests of a session again that failed.
FAILED = ("--", "--last-failed", "--last-failed-no-failures=none", "-n", "0")
AGAIN = {session: [*FAILED] for session in ("tests", "lua", "histories")}
# This one is several runs, and takes three minutes: all of it is run again.
AGAIN["gateway"] = SESSIONS["gateway"]
SEED = re.compile(r"\b(MEMFIS_\w+)=(\S+)")
# Lines of a failed session that are shown once more at the end.
LAST_LINES = 60

began = float(sys.argv[1]) if sys.argv[1:] else time.time()
running: dict[str, subprocess.Popen[bytes]] = {}
results: dict[str, str] = {}
took: dict[str, float] = {}
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
    passed, seconds = call(session, SESSIONS[session], log(session))
    with printing:
        took[session] = seconds
        results[session] = f"{'passed' if passed else 'FAILED'} after {durations.clock(seconds)}"
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
    passed, seconds = call(session, AGAIN[session], again, dict(SEED.findall(" ".join(seeds))))
    took[again.stem] = seconds
    show(again)
    if passed:
        first, second = durations.clock(took[session]), durations.clock(seconds)
        told = [f"failed after {first}, passed alone after {second}"]
        results[session] = "\n    ".join(told + failures)


def call(
    session: str, arguments: list[str], output: Path, environment: dict[str, str] | None = None
) -> tuple[bool, float]:
    """Run `session`; return whether it passed, and the seconds that it took."""
    start = time.monotonic()
    with output.open("wb") as file:
        running[session] = subprocess.Popen(
            ["./check", "-s", session, *arguments],
            cwd=ROOT,
            env=SHORTER | os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    say(f"{session} begins")
    code = running[session].wait()
    return code == 0, time.monotonic() - start


def stopped(number: int, _frame: object) -> None:
    """Show how far everything is and what has taken how long, and stop it."""
    with printing:
        for session, process in running.items():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                show(log(session))
                say(f"{session} STOPPED")
        tell_durations(time.time() - began)
        sys.stdout.flush()
        # The threads would wait for the sessions.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def tell_durations(total: float) -> None:
    """Print how long each session that has ended took, in `total` seconds of CI."""
    say("======== minutes and seconds")
    for line in durations.table(took, total):
        say(line)
    say("========")


def main() -> int:
    """Return 0 when every session has passed, and not too long after CI began."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopped)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(run, sorted(SESSIONS, key=lambda session: session not in LONG_ONES)))
    assert results.keys() == SESSIONS.keys()
    for session in AGAIN:
        if results[session].startswith("FAILED"):
            run_again(session)
    failed = [session for session in results if results[session].startswith("FAILED")]
    for session in failed:
        say(f"======== {session}: its last lines")
        print(*log(session).read_text(errors="replace").splitlines()[-LAST_LINES:], sep="\n")
    total = time.time() - began
    tell_durations(total)
    for session, result in results.items():
        say(f"{session:22} {result}")
    late = durations.too_long(total)
    if late:
        say(f"FAILED: {late}")
    return int(bool(failed or late))


if __name__ == "__main__":
    sys.exit(main())
