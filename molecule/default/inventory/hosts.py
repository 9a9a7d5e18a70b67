#!/usr/bin/env python3
"""The host to test, named after its distribution, so that several can be tested at a time."""

import json
import os

distribution = os.environ.get("MOLECULE_DISTRO") or "debian:12"
name = "memfis-" + distribution.replace(":", "-")
print(json.dumps({"memfis_web": {"hosts": [name]}, "_meta": {"hostvars": {}}}))
