"""Print why packages that the role has installed cannot be removed, one reason a line.

packages_needed.py NOTE [plain]: NOTE is the file that names them, one a line; "plain": sites stay
in nginx.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

NGINX = "/usr/sbin/nginx"


def main():
    """Ask apt what it would remove, and nginx's directories whose sites it serves."""
    try:
        # Once there was a backslash and an "n" between two names.
        noted = set(Path(sys.argv[1]).read_text().replace("\\n", " ").split())
    except FileNotFoundError:
        return  # by a version that did not note it: nothing is removed
    statuses = output("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n")
    ours = sorted(noted & {line.removesuffix(" installed") for line in statuses.splitlines()})
    if not ours:
        return
    lines = output("apt-get", "--simulate", "--quiet", "purge", *ours).splitlines()
    gone = {line.split()[1] for line in lines if line.startswith(("Purg ", "Remv "))}
    # What nobody has asked for by name came for their sake.
    others = gone - noted and output("apt-mark", "showmanual", *gone - noted).split()
    if others:
        print(f"{words(others)} cannot be without what the role has installed")
    if Path(NGINX).exists() and output("dpkg-query", "--search", NGINX).split(":")[0] in gone:
        sites = others_sites()
        if sys.argv[2:] == ["plain"]:
            print("nginx, which the role has installed, is to serve plain sites")
        elif sites:
            print(f"nginx, which the role has installed, serves {words(sites)}, too")


def others_sites():
    """Return the files of sites that neither memfis nor a package has put there."""
    enabled = Path("/etc/nginx/sites-enabled").glob("*")
    found = [*enabled, *Path("/etc/nginx/conf.d").glob("*.conf")]
    own = ("memfis-", "default")
    return [str(path) for path in found if not path.name.startswith(own) and is_site(path)]


def is_site(path):
    """Return whether nginx has a server by the file `path`."""
    return path.is_file() and re.search(r"\bserver\s*\{", path.read_text(errors="replace"))


def words(names):
    """Return names in order, as one reads them."""
    return ", ".join(sorted(names))


def output(*command):
    """Return what a command prints; end with what it said where it failed."""
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
