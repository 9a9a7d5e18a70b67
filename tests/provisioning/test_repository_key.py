"""Whose key apt is given: known by its fingerprint before it is."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    """Two armored keys and the fingerprints that gpg tells: RSA, and Ed25519 with a subkey."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    made = []
    for number, kind in enumerate(("rsa2048", "future-default")):
        name = f"key{number}@example.org"
        subprocess.run([*gpg, "--quick-generate-key", name, kind], check=True, capture_output=True)
        path = home / f"{number}.asc"
        path.write_bytes(subprocess.check_output([*gpg, "--armor", "--export", name]))
        told = subprocess.check_output([*gpg, "--with-colons", "--fingerprint", name], text=True)
        [fingerprint, *_] = [
            line.split(":")[9] for line in told.splitlines() if line.startswith("fpr:")
        ]
        made.append((path, fingerprint))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return made


def test_fingerprints_are_gpgs(
    keys: list[tuple[Path, str]], fingerprints: Callable[[str], list[str]]
) -> None:
    for path, fingerprint in keys:
        assert fingerprints(path.read_text()) == [fingerprint]
    both = "".join(path.read_text() for path, _ in keys)
    assert fingerprints(both) == [fingerprint for _, fingerprint in keys]


@pytest.mark.parametrize(
    "text",
    [
        "no key",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!\n-----END PGP PUBLIC KEY BLOCK-----",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----",
    ],
)
def test_what_is_no_key_is_nobodys(text: str, fingerprints: Callable[[str], list[str]]) -> None:
    assert fingerprints(text) == ["unreadable"]


def test_nothing_hides_beside_a_key(
    keys: list[tuple[Path, str]], fingerprints: Callable[[str], list[str]]
) -> None:
    (key, right), (other, _) = keys
    for more in ("x", other.read_text().replace("\n\n", "\n", 1), "-----BEGIN PGP"):
        assert fingerprints(key.read_text() + more) == [right, "unreadable"], more


def packaged(key: Path, directory: Path) -> Path:
    """Return a package that has the key as the vendor's has it."""
    tree = directory / "tree"
    place = tree / "usr" / "share" / "keyrings"
    place.mkdir(parents=True)
    (place / "couchbase-repokey.asc").write_text(key.read_text())
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        "Package: release\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    )
    package = directory / "release.deb"
    subprocess.run(["dpkg-deb", "--build", tree, package], check=True, capture_output=True)
    return package


@pytest.mark.skipif(not PLAYBOOK.exists(), reason="needs Ansible: ./check -s couchbase")
@pytest.mark.parametrize("in_package", [False, True])
def test_a_key_of_another_is_refused(
    in_package: bool, keys: list[tuple[Path, str]], tmp_path: Path
) -> None:
    (key, right), (_, wrong) = keys
    source = packaged(key, tmp_path) if in_package else key
    trusted = tmp_path / "trusted.asc"

    def play(fingerprint: str) -> subprocess.CompletedProcess[str]:
        tasks = ROOT / "roles" / "memfis_couchbase" / "tasks" / "key.yml"
        variables = {
            "memfis_couchbase_repository_key": str(source),
            "memfis_couchbase_repository_key_fingerprint": fingerprint,
            "memfis_couchbase_repository_key_checksum": "",
            "__memfis_couchbase_key_source": str(tmp_path / "source"),
            "__memfis_couchbase_key": str(trusted),
        }
        host = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        included = {"ansible.builtin.include_tasks": str(tasks)}
        written = [{**host, "vars": variables, "tasks": [included]}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(written))
        return subprocess.run(
            [PLAYBOOK, "--inventory", "localhost,", "play.yml"],
            cwd=tmp_path,
            env=os.environ
            | {
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_HOME": str(tmp_path / "ansible"),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    refused = play(wrong)
    assert refused.returncode == 2, refused.stdout
    said = " ".join((refused.stdout + refused.stderr).split())
    assert f"has the key {right}, not {wrong}" in said
    assert not trusted.exists()
    for fingerprint in (right, ""):
        done = play(fingerprint)
        assert done.returncode == 0, done.stdout + done.stderr
    assert trusted.read_text().strip() == key.read_text().strip()
