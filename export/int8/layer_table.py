"""Spoilt: a run that int8 changes too much, and films, come in; the layers to blame go out, as words and a table."""

from __future__ import annotations

from pathlib import Path

from export.int8.layer_error import layer_report
from export.int8.quantized import Films, normalized_images, unquantized
from train.run.run_folder import SeedRun

NAMED = 5


def spoilt_layers(run: SeedRun, films: Films, held_out: Films, out: Path) -> str:
    """Words with the worst layers, for a message; all of them in `table_beside(out)`.

    `films` uint8 (n, 224, 224), as preprocessed, set the ranges; `held_out` are looked at.
    """
    tone, mean = run.predictor.tone, run.predictor.mean
    report = layer_report(
        unquantized(run, films), normalized_images(films, tone), mean=mean, held_out=normalized_images(held_out, tone)
    )
    worst = "; ".join(layer.words for layer in report.worst(NAMED))
    table = table_beside(out)
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        report.write(table)
    except OSError as error:
        # What failed is parity: that must be said, with or without a table.
        return f"worst layers: {worst} ({table} cannot be written: {error.strerror})"
    return f"worst layers: {worst}; all in {table}"


def table_beside(out: Path) -> Path:
    """NAME.layers.csv for a bundle NAME.bundle or NAME."""
    return out.with_name(f"{out.name.removesuffix('.bundle')}.layers.csv")
