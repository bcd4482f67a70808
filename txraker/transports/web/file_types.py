"""What a file is, by its name, and how a browser is told to treat it."""

from __future__ import annotations

import re
from urllib.parse import quote

_TEXT = ("gcode", "g", "gco", "nc", "cfg", "txt", "log", "md", "ini", "yaml", "yml", "bkp")

_TYPES = {
    **dict.fromkeys(_TEXT, "text/plain"),
    "avif": "image/avif",
    "avi": "video/x-msvideo",
    "bmp": "image/bmp",
    "css": "text/css",
    "csv": "text/csv",
    "eot": "application/vnd.ms-fontobject",
    "gif": "image/gif",
    "gz": "application/gzip",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/vnd.microsoft.icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "map": "application/json",
    "mjs": "text/javascript",
    "mkv": "video/x-matroska",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "text/xml",
    "zip": "application/zip",
}

_UNUSUAL = re.compile(r"[^ -~]")


def content_type(name: str) -> str:
    """Return the type of a file, the same on every machine; that of raw bytes when it isn't known."""
    _, _, suffix = name.rpartition(".")
    return _TYPES.get(suffix.lower(), "application/octet-stream")


def content_disposition(name: str) -> str:
    """Return the header that has a browser save a file instead of showing it. Contract: RFC 6266."""
    plain = _UNUSUAL.sub("?", name).replace("\\", "\\\\").replace('"', '\\"')
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
