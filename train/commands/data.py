"""The commands `data` and `split`: check and describe a manifest, or split it into parts."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from console.progress import progress_bars, progress_callback
from train.data.card import examine, write_card
from train.data.manifest import ManifestError, raise_if
from train.data.split import SplitError, parse_shares, split_manifest
from train.data.table import grid
from train.recipe import DataSection, find_recipe, load_recipe

SHOWN_LINES = 20


def show_data(manifest: Path, image_folder: Path, *, out: Path | None, recipe: str) -> None:
    """Print what the manifest contains, and write the card into `out`, if given.

    Raises ManifestError, after both, for every fault that would stop `fit`.
    """
    section = load_recipe(find_recipe(recipe)).data if recipe else DataSection()
    _need_folder(image_folder)
    with progress_bars() as progress:
        card = examine(manifest, image_folder, section, on_progress=progress_callback(progress))
        if out is not None:
            write_card(card, out)
    console = Console()
    young = f"; {card.left_out} rows of younger patients left out" if card.left_out else ""
    console.print(f"{card.manifest}: {len(card.rows)} images{young}", markup=False)
    for table in (*card.tables, card.duplicates):
        console.print(grid(table, shown=SHOWN_LINES))
    if out is not None:
        print(f"card: {out / 'card.html'}; the contact sheets beside it contain patients' images")
    raise_if(manifest, card.faults)


def split_data(manifest: Path, image_folder: Path, *, out: Path, share: str, seed: int) -> None:
    """Write the manifest with its split. Raises ManifestError for faults in it and for shares that cannot be used."""
    _need_folder(image_folder)
    try:
        shares = parse_shares(share)
        with progress_bars() as progress:
            on_progress = progress_callback(progress)
            counts = split_manifest(manifest, image_folder, out, shares=shares, seed=seed, on_progress=on_progress)
    except SplitError as error:
        raise ManifestError(str(error)) from None
    print(f"{out}: " + ", ".join(f"{part} {count}" for part, count in counts.items()))


def _need_folder(image_folder: Path) -> None:
    if not image_folder.is_dir():
        raise ManifestError(
            f"{image_folder}: no such folder; name with --images the folder that the manifest's file column is "
            "relative to"
        )
