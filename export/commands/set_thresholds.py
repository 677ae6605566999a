"""Command `set-thresholds`: a request comes in; a signed bundle, its picture and a table on the screen go out.

Apart from `build`, so that a site does not wait for TensorFlow, which nothing here needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from export.set_thresholds import ThresholdsRequest, set_thresholds
from export.site.expected_flags import table_lines
from export.site.operating_point import Aim, AimError

__all__ = ["Aim", "ThresholdsRequest", "aimed_shares", "set_bundle_thresholds"]

SHARES = ("sensitivity", "specificity")


def set_bundle_thresholds(request: ThresholdsRequest) -> None:
    """Raises BundleError, ReadsError, ContractError, AimError, PlaceError; then nothing was written."""
    result = set_thresholds(request)
    print(f"{result.site.description}; expect somewhat worse figures on new images, because these chose the thresholds")
    for reason, count in result.site.left_out.items():
        if count:
            print(f"left out: {count} {reason}")
    for when, point in (("before", result.before), ("after", result.after)):
        print(f"{when}: flag at {point.flag_at:.4f}, clear below {point.clear_below:.4f}")
    for line in table_lines(result.rows):
        print(line)
    print(f"{result.picture}: the curve that the thresholds were chosen on")
    public_key = f"{request.key.public.where}.pub"
    print(f"{result.out}: version {result.version}; boxes accept it with {public_key} among their model.trusted_keys")


def aimed_shares(aims: Sequence[str] | None) -> dict[str, float]:
    """Read the values of `--aim` as shares by name. Raises AimError."""
    shares: dict[str, float] = {}
    for aim in aims or ():
        name, _, value = aim.partition("=")
        if name not in SHARES or name in shares:
            raise AimError(f"--aim: expected sensitivity=0.97 or specificity=0.9, each at most once, got {aim}")
        try:
            shares[name] = float(value)
        except ValueError:
            raise AimError(f"--aim: expected a share such as {name}=0.9, got {aim}") from None
    return shares
