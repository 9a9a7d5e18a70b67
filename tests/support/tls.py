"""Certificates that sign themselves."""

import os
import ssl
import subprocess
from pathlib import Path

from support.http import Connection


class Certificate:
    """One for `name`, in `directory`."""

    def __init__(self, directory: Path, name: str = "site.example") -> None:
        self.certificate = directory / f"{name}.pem"
        self.key = directory / f"{name}.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
                *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
                *("-keyout", self.key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def settings(self) -> dict[str, str]:
        """What `tls` of a site says of it."""
        return {
            "certificate": os.fspath(self.certificate),
            "certificate_key": os.fspath(self.key),
        }

    def connect(self, address: Path | tuple[str, int], name: str, *protocols: str) -> Connection:
        """Connect to `address` by TLS."""
        context = ssl.create_default_context(cafile=self.certificate)
        if protocols:
            context.set_alpn_protocols(protocols)
        return Connection(address, tls=(context, name))
