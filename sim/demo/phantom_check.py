"""Phantom check: a bundle comes in; how it flags phantoms with and without consolidation goes out, as a table.

The box's own command judges them. It says how films unlike the training films are treated, and nothing of patients.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from device.contract import Flag
from sim.modality.phantom_files import write_phantoms
from sim.phantom import Finding
from sim.site.process import python_command, run_tool


class CheckFault(Exception):
    """The box's command judged fewer films than it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Flags and probabilities of the phantoms of one finding."""

    flags: Mapping[str, int]
    probabilities: tuple[float, ...]


def check(bundle: Path, *, trusted: tuple[Path, ...], count: int, seed: int) -> dict[Finding, Judged]:
    """`count` bodies, each without and with either form of consolidation. Raises PartFailed, CheckFault."""
    found = {}
    with TemporaryDirectory() as name:
        for finding in Finding:
            folder = Path(name, finding.value)
            list(write_phantoms(folder, count=count, seed=seed, finding=finding.value, view="pa", form="png"))
            found[finding] = _judged(folder, bundle, trusted, count)
    return found


def _judged(folder: Path, bundle: Path, trusted: tuple[Path, ...], count: int) -> Judged:
    trust = [word for key in trusted for word in ("--trust", str(key))]
    command = [*python_command("device.app"), "classify", str(folder), "--bundle", str(bundle), *trust]
    text = run_tool(command, folder.with_suffix(".log"), "pneumoflag-device classify", timeout_s=600)
    results = [json.loads(line) for line in text.splitlines() if line.strip()]
    if len(results) != count:
        raise CheckFault(f"pneumoflag-device classify: {count} results expected, {len(results)} came")
    probabilities = tuple(sorted(r["probability"] for r in results if r["probability"] is not None))
    return Judged(flags=Counter(r["flag"] for r in results), probabilities=probabilities)


def table(judged: Mapping[Finding, Judged]) -> str:
    """Markdown."""
    names = {
        Finding.NORMAL: "no consolidation",
        Finding.LOBAR: "consolidation of a lobe",
        Finding.PATCHY: "patches in both lungs",
    }
    lines = [
        f"| phantom | films | {' | '.join(Flag)} | probability: lowest, median, highest |",
        "|---|" + "---:|" * (1 + len(Flag)) + "---|",
    ]
    for finding, found in judged.items():
        counts = " | ".join(str(found.flags.get(flag, 0)) for flag in Flag)
        p = found.probabilities
        spread = f"{p[0]:.3f}, {median(p):.3f}, {p[-1]:.3f}" if p else "none"
        lines.append(f"| {names[finding]} | {sum(found.flags.values())} | {counts} | {spread} |")
    return "\n".join(lines)
