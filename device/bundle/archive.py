"""Bundle parts: a folder or one file comes in; its parts go out, unverified, of plain names and capped sizes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.errors import UsageError
from device.bundle.keys import BundleError

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
MAX_MEMBERS = 32
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 64 << 20
"""A file of a bundle may not be larger; the networks in view have at most 5 MB."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, ValueError,
    OverflowError,
)  # fmt: skip
"""What zipfile raises for a damaged archive has no common type."""


class NotABundle(BundleError):
    """Something else, a damaged archive, or a part is missing, foreign or too large."""


class NoBundle(NotABundle, UsageError):
    """Nothing is there under this name."""


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each part, unverified; names are plain, sizes are capped. Raises NotABundle, NoBundle."""
    try:
        yield from _from_folder(path) if path.is_dir() else _from_archive(path)
    except OSError as error:
        kind = NoBundle if isinstance(error, FileNotFoundError | NotADirectoryError) else NotABundle
        raise kind(
            f"{path}: bundle cannot be read ({error.strerror or error}); name a .bundle file, "
            "or put one in place with `pneumoflag-device install FILE --config CONFIG`"
        ) from None
    except DAMAGE as error:
        raise NotABundle(f"{path}: not a bundle ({error}); name what `pneumoflag-export build` wrote") from None


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    entries = sorted(path.iterdir())
    _check_names(path, [entry.name for entry in entries])
    for entry in entries:
        if entry.is_symlink() or not entry.is_file():
            raise NotABundle(f"{path}: {entry.name} is not a plain file; copy the bundle afresh")
        with entry.open("rb") as stream:
            yield entry.name, _capped(path, entry.name, stream.read(_limit(entry.name) + 1))


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_names(path, [entry.filename for entry in entries])
        for entry in entries:
            if entry.compress_type not in COMPRESSIONS:
                raise NotABundle(f"{path}: {entry.filename} is packed in an unknown way; fetch the bundle again")
            with archive.open(entry) as stream:
                yield entry.filename, _capped(path, entry.filename, stream.read(_limit(entry.filename) + 1))


def _check_names(path: Path, names: Sequence[str]) -> None:
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        raise NotABundle(f"{path}: {len(names)} parts, at most {MAX_MEMBERS} different ones expected")
    for name in names:
        if name != Path(name).name or "\\" in name or name.startswith("."):
            raise NotABundle(f"{path}: a part is named {name!r}, a plain name expected; do not use this bundle")
    for needed in (MANIFEST, SIGNATURE):
        if needed not in names:
            raise NotABundle(f"{path}: has no {needed}; name a folder or file of `pneumoflag-export build`")


def _limit(name: str) -> int:
    return MAX_MANIFEST_BYTES if name in {MANIFEST, SIGNATURE} else MAX_FILE_BYTES


def _capped(path: Path, name: str, content: bytes) -> bytes:
    if len(content) > _limit(name):
        raise NotABundle(f"{path}: {name} has more than {_limit(name)} bytes; do not use this bundle")
    return content
