"""Work: the options of `build` come in; a bundle on the disk and what was found on the screen go out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from device.bundle import trusted_keys
from export.build import Extra, Order, build
from export.bundle import read_signing_key
from export.inspect import audit_lines, parity_line
from export.reoperate import Aim, AimError, Request, reoperate, table_lines
from train.run import RunError


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
) -> None:
    """Raises RunError, KeyFileError, ExportError, BundleError; then nothing was written."""
    order = Order(
        run=run, out=out, key=read_signing_key(key), seed=seed, name=name, version=version, released=released,
        expires=None if expires is None else expires.replace(tzinfo=UTC), images=images,
        notes="" if notes is None else _text(notes), also=tuple(_extra(words) for words in also),
    )  # fmt: skip
    print(f"quantizing and proving {run} …", flush=True)
    built = build(order)
    for line in audit_lines(built.audit.to_dict()):
        print(line)
    if built.parity is None:
        print("parity not measured: the run's films are not at hand; name their folder with --images")
    else:
        print(parity_line(built.parity.to_dict()))
    if not built.on_coral:
        print("not compiled for Coral: edgetpu_compiler is not on the PATH")
    print(f"{built.out}: seed {built.seed}, network {built.digest}, signed by {order.key.public.key_id}")


def reoperate_bundle(
    *,
    bundle: Path,
    results: Path,
    reads: Path,
    key: Path,
    out: Path,
    aims: list[str],
    flag_at: float | None,
    clear_below: float | None,
    recalibrate: bool,
    trusted: list[Path],
) -> None:
    """Raises KeyFileError, BundleError, ReadsError, AimError; then nothing was written."""
    aim = _aim(aims, flag_at, clear_below)
    made = reoperate(
        Request(
            bundle=bundle, results=results, reads=reads, key=read_signing_key(key), out=out, aim=aim,
            recalibrate=recalibrate, trusted=trusted_keys(trusted),
        )
    )  # fmt: skip
    print(f"{made.site.words}; the same films chose the thresholds, so on new ones expect somewhat less")
    for reason, count in made.site.left_out.items():
        if count:
            print(f"left out: {count} {reason}")
    for words, point in (("before", made.before), ("after", made.after)):
        print(f"{words}: flag at {point.flag_at:.4f}, clear below {point.clear_below:.4f}")
    for line in table_lines(made.rows):
        print(line)
    print(f"{made.out}: version {made.version}; install it with the public key of {key}")


def _aim(aims: list[str], flag_at: float | None, clear_below: float | None) -> Aim:
    found: dict[str, float] = {}
    for words in aims:
        name, _, value = words.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise AimError(f"--aim {words}: sensitivity=0.97 or specificity=0.9 expected") from None
    if foreign := sorted(set(found) - {"sensitivity", "specificity"}):
        raise AimError(f"--aim {foreign[0]}: sensitivity or specificity expected")
    given = flag_at is not None or clear_below is not None
    if given == bool(found):
        raise AimError("name either --aim, or --flag-at and --clear-below")
    return Aim(**found, flag_at=flag_at, clear_below=clear_below)


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
