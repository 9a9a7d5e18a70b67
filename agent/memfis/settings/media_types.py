"""Media types by file name extension: what lists of older versions of nginx lack.

Only the standard library (docs/settings.md says why).
"""

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping

from memfis.settings.nginx_lines import directives

_BY_TYPE = {
    # pages, and what they are made of
    "text/html": "html htm",
    "text/css": "css",
    "text/javascript": "js mjs",  # RFC 9239
    "application/wasm": "wasm",
    "application/manifest+json": "webmanifest",
    # A source map is JSON (ECMA-426); it has no type of its own.
    "application/json": "json map",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/xhtml+xml": "xhtml xht",
    "application/xslt+xml": "xsl xslt",
    "application/mathml+xml": "mathml mml",
    "application/atom+xml": "atom",
    "application/rdf+xml": "rdf",
    "application/dash+xml": "mpd",
    "application/ttml+xml": "ttml",
    "application/xml-dtd": "dtd",
    "text/xml": "xml",
    # text
    "text/plain": "txt",
    "text/markdown": "md markdown",  # RFC 7763
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics",
    "text/vcard": "vcf",
    "text/vtt": "vtt",
    "text/turtle": "ttl",
    "application/yaml": "yaml yml",  # RFC 9512
    "application/toml": "toml",
    "application/cbor": "cbor",
    # pictures
    "image/png": "png",
    "image/apng": "apng",
    "image/jpeg": "jpg jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/jxl": "jxl",
    "image/jp2": "jp2",
    "image/svg+xml": "svg svgz",
    "image/tiff": "tif tiff",
    "image/bmp": "bmp",
    "image/ktx": "ktx",
    "image/ktx2": "ktx2",
    "image/vnd.microsoft.icon": "ico",
    # fonts: RFC 8081
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/collection": "ttc",
    # sound and films
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg oga opus spx",  # RFC 5334, RFC 7845
    "audio/matroska": "mka",
    "video/matroska": "mkv",
    "video/mp4": "mp4",
    "video/iso.segment": "m4s",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/3gpp": "3gp",
    "video/3gpp2": "3g2",
    "application/vnd.apple.mpegurl": "m3u8",
    # models
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "model/obj": "obj",
    "model/mtl": "mtl",
    "model/stl": "stl",
    "model/3mf": "3mf",
    "model/vnd.usdz+zip": "usdz",
    # documents, archives, maps, certificates
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "application/rtf": "rtf",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.graphics": "odg",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/zip": "zip",
    "application/gzip": "gz",
    "application/zstd": "zst",
    "application/java-archive": "jar",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "application/vnd.mapbox-vector-tile": "mvt",
    "application/pkix-cert": "cer",
    "application/pkix-crl": "crl",
}

TYPES: Mapping[str, str] = {
    extension: media_type
    for media_type, extensions in _BY_TYPE.items()
    for extension in extensions.split()
}
"""Type by extension, in lower case.

The types are IANA's (https://www.iana.org/assignments/media-types/): what is not registered there
is not here.
"""

_A_TYPE = re.compile(r"[^\s/]+/[^\s/;]+[^\r\n]*")
_AN_EXTENSION = re.compile(r"""[^\s;{}"'\\$#]+""")


_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)


def types_in(text: str) -> dict[str, str]:
    """Return type by extension, in lower case, of what is in `text`.

    That is a list as nginx's mime.types is, or all that `nginx -T` says of a host: then it is what
    stands above all servers, wherever an administrator wrote it.
    """
    main, *parts = _FILE.split(text)
    if not parts:
        return dict(_types(main, {}, ("http",)))
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    return dict(_types(files[parts[0]], files, (), os.path.dirname(parts[0])))


def _types(
    text: str, files: Mapping[str, str], above: tuple[str, ...], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield extension and type of all in `text`, which stands in the blocks `above`.

    It may include some of `files`, by their paths below `prefix`.
    """
    for inner, (name, *rest) in directives(text):
        blocks = above + inner
        if name == "include" and rest and blocks in ((), ("http",), ("http", "types")):
            for path in fnmatch.filter(files, os.path.join(prefix, rest[0])):
                others = {each: files[each] for each in files if each != path}
                yield from _types(files[path], others, blocks, prefix)
        elif blocks == ("http", "types") and _A_TYPE.fullmatch(name):
            yield from ((each.lower(), name) for each in rest if _AN_EXTENSION.fullmatch(each))


def all_types(listed: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return type by extension, of which a site's `own` count most, then those of the host.

    `listed`: text with the host's (see `types_in`), which visitors have always had; ours fill what
    it lacks.
    """
    return {
        **TYPES,
        **types_in(listed),
        **{extension.lower(): media_type for extension, media_type in own.items()},
    }
