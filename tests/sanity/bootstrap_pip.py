"""pip for ansible-test's environments: what it would download from a place of its own."""

import ensurepip
import subprocess
import sys

ensurepip.bootstrap()
# Two of its arguments are for that download only.
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=True)
