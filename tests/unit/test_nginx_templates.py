"""The parts of nginx's site that stand for one another have the same names."""

from typing import Any

import pytest
from jinja2 import nodes
from jinja2.environment import TemplateModule
from jinja2.runtime import Macro

from memfis.settings import site as declared
from support.nginx import templates

PHP: dict[str, Any] = {
    "backends": ["unix:/run/php.sock"],
    "canonical": "https://site.example",
    "front_controller": "/index.php",
    "uploads": [],
    "ignored_arguments": [],
}
SITE: dict[str, Any] = {
    **declared.SITE.defaults("nginx"),
    "name": "site.example",
    "root": "/srv/www",
    "index": ["index.html"],
    "max_page": 1000,
    "store_address": "unix:/run/memcached.sock",
    "php": PHP,
}
"""What is read when a part is imported; each of them can be imported for any site."""


def asked_of(part: str) -> set[str]:
    """Return the names that any template asks of the module that it calls `part`."""
    environment = templates(True)
    loader = environment.loader
    assert loader
    found = set()
    for name in environment.list_templates(filter_func=lambda name: name.startswith("nginx/")):
        tree = environment.parse(loader.get_source(environment, name)[0])
        for node in tree.find_all(nodes.Getattr):
            if isinstance(node.node, nodes.Name) and node.node.name == part:
                found.add(node.attr)
    return found


def modules(part: str) -> dict[str, TemplateModule]:
    """Return the templates that can be `part`, by their names."""
    environment = templates(True)
    names = environment.list_templates(filter_func=lambda name: name.startswith(f"nginx/{part}_"))
    return {name: environment.get_template(name).make_module({"site": SITE}) for name in names}


@pytest.mark.parametrize(("part", "some"), [("reader", "ask"), ("fallback", "locations")])
def test_what_is_asked_of_a_part_is_in_each_that_can_be_it(part: str, some: str) -> None:
    names = asked_of(part)
    assert some in names
    found = modules(part)
    assert found
    for name in names:
        has = {module: getattr(found[module], name, None) for module in found}
        assert None not in has.values(), f"{name}: {has}"
        parameters = {
            value.arguments if isinstance(value, Macro) else None for value in has.values()
        }
        assert len(parameters) == 1, f"{name}: {has}"
