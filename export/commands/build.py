"""Command `build`: its options come in; a bundle on the disk and a summary on the screen go out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from export.build import BuildRequest, FurtherDataset, build
from export.bundle.inspect import audit_lines, parity_line
from export.bundle.writer import read_signing_key
from train.commands.progress_bars import progress_bars, progress_callback
from train.run.report import network_name
from train.run.run_folder import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The options as they were typed."""

    run: Path
    out: Path
    key: Path
    seed: int | None
    name: str | None
    version: int
    released: bool
    expires: datetime | None
    images: Path | None
    notes: Path | None
    also: tuple[str, ...]
    baseline: Path | None
    max_flips: float


def build_bundle(options: BuildOptions) -> None:
    """Raises RunError, KeyFileError, ExportError, BundleError; then nothing was written."""
    key = read_signing_key(options.key)
    request = BuildRequest(
        run=options.run,
        out=options.out,
        key=key,
        seed=options.seed,
        name=options.name,
        version=options.version,
        released=options.released,
        expires=None if options.expires is None else options.expires.replace(tzinfo=UTC),
        images=options.images,
        notes="" if options.notes is None else _read_notes(options.notes),
        further=tuple(_further_dataset(option) for option in options.also),
        baseline=options.baseline,
        max_flipped_share=options.max_flips,
    )
    print(f"building and testing {request.run} …", flush=True)
    with progress_bars() as bars:
        result = build(request, on_progress=progress_callback(bars))
    for line in audit_lines(result.audit):
        print(line)
    if result.parity is None:
        print("parity not measured: the run's images are missing; name their folder with --images")
    else:
        print(parity_line(result.parity))
    if not result.compiled_for_coral:
        print("not compiled for Coral: edgetpu_compiler is not on the PATH")
    print(f"{result.out}: {network_name(result.seed)}, network {result.digest}, signed by {key.public.key_id}")


def _further_dataset(option: str) -> FurtherDataset:
    manifest, colon, images = option.partition(":")
    if not colon or not Path(manifest).is_file() or not Path(images).is_dir():
        raise RunError(f"--also: expected MANIFEST.csv:FOLDER with the manifest's images in FOLDER, got {option}")
    return FurtherDataset(manifest=Path(manifest), images=Path(images))


def _read_notes(notes: Path) -> str:
    try:
        return notes.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{notes}: notes cannot be read ({error}); name a Markdown file with --notes") from None
