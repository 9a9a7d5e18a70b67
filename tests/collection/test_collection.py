"""The collection: built, installed in each way, and documented, without any host."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from support.printed import commands, files

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "collection.md"
README = ROOT / "README.md"
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
NAME = f"{GALAXY['namespace']}.{GALAXY['name']}"
PLACE = Path(".ansible/collections/ansible_collections", GALAXY["namespace"], GALAXY["name"])
"""Where it is installed, below the user's home."""
FILTERS = sorted(path.stem for path in (ROOT / "plugins" / "filter").glob("*.yml"))
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


def ended(
    directory: Path, *command: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of this Python's environment for a user whose home is `directory`."""
    given = {"HOME": str(directory), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=directory,
        env=os.environ | given | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def run(
    directory: Path, *command: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program as `ended` does; it has to succeed."""
    done = ended(directory, *command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def build() -> str:
    """The documentation's commands that build and install a file."""
    [block] = [block for block in commands(DOCUMENT) if "collection build" in block]
    return block


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, build: str) -> Path:
    """The collection, installed from a file that was built in this checkout, as printed."""
    home = tmp_path_factory.mktemp("home")
    # A clone has nothing but what is committed; what is built must not depend on that.
    made, use = build.strip().splitlines()
    run(home, "sh", "-c", f"cd {ROOT} && {made.replace('/tmp', str(home))}")
    run(home, "sh", "-c", use.replace("/tmp", str(home)))
    return home / PLACE


def test_it_has_what_hosts_need_and_nothing_of_the_tests(installed: Path) -> None:
    home = installed.parents[4]
    [artifact] = home.glob("memfis-memfis-*.tar.gz")
    with tarfile.open(artifact) as archive:
        names = {member.name.split("/")[0] for member in archive}
    needed = {"LICENSE", "README.md", "agent", "meta", "plugins", "pyproject.toml", "roles"}
    assert needed | {"docs", "templates"} <= names
    assert not names & {"bench", "collections", "inventory", "molecule", "tests", "galaxy.yml"}
    assert [name for name in names if name.startswith(".")] == []
    # Links lead to places that came with them.
    links = [path for path in installed.rglob("*") if path.is_symlink()]
    assert [path for path in links if not path.exists()] == []
    assert (installed / "roles/memfis/templates/nginx/site.conf.j2").is_file()


def test_it_is_installed_from_git(tmp_path: Path) -> None:
    clone = tmp_path / "memfis.git"
    run(tmp_path, "git", "clone", "--quiet", "--bare", ROOT, clone)
    for source in (f"git+file://{clone}", "--requirements-file=requirements.yml"):
        home = tmp_path / source.partition(":")[0].strip("-").partition("=")[0]
        home.mkdir()
        (home / "requirements.yml").write_text(files(DOCUMENT)["requirements.yml"])
        # The documentation's address leads to this checkout's HEAD.
        address = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{clone}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://git.example.org/memfis.git",
        }
        run(home, "ansible-galaxy", "collection", "install", source, **address)
        manifest = home / PLACE / "MANIFEST.json"
        told = json.loads(manifest.read_text())["collection_info"]
        assert (f"{told['namespace']}.{told['name']}", told["version"]) == (NAME, GALAXY["version"])


def test_ansible_doc_has_all_of_it(installed: Path) -> None:
    home = installed.parents[4]

    def documented(kind: str, *names: str) -> dict[str, object]:
        found = run(home, "ansible-doc", "--json", "--type", kind, *names).stdout
        told: dict[str, object] = json.loads(found)
        return told

    for kind, names in {
        "role": ["memfis", "memfis_couchbase"],
        "module": MODULES,
        "filter": FILTERS,
        "vars": ["readable"],
    }.items():
        full = [f"{NAME}.{name}" for name in names]
        assert sorted(documented(kind, *full)) == sorted(full)
    listed = run(home, "ansible-doc", "--json", "--list", "--type", "filter", NAME).stdout
    assert sorted(json.loads(listed)) == [f"{NAME}.{name}" for name in FILTERS]


@pytest.fixture
def project(installed: Path, tmp_path: Path) -> Path:
    """The files that the documentation prints."""
    for name, text in files(DOCUMENT).items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def test_a_file_of_variables_that_cannot_be_read_is_named(installed: Path, project: Path) -> None:
    file = project / "group_vars" / "memfis_web" / "sites.yml"
    for text, said in {
        "memfis_sites: [\nmemfis_store_memory: 1\n": f"{file}:3:1: YAML parsing failed: ",
        "$ANSIBLE_VAULT;1.1;AES256\n6162\n": (
            f"{file}: Attempting to decrypt but no vault secrets found; say --ask-vault-pass\n"
        ),
    }.items():
        file.write_text(text)
        play = ("ansible-playbook", "-i", "hosts.yml", "playbook.yml")
        collections = str(installed.parents[2])
        done = ended(project, *play, ANSIBLE_COLLECTIONS_PATH=collections)
        assert done.returncode != 0
        assert f"[ERROR]: {said}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_documentations_playbook_is_one(installed: Path, project: Path) -> None:
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2])}
    readme = re.search(
        r"## In your own playbook.*?```yaml\n(.*?)```", README.read_text(), re.DOTALL
    )
    assert readme
    (project / "readme.yml").write_text(readme[1])
    run(
        project,
        "ansible-playbook",
        "-i",
        "hosts.yml",
        "readme.yml",
        "--syntax-check",
        **environment,
    )
    play = ("ansible-playbook", "-i", "hosts.yml", "playbook.yml")
    listed = run(project, *play, "--list-tasks", "--tags", "run", **environment).stdout
    assert f"{NAME}.memfis : Services" in listed
    # The declaration of settings, which the filters read, is the installed one.
    said = "{{ memfis_sites | memfis.memfis.complete_sites(made) | map(attribute='name') }}"
    made = {"listen": [], "tls_listen": [], "max_page": 1, "header": "", "proxies": []}
    made |= {"from_memory": "lua", "store_address": "", "types": "", "php": {"microcache": ""}}
    asked = run(
        project,
        *("ansible", "localhost", "-i", "hosts.yml", "-m", "ansible.builtin.debug"),
        *("-a", f"msg={said}", "-e", json.dumps({"made": made})),
        **environment,
    ).stdout
    assert "www.example.org" in asked


def test_its_wheel_does_not_depend_on_where_it_lies(installed: Path, tmp_path: Path) -> None:
    """A .gitignore of somebody else's leaves nothing out, as hatchling would have it."""
    (installed.parents[4] / ".gitignore").write_text("*\n")
    build = "from hatchling.build import build_wheel; print(build_wheel(__import__('sys').argv[1]))"
    name = run(installed, sys.executable, "-c", build, tmp_path).stdout.split()[-1]
    with zipfile.ZipFile(tmp_path / name) as wheel:
        packed = {each for each in wheel.namelist() if ".dist-info/" not in each}
    pages = {each for each in packed if ".data/" in each}
    assert {each.rpartition("/")[2] for each in pages} == {"memfis.1", "memfis.toml.5"}
    package = ROOT / "agent" / "memfis"
    modules = {f"memfis/{path.relative_to(package)}" for path in package.rglob("*.py")}
    linked = {
        f"memfis/{path.relative_to(ROOT)}"
        for pattern in ("templates/**/*.j2", "lua/**/*.lua")
        for path in ROOT.glob(pattern)
    }
    assert packed - pages == modules | linked


def test_each_host_has_the_agent_that_it_asks_for(installed: Path, tmp_path: Path) -> None:
    """A wheel is built for those that name none, whichever host comes first."""
    hosts = {"first": {"memfis_agent_requirement": "memfis==1.0"}, "second": {}, "third": {}}
    inventory = {"memfis_web": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    tasks = [
        {"include_role": {"name": f"{NAME}.memfis", "tasks_from": "wheel"}},
        {"debug": {"msg": "{{ inventory_hostname }} has {{ __memfis_requirement }}."}},
    ]
    play = {"hosts": "memfis_web", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    collections = str(installed.parents[2])
    done = run(
        tmp_path,
        *("ansible-playbook", "-i", "hosts.yml", "play.yml"),
        ANSIBLE_COLLECTIONS_PATH=collections,
    )
    [wheel] = (tmp_path / ".cache" / "memfis" / "wheels").glob("*/memfis-*.whl")
    assert "first has memfis==1.0." in done.stdout
    for host in ("second", "third"):
        assert f"{host} has /opt/memfis/wheels/{wheel.parent.name}/{wheel.name}." in done.stdout


def test_the_wheel_is_built_without_pip(installed: Path, tmp_path: Path) -> None:
    """As on a controller that has Ansible of the distribution's package."""
    run(tmp_path, "python3", "-m", "venv", "--without-pip", "bare")
    script = installed / "roles" / "memfis" / "files" / "build_wheel.py"
    done = run(tmp_path, tmp_path / "bare" / "bin" / "python", script, installed, "cache")
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "cache")
    assert Path(done.stdout.strip()).is_file()
