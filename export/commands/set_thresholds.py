"""Command `set-thresholds`: its options come in; a signed bundle, its picture and a table on the screen go out.

Apart from `build`, so that a site does not wait for TensorFlow, which nothing here needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from device.bundle.loader import trusted_keys
from export.bundle.writer import read_signing_key
from export.set_thresholds import ThresholdsRequest, ThresholdsSet, set_thresholds
from export.site.expected_flags import table_lines
from export.site.operating_point import Aim, AimError

SHARES = ("sensitivity", "specificity")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdsOptions:
    """The options as they were typed."""

    bundle: Path
    results: Path
    reads: Path
    key: Path
    out: Path
    aims: tuple[str, ...]
    flag_at: float | None
    clear_below: float | None
    recalibrate: bool
    site_key: Path | None
    trusted: tuple[Path, ...]


def set_bundle_thresholds(options: ThresholdsOptions) -> None:
    """Raises KeyFileError, BundleError, ReadsError, ContractError, AimError, PlaceError; then nothing was written."""
    aim = Aim(
        **_shares(options.aims),
        flag_at=options.flag_at,
        clear_below=options.clear_below,
        recalibrate=options.recalibrate,
    )
    request = ThresholdsRequest(
        bundle=options.bundle,
        results=options.results,
        reads=options.reads,
        key=read_signing_key(options.key),
        out=options.out,
        aim=aim,
        site_key=options.site_key,
        trusted=trusted_keys(options.trusted),
    )
    for line in _lines(set_thresholds(request), options.key):
        print(line)


def _lines(result: ThresholdsSet, key: Path) -> Iterator[str]:
    yield f"{result.site.description}; expect somewhat worse figures on new images, because these chose the thresholds"
    for reason, count in result.site.left_out.items():
        if count:
            yield f"left out: {count} {reason}"
    for when, point in (("before", result.before), ("after", result.after)):
        yield f"{when}: flag at {point.flag_at:.4f}, clear below {point.clear_below:.4f}"
    yield from table_lines(result.rows)
    yield f"{result.picture}: the curve that the thresholds were chosen on"
    yield f"{result.out}: version {result.version}; boxes accept it with {key}.pub among their model.trusted_keys"


def _shares(aims: tuple[str, ...]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for aim in aims:
        name, _, value = aim.partition("=")
        if name not in SHARES or name in shares:
            raise AimError(f"--aim: expected sensitivity=0.97 or specificity=0.9, each at most once, got {aim}")
        try:
            shares[name] = float(value)
        except ValueError:
            raise AimError(f"--aim: expected a share such as {name}=0.9, got {aim}") from None
    return shares
