"""On site: the options of `set-thresholds` come in; a signed bundle, its picture and a table on the screen go out.

Apart from `work`, so that a site does not wait for TensorFlow, which nothing here needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device.bundle.loader import trusted_keys
from export.bundle.writer import read_signing_key
from export.set_thresholds import Reoperated, Request, reoperate
from export.site.expected_flags import table_lines
from export.site.operating_point import Aim, AimError

SHARES = ("sensitivity", "specificity")


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
    site_key: Path | None,
    trusted: list[Path],
) -> None:
    """Raises KeyFileError, BundleError, ReadsError, ContractError, AimError, PlaceError; then nothing was written."""
    aim = Aim(**_shares(aims), flag_at=flag_at, clear_below=clear_below, recalibrate=recalibrate)
    made = reoperate(
        Request(
            bundle=bundle, results=results, reads=reads, key=read_signing_key(key), out=out, aim=aim,
            site_key=site_key, trusted=trusted_keys(trusted),
        )
    )  # fmt: skip
    for line in _lines(made, key):
        print(line)


def _lines(made: Reoperated, key: Path) -> Iterator[str]:
    yield f"{made.site.words}; the same films chose the thresholds, so on new ones expect somewhat less"
    for reason, count in made.site.left_out.items():
        if count:
            yield f"left out: {count} {reason}"
    for words, point in (("before", made.before), ("after", made.after)):
        yield f"{words}: flag at {point.flag_at:.4f}, clear below {point.clear_below:.4f}"
    yield from table_lines(made.rows)
    yield f"{made.picture}: the curve it was chosen on"
    yield f"{made.out}: version {made.version}; boxes take it with {key}.pub among their model.trusted_keys"


def _shares(aims: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for words in aims:
        name, _, value = words.partition("=")
        if name not in SHARES or name in found:
            raise AimError(f"--aim {words}: sensitivity=0.97 or specificity=0.9 expected, each at most once")
        try:
            found[name] = float(value)
        except ValueError:
            raise AimError(f"--aim {words}: a share such as {name}=0.9 expected") from None
    return found
