"""Fetching a file once: into a cache folder, with its checksum, complete or not at all."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from chainrule.errors import FileError
from chainrule.folders import cache_folder

__all__ = ["download"]

StrPath = str | os.PathLike[str]
CHUNK = 2**18


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks(response: IO[bytes], name: str, total: int | None) -> Iterator[bytes]:
    """The bytes of a response in pieces; on a terminal a line on stderr tells how far it is."""
    shown = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
    done, next_time = 0, 0.0
    try:
        while piece := response.read(CHUNK):
            yield piece
            done += len(piece)
            if shown is not None and time.monotonic() >= next_time:
                of = "" if total is None else f" of {total / 1e6:.1f}"
                print(f"\r{name}: {done / 1e6:.1f}{of} MB", end="", file=shown, flush=True)
                next_time = time.monotonic() + 0.2
    finally:
        if shown is not None:
            print(f"\r{name}: {done / 1e6:.1f} MB" + " " * 16, file=shown, flush=True)


def download(url: str, sha256: str | None = None, folder: StrPath | None = None, name: str | None = None, *,
             timeout: float = 30.0) -> Path:
    """The path of a file from the network, which is fetched where it is not there yet.

    `url`: http or https. `sha256`: what the file must have, in hexadecimal: one that was kept and has another is fetched
    again. `folder`: where it is kept; None is `data` in chainrule's cache folder. `name`: under which; None is the last
    part of the address. `timeout`: seconds without an answer after which it is given up. On a terminal it tells how far
    it is. The file appears under its name only when it is complete and has been checked.

    Raises ConnectionError where it cannot be fetched, which says what to fetch by hand and where to put it; FileError
    where what came has another checksum; ValueError for an address or a name that is none.
    """
    from urllib.error import HTTPError
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    name = unquote(parts.path).rpartition("/")[2] if name is None else name
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"download({url!r}): the address begins with https:// or http://")
    if not name or Path(name).name != name or name in (".", ".."):
        raise ValueError(f"download({url!r}): {name!r} is no file's name; pass name=")
    target = (cache_folder() / "data" if folder is None else Path(folder)) / name
    if target.is_file() and (sha256 is None or checksum(target) == sha256.lower()):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{name}.{os.urandom(4).hex()}.tmp")
    try:
        received = fetch(url, temporary, name, timeout)
        if sha256 is not None and received != sha256.lower():
            raise FileError(f"download: what {url} sent has the SHA-256 {received}, expected was {sha256.lower()}: the "
                            "file there was changed, or something on the way answered in its place; nothing was kept")
        os.replace(temporary, target)
    except OSError as error:
        reason = f"the server answers {error.code} {error.reason}" if isinstance(error, HTTPError) else str(
            getattr(error, "reason", None) or error or type(error).__name__)
        raise ConnectionError(f"download: {name} could not be fetched ({reason}). Without a network, fetch {url} on "
                              f"another machine and put the file at {target}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def fetch(url: str, target: Path, name: str, timeout: float) -> str:
    """Write what the address sends to a file; its SHA-256. OSError where it fails or ends early."""
    import hashlib
    from urllib.request import Request, urlopen

    digest, done = hashlib.sha256(), 0
    with urlopen(Request(url, headers={"User-Agent": "chainrule"}), timeout=timeout) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length is not None and length.isdigit() else None
        with open(target, "xb") as file:
            for piece in chunks(response, name, total):
                file.write(piece)
                digest.update(piece)
                done += len(piece)
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done} bytes of {total}")
    return digest.hexdigest()
