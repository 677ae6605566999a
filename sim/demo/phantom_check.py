"""How a bundle flags phantoms with and without consolidation, as a table.

The box's own command classifies them. The table shows how images unlike the training images are treated. It says
nothing about patients.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from console.errors import ExpectedError
from device.contract import Flag
from sim.modality.phantom_files import write_phantoms
from sim.phantom import Finding
from sim.site.process import python_command, run_tool

_NAMES = {
    Finding.NORMAL: "no consolidation",
    Finding.LOBAR: "consolidation of a lobe",
    Finding.PATCHY: "patches in both lungs",
}


class MissingResults(ExpectedError):
    """The box's command gave fewer results than there are images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomResults:
    """Flags and ascending probabilities of the phantoms with one finding."""

    flags: Mapping[str, int]
    probabilities: tuple[float, ...]


def classify_phantoms(
    bundle: Path, *, trusted: tuple[Path, ...], count: int, seed: int
) -> dict[Finding, PhantomResults]:
    """Classify `count` bodies, each with every finding. Raises ProcessFailed, MissingResults."""
    results = {}
    with TemporaryDirectory() as name:
        for finding in Finding:
            folder = Path(name, finding.value)
            list(write_phantoms(folder, count=count, seed=seed, finding=finding.value, view="pa", form="png"))
            results[finding] = _classify_folder(folder, bundle, trusted, count)
    return results


def _classify_folder(folder: Path, bundle: Path, trusted: tuple[Path, ...], count: int) -> PhantomResults:
    trust = [argument for key in trusted for argument in ("--trusted-key", str(key))]
    command = [*python_command("device.app"), "classify", str(folder), "--bundle", str(bundle), *trust]
    output = run_tool(command, folder.with_suffix(".log"), "pneumoflag-device classify", timeout_s=600)
    results = [json.loads(line) for line in output.splitlines() if line.strip()]
    if len(results) != count:
        raise MissingResults(f"pneumoflag-device classify: expected {count} results, got {len(results)}")
    probabilities = tuple(sorted(r["probability"] for r in results if r["probability"] is not None))
    return PhantomResults(flags=Counter(r["flag"] for r in results), probabilities=probabilities)


def format_table(results: Mapping[Finding, PhantomResults]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        f"| phantom | images | {' | '.join(Flag)} | probability: lowest, median, highest |",
        "|---|" + "---:|" * (1 + len(Flag)) + "---|",
    ]
    for finding, of_finding in results.items():
        counts = " | ".join(str(of_finding.flags.get(flag, 0)) for flag in Flag)
        p = of_finding.probabilities
        spread = f"{p[0]:.3f}, {median(p):.3f}, {p[-1]:.3f}" if p else "none"
        lines.append(f"| {_NAMES[finding]} | {sum(of_finding.flags.values())} | {counts} | {spread} |")
    return "\n".join(lines)
