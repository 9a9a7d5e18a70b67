"""Run the sessions of CI two at a time, and show what each has printed when it ends.

One at a time leaves a machine of two cores idle for half of the time: tests wait for servers, for
the network and for what they made happen. What a session prints is also in .cache/ci.
"""

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

SESSIONS: dict[str, list[str]] = {session: [] for session in nox.options.sessions} | {
    f"matrix({distribution})": ["--", "short"] for distribution in noxfile.DISTRIBUTIONS[1:]
}
SESSIONS["gateway"] = ["--", "short"]
# So that no long one is left over for the end.
SHORT_ONES = ("first_run", "lint")

running: dict[str, subprocess.Popen[bytes]] = {}
results: dict[str, str] = {}
printing = threading.Lock()


def say(line: str) -> None:
    """Print a line of our own."""
    print(f"ci: {line}", flush=True)


def log(session: str) -> Path:
    """Return the file that has what `session` prints."""
    return LOGS / f"{session}.log"


def show(session: str) -> None:
    """Print what `session` has printed."""
    say(f"======== {session}")
    sys.stdout.flush()
    sys.stdout.buffer.write(log(session).read_bytes())
    sys.stdout.buffer.flush()


def run(session: str) -> None:
    """Run `session` to its end."""
    began = time.monotonic()
    with log(session).open("wb") as output:
        running[session] = subprocess.Popen(
            ["./check", "-s", session, *SESSIONS[session]],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    say(f"{session} begins")
    code = running[session].wait()
    took = round(time.monotonic() - began)
    with printing:
        results[session] = f"{'FAILED' if code else 'passed'} after {took // 60}:{took % 60:02}"
        show(session)
        say(f"{session} {results[session]}")


def stopped(number: int, _frame: object) -> None:
    """Show how far everything is, and stop it."""
    with printing:
        for session in running.keys() - results.keys():
            running[session].send_signal(signal.SIGINT)
            show(session)
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
    say("========")
    for session, result in results.items():
        say(f"{session:22} {result}")
    return int(any(result.startswith("FAILED") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
