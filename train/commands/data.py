"""The commands `data` and `split`: a manifest is checked, described or divided into parts."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from console.progress import progress_bars, progress_callback
from train.data.card import Card, examine, write_card
from train.data.manifest import ManifestError, raise_if
from train.data.split import SplitError, parse_shares, split_manifest
from train.data.table import Table
from train.recipe import DataSection, find_recipe, load_recipe

SHOWN_LINES = 20


def show_data(manifest: Path, image_folder: Path, *, out: Path | None, recipe: str) -> None:
    """Print what the manifest holds; write the card where `out` is named. Raises ManifestError for what stops fit."""
    section = load_recipe(find_recipe(recipe)).data if recipe else DataSection()
    _need_folder(image_folder)
    with progress_bars() as progress:
        card = examine(manifest, image_folder, section, on_progress=progress_callback(progress))
        if out is not None:
            write_card(card, out)
    _print(card)
    if out is not None:
        print(f"card: {out / 'card.html'}; the contact sheets beside it hold patients' images")
    raise_if(manifest, card.faults)


def split_data(manifest: Path, image_folder: Path, *, out: Path, share: str, seed: int) -> None:
    """Write the manifest with its split. Raises ManifestError for it and for shares that cannot be used."""
    _need_folder(image_folder)
    try:
        shares = parse_shares(share)
        with progress_bars() as progress:
            found = split_manifest(
                manifest, image_folder, out, shares=shares, seed=seed, on_progress=progress_callback(progress)
            )
    except SplitError as error:
        raise ManifestError(str(error)) from None
    print(f"{out}: " + ", ".join(f"{part} {count}" for part, count in found.items()))


def _need_folder(image_folder: Path) -> None:
    if not image_folder.is_dir():
        raise ManifestError(
            f"{image_folder}: no folder; name with --images what the manifest's file column counts from"
        )


def _print(card: Card) -> None:
    console = Console()
    console.print(f"{card.manifest}: {len(card.rows)} images" + f", {card.left_out} too young" * bool(card.left_out))
    for table in (*card.tables, card.duplicates):
        console.print(_grid(table))


def _grid(table: Table) -> Grid:
    grid = Grid(*table.columns, title=table.title, title_justify="left")
    for line in table.lines[:SHOWN_LINES]:
        grid.add_row(*line)
    return grid
