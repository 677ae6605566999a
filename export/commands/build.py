"""Command `build`: a request comes in; a bundle on the disk and a summary on the screen go out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from console.progress import progress_bars, progress_callback
from export.build import BuildRequest, FurtherDataset, build
from export.bundle.inspect import audit_lines, parity_line
from train.run.report import network_name
from train.run.run_folder import RunError


def build_bundle(request: BuildRequest) -> None:
    """Raises RunError, ExportError, BundleError; then nothing was written."""
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
    digest, key_id = result.digest, request.key.public.key_id
    print(f"{result.out}: {network_name(result.seed)}, network {digest}, signed by {key_id}")


def further_datasets(options: Sequence[str] | None) -> tuple[FurtherDataset, ...]:
    """Read the values of `--also`. Raises RunError."""
    datasets = []
    for option in options or ():
        manifest, colon, images = option.partition(":")
        if not colon or not Path(manifest).is_file() or not Path(images).is_dir():
            raise RunError(f"--also: expected MANIFEST.csv:FOLDER with the manifest's images in FOLDER, got {option}")
        datasets.append(FurtherDataset(manifest=Path(manifest), images=Path(images)))
    return tuple(datasets)


def read_notes(notes: Path | None) -> str:
    """Read the file of `--notes`; "" without one. Raises RunError."""
    try:
        return "" if notes is None else notes.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{notes}: notes cannot be read ({error}); name a Markdown file with --notes") from None
