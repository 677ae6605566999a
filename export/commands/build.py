"""Work: the options of `build` come in; a bundle on the disk and what was found on the screen go out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from export.build import Extra, Order, build
from export.bundle.inspect import audit_lines, parity_line
from export.bundle.writer import read_signing_key
from train.commands.progress_bars import progress_bars, progress_callback
from train.run.run_folder import RunError


def build_bundle(
    *,
    run: Path,
    out: Path,
    key: Path,
    seed: int | None,
    name: str | None,
    version: int,
    released: bool,
    expires: datetime | None,
    images: Path | None,
    notes: Path | None,
    also: list[str],
    baseline: Path | None,
    most_flips: float,
) -> None:
    """Raises RunError, KeyFileError, ExportError, BundleError; then nothing was written."""
    order = Order(
        run=run, out=out, key=read_signing_key(key), seed=seed, name=name, version=version, released=released,
        expires=None if expires is None else expires.replace(tzinfo=UTC), images=images,
        notes="" if notes is None else _text(notes), also=tuple(_extra(words) for words in also),
        baseline=baseline, most_flips=most_flips,
    )  # fmt: skip
    print(f"quantizing and proving {run} …", flush=True)
    with progress_bars() as shown:
        built = build(order, on_progress=progress_callback(shown))
    for line in audit_lines(built.audit.to_dict()):
        print(line)
    if built.parity is None:
        print("parity not measured: the run's films are not at hand; name their folder with --images")
    else:
        print(parity_line(built.parity.to_dict()))
    if not built.on_coral:
        print("not compiled for Coral: edgetpu_compiler is not on the PATH")
    print(f"{built.out}: seed {built.seed}, network {built.digest}, signed by {order.key.public.key_id}")


def _extra(words: str) -> Extra:
    manifest, parted, images = words.partition(":")
    if not parted or not Path(manifest).is_file() or not Path(images).is_dir():
        raise RunError(f"--also {words}: MANIFEST.csv:FOLDER expected, the second where the films are")
    return Extra(manifest=Path(manifest), images=Path(images))


def _text(notes: Path) -> str:
    try:
        return notes.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{notes}: notes cannot be read ({error}); name a Markdown file with --notes") from None
