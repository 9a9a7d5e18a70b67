"""Whose key a file has: fingerprints of OpenPGP keys, without a program that a host may lack."""

import base64
import binascii
import hashlib
import re

_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_PUBLIC_KEY = 6
_VERSION = 4


def fingerprints(text):
    """Return the fingerprint of each primary key in `text`, which is armored, in capitals.

    Of version 4 (RFC 9580 §5.5.4.2): the SHA-1 sum of 0x99, the length of the packet in two bytes,
    and the packet. Whatever else is there, which another reader may understand, is told too: as
    "unreadable".
    """
    found = [each for block in _ARMOR.findall(text) for each in _of_block(block)]
    return found + ["unreadable"] * bool(_ARMOR.sub("", text).strip())


def _of_block(block):
    # Headers end at an empty line; the last one may be a checksum, which begins with =.
    _, _, body = block.replace("\r", "").partition("\n\n")
    lines = body.split()
    if lines and lines[-1].startswith("="):
        lines.pop()
    try:
        return list(_primary(base64.b64decode("".join(lines), validate=True))) or ["unreadable"]
    except (binascii.Error, IndexError):
        return ["unreadable"]


def _primary(data):
    at = 0
    while at < len(data):
        tag, start, end = _packet(data, at)
        if end > len(data):
            raise IndexError
        if tag == _PUBLIC_KEY:
            body = data[start:end]
            if body[0] != _VERSION:
                raise IndexError
            head = b"\x99" + len(body).to_bytes(2, "big")
            yield hashlib.sha1(head + body).hexdigest().upper()  # noqa: S324 - as the RFC has it
        at = end


def _packet(data, at):
    """Return the tag of the packet at `at`, and where its body begins and ends (RFC 9580 §4.2)."""
    head, length = data[at], data[at + 1]
    if head & 0x40:
        tag = head & 0x3F
        if length < 192:
            return tag, at + 2, at + 2 + length
        if length < 224:
            return tag, at + 3, at + 3 + ((length - 192) << 8) + data[at + 2] + 192
        return tag, at + 6, at + 6 + int.from_bytes(data[at + 2 : at + 6], "big")
    tag, size = (head >> 2) & 0x0F, 1 << (head & 3)
    if size > 4:
        raise IndexError  # of no length that is told: no key
    return tag, at + 1 + size, at + 1 + size + int.from_bytes(data[at + 1 : at + 1 + size], "big")


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {"openpgp_fingerprints": fingerprints}
