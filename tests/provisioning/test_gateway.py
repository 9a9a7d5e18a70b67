"""What the role memfis makes of its variables for the gateway."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest

from memfis.settings.play import complete_gateway
from memfis.settings.play import problems as role_problems

ROOT = Path(__file__).parents[2]
GIVEN: dict[str, Any] = {
    **{"memfis_store": "couchbase", "memfis_store_embedded": False},
    **{"memfis_store_address": "unix:/run/memfis-gateway/gateway.sock"},
    **{"memfis_couchbase_password": "secret", "memfis_publisher": "web1"},
}
"""Variables of a host with Couchbase as its store."""


def problems(connection: str = "couchbase://store1", **variables: Any) -> list[str]:
    """Return what the play says of such a host."""
    given = GIVEN | variables
    host = {
        "users": [],
        "publishes": True,
        "connection": connection,
        "web": ["web1", "web2"],
        "playbook": "/",
    }
    return role_problems(given, list(given), host)


def rendered(**variables: Any) -> dict[str, Any]:
    """Render gateway.toml as Ansible does, and read it as the gateway does."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["to_json"] = lambda value, ensure_ascii=True: json.dumps(
        value, ensure_ascii=ensure_ascii
    )
    template = environment.from_string((ROOT / "templates/etc/gateway.toml.j2").read_text())
    text = template.render(
        **{
            **{"ansible_managed": "Ansible managed", "__memfis_connection": "couchbase://a,b"},
            **{"memfis_couchbase_bucket": "pages", "memfis_couchbase_user": "memfis"},
            **{"memfis_couchbase_certificate": "", "memfis_gateway": {}},
            "__memfis_gateway_settings": "/etc/memfis-gateway",
            "__memfis_gateway_read_only": False,
            "__memfis_fleet": ["web1", "web2"],
            "__memfis_gateway": complete_gateway(variables.get("memfis_gateway", {})),
            "__memfis_gateway_socket": "/run/memfis-gateway/gateway.sock",
            **variables,
        }
    )
    table: dict[str, Any] = tomllib.loads(text)["gateway"]
    return table


def test_the_settings_name_a_file_with_the_password() -> None:
    assert rendered() == {
        "connection": "couchbase://a,b",
        "bucket": "pages",
        "user": "memfis",
        "password_file": "/etc/memfis-gateway/password",
        "listen": ["unix:/run/memfis-gateway/gateway.sock"],
    }


def test_other_settings_are_passed_on_with_their_types() -> None:
    more = {"hot_ttl": 2.5, "hot_bytes": 1 << 27, "allow_flush": False, "metrics": "127.0.0.1:9181"}
    table = rendered(memfis_gateway=more, memfis_couchbase_certificate="ca.pem")
    assert {key: table[key] for key in more} == more
    assert table["certificate"] == "/etc/memfis-gateway/certificates.pem"


def test_a_host_that_does_not_publish_writes_nothing() -> None:
    assert "read_only" not in rendered()
    reads = rendered(__memfis_gateway_read_only=True)
    assert (reads["read_only"], reads["boxes"]) == (True, True)
    alone = rendered(__memfis_gateway_read_only=True, __memfis_fleet=[])
    assert (alone["read_only"], alone.get("boxes")) == (True, None)
    own = {"boxes": False}
    assert rendered(__memfis_gateway_read_only=True, memfis_gateway=own)["boxes"] is False


def test_what_fits_is_not_refused() -> None:
    assert problems() == []
    assert (
        problems("couchbases://cb.cloud.example.com", memfis_couchbase_certificate="ca.pem") == []
    )


@pytest.mark.parametrize(
    ("connection", "changed", "said"),
    [
        ("couchbase://", {}, "memfis_couchbase_connection: 'couchbase://': expected couchbase://"),
        ("couchbase://a", {"connection": "couchbase://user:secret@host"}, "expected couchbase://"),
        ("couchbase://a", {"password": ""}, "memfis_couchbase_password: a password is needed"),
        ("couchbase://a", {"user": ""}, "memfis_couchbase_user: a user is needed"),
        ("couchbase://a", {"bucket": "a/b"}, "expected a bucket's name"),
        ("couchbase://a", {"certificate": "ca.pem"}, "only couchbases:// is TLS"),
    ],
)
def test_what_does_not_fit_is_told(connection: str, changed: dict[str, Any], said: str) -> None:
    variables = {f"memfis_couchbase_{key}": value for key, value in changed.items()}
    [line] = problems(connection, **variables)
    assert said in line


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"publisher": "web9"}, "'web9': is not a host of memfis_web"),
        ({"gateway": {"listen": []}}, "memfis_gateway.listen: no such setting any more; write"),
    ],
)
def test_what_no_host_has_is_told(changed: dict[str, Any], said: str) -> None:
    [line] = problems(**{f"memfis_{key}": value for key, value in changed.items()})
    assert said in line


def test_an_embedded_store_is_not_couchbase() -> None:
    found = problems(memfis_store_embedded=True)
    assert "memfis_store_embedded: must be false with memfis_store: couchbase" in found


def test_nodes_are_found_in_the_inventory(role_filters: Any) -> None:
    hosts = [
        {"inventory_hostname": "store1.example.org"},
        {"inventory_hostname": "store2", "ansible_host": "10.0.0.2"},
        {"inventory_hostname": "store3", "memfis_couchbase_address": "store3.internal"},
        {"inventory_hostname": "localhost"},
    ]
    assert role_filters.store_addresses(hosts) == [
        *("store1.example.org", "10.0.0.2", "store3.internal", "127.0.0.1")
    ]


@pytest.mark.parametrize(
    ("requirement", "wanted"),
    [
        ("memfis", "memfis[couchbase]"),
        ("memfis==1.0", "memfis[couchbase]==1.0"),
        ("memfis >=1,<2", "memfis[couchbase] >=1,<2"),
        ("/opt/memfis/wheels/x/memfis-1-py3-none-any.whl",) * 2,
        (
            "https://x.example.org/memfis-1-py3-none-any.whl",
            "memfis[couchbase] @ https://x.example.org/memfis-1-py3-none-any.whl",
        ),
        ("memfis @ https://x.example.org/m.whl", "memfis[couchbase] @ https://x.example.org/m.whl"),
    ],
)
def test_the_sdk_comes_with_the_agent(role_filters: Any, requirement: str, wanted: str) -> None:
    if requirement == wanted:
        wanted += "[couchbase]"
    assert role_filters.with_extra(requirement, "couchbase") == wanted
    assert role_filters.with_extra(requirement, "") == requirement
