"""Read the files of a bundle, a folder or one archive, unverified, with plain names and limited sizes."""

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
"""Limit of one file of a bundle; today's networks have at most 5 MB."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
)
"""What zipfile raises for a damaged archive; there is no common type."""


class NotABundle(BundleError):
    """The file is something else or damaged, or a file in it is missing, unexpected or too large."""


class NoBundle(NotABundle, UsageError):
    """There is no file or folder of this name."""


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file, unverified; names and sizes are checked. Raises NotABundle, NoBundle."""
    try:
        yield from _from_folder(path) if path.is_dir() else _from_archive(path)
    except OSError as error:
        error_type = NoBundle if isinstance(error, FileNotFoundError | NotADirectoryError) else NotABundle
        raise error_type(
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
            raise NotABundle(f"{path}: {entry.name} is not a plain file; copy the bundle again")
        with entry.open("rb") as stream:
            yield entry.name, _checked_size(path, entry.name, stream.read(_limit(entry.name) + 1))


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_names(path, [entry.filename for entry in entries])
        for entry in entries:
            if entry.compress_type not in COMPRESSIONS:
                raise NotABundle(f"{path}: {entry.filename} has an unknown compression; fetch the bundle again")
            with archive.open(entry) as stream:
                yield entry.filename, _checked_size(path, entry.filename, stream.read(_limit(entry.filename) + 1))


def _check_names(path: Path, names: Sequence[str]) -> None:
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        raise NotABundle(f"{path}: expected at most {MAX_MEMBERS} different files, got {len(names)}")
    for name in names:
        if name != Path(name).name or "\\" in name or name.startswith("."):
            raise NotABundle(f"{path}: expected plain file names, got {name!r}; do not use this bundle")
    for required in (MANIFEST, SIGNATURE):
        if required not in names:
            raise NotABundle(f"{path}: has no {required}; name a folder or file of `pneumoflag-export build`")


def _limit(name: str) -> int:
    return MAX_MANIFEST_BYTES if name in {MANIFEST, SIGNATURE} else MAX_FILE_BYTES


def _checked_size(path: Path, name: str, content: bytes) -> bytes:
    if len(content) > _limit(name):
        raise NotABundle(f"{path}: {name} has more than {_limit(name)} bytes; do not use this bundle")
    return content
