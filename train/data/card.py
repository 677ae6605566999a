"""The data set card: a page that describes a manifest and its images, with every fault that would stop training.

DIR/card.md card.html (with its figures inside) figures/*.png|svg contact-*.png. The contact sheets show patients'
images; nothing else of the card does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from train.data.dataset import copies_left_out, duplicate_faults, try_read_images
from train.data.duplicates import Pair, find_pairs
from train.data.manifest import (
    Row,
    age_faults,
    manifest_faults,
    needed_columns,
    read_table,
    table_rows,
    too_young,
)
from train.data.plots import draw_ages, draw_greys, draw_shortcuts
from train.data.statistics import Shortcut, count_tables, grey_table, patient_numbers, shortcut_table, shortcuts
from train.data.table import Table
from train.recipe import DataSection

Progress = Callable[[str, int, int], None]
TEMPLATES = Path(__file__).parent / "templates"
SHEET_COLUMNS, SHEET_IMAGES, SHEET_SIDE = 6, 24, 112
SHOWN_PAIRS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A manifest's `rows` with their `images`, uint8 (n, 224, 224), their statistics, and the faults that stop `fit`.

    `left_out` counts the rows of patients who are younger than the recipe's minimum.
    """

    manifest: str
    rows: tuple[Row, ...]
    images: NDArray[np.uint8]
    tables: tuple[Table, ...]
    shortcuts: tuple[Shortcut, ...]
    duplicates: Table
    faults: tuple[str, ...]
    left_out: int


def examine(
    manifest: Path, image_folder: Path, section: DataSection, *, on_progress: Progress = lambda *_: None
) -> Card:
    """Read and measure everything. Raises ManifestError only for a file that is no table with a column `file`."""
    table = read_table(manifest)
    every = list(table_rows(table, section))
    rows = [row for row in every if not too_young(row, section)]
    parted = [row for row in rows if row.part]
    missing = [column for column in needed_columns(section) if column not in table.columns]
    remedy = "add it (`pneumoflag-train split` makes a split)"
    faults = [f"no column {column}; {remedy}" for column in dict.fromkeys(missing)]
    faults += [*age_faults(table), *manifest_faults(parted, image_folder)]
    present = [row for row in rows if row.file and (image_folder / row.file).is_file()]
    read, unreadable = try_read_images(image_folder, present, on_image=partial(on_progress, "reading images"))
    kept = [(row, image[0]) for row, image in zip(present, read, strict=True) if image is not None]
    shown, images = [row for row, _ in kept], np.array([image for _, image in kept], np.uint8).reshape(-1, 224, 224)
    pairs = find_pairs(images, on_step=partial(on_progress, "comparing images"))
    across = [pair for pair in pairs if shown[pair.first].part and shown[pair.second].part]
    divided = duplicate_faults(shown, across) if section.near_duplicates == "error" else []
    measured = shortcuts(shown, images) if shown else ()
    tables = (*count_tables(shown), grey_table(shown, images), shortcut_table(measured)) if shown else ()
    return Card(
        manifest=manifest.name,
        rows=tuple(shown),
        images=images,
        tables=tables,
        shortcuts=measured,
        duplicates=duplicate_table(shown, pairs),
        faults=(*faults, *unreadable, *divided),
        left_out=len(every) - len(rows),
    )


def duplicate_table(rows: Sequence[Row], pairs: Sequence[Pair]) -> Table:
    """Return the near-duplicates that the manifest does not link: in two parts first, then of two patients."""
    patients = patient_numbers(rows)
    unlinked = [pair for pair in pairs if patients[pair.first] != patients[pair.second]]
    across = {pair for pair in unlinked if rows[pair.first].part != rows[pair.second].part}
    lines = tuple(
        (
            rows[pair.first].name,
            rows[pair.second].name,
            f"{pair.similarity:.2f}{', mirrored' if pair.mirrored else ''}",
            f"{rows[pair.first].part or '(none)'}, {rows[pair.second].part or '(none)'}",
        )
        for pair in sorted(unlinked, key=lambda pair: pair not in across)
    )
    title = f"near-duplicates: {len(pairs)} pairs, {len(unlinked)} of them of two patients, {len(across)} in two parts"
    parted = [pair for pair in pairs if rows[pair.first].part and rows[pair.second].part]
    if copies := copies_left_out(rows, parted):
        title += f"; training would leave out {len(copies)} images, so that no part is measured on another's images"
    return Table(title=title, columns=("image", "image", "similarity", "parts"), lines=lines)


def write_card(card: Card, out: Path) -> None:
    """Write all files of the card into the folder `out`, which is created."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = (
        draw_ages(out / "figures" / "ages", card.rows),
        draw_greys(out / "figures" / "greys", card.rows, card.images),
        draw_shortcuts(out / "figures" / "shortcuts", card.shortcuts),
    )
    figures = [path for path in drawn if path is not None]
    sheets = write_sheets(card, out)
    content = {"card": card, "shown": SHOWN_PAIRS, "sheets": sheets}
    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    drawings = [_svg_element(path.with_suffix(".svg")) for path in figures]
    html = pages.get_template("dataset_card.html").render(figures=drawings, **content)
    (out / "card.html").write_text(html, encoding="utf-8")
    plain = jinja2.Environment(loader=loader, autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701  Markdown
    names = [f"figures/{path.name}.png" for path in figures]
    (out / "card.md").write_text(
        plain.get_template("dataset_card.md").render(figures=names, **content), encoding="utf-8"
    )


def write_sheets(card: Card, out: Path) -> list[str]:
    """Write a sheet of images, chosen by a fixed seed, for each source and label; return the names of the files."""
    groups = [(row.source or "images", row.label or "unlabelled") for row in card.rows]
    names = []
    for group in sorted(set(groups)):
        members = np.flatnonzero([other == group for other in groups])
        chosen = np.sort(np.random.default_rng(0).permutation(members)[:SHEET_IMAGES])
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"contact-{group[0]}-{group[1]}") + ".png"
        if not cv2.imwrite(str(out / name), contact_sheet(card.images[chosen])):
            raise OSError(f"{out / name}: cannot be written")
        names.append(name)
    return names


def contact_sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images uint8 (n, side, side) in rows of six, each 112 pixels wide; black fills the last row."""
    small = [cv2.resize(image, (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_AREA) for image in images]
    blank = np.zeros((SHEET_SIDE, SHEET_SIDE), np.uint8)
    filled = [*small, *[blank] * (-len(small) % SHEET_COLUMNS)]
    rows = [np.hstack(filled[start : start + SHEET_COLUMNS]) for start in range(0, len(filled), SHEET_COLUMNS)]
    return np.vstack(rows).astype(np.uint8)


def _svg_element(svg: Path) -> Markup:
    """Return the element alone, without the XML declaration that HTML cannot contain."""
    text = svg.read_text(encoding="utf-8")
    return Markup(text[text.index("<svg") :])  # noqa: S704  drawn here, its text escaped by matplotlib
