"""The project's vocabulary: standard terms of the field instead of private ones, in code, texts and documents."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

TEXT_SUFFIXES = {".py", ".html", ".js", ".css", ".svg", ".yaml", ".yml", ".md", ".toml", ".conf", ".service", ".rules"}
TEXT_NAMES = {"Makefile"}
SKIPPED = ("tests/test_words.py", "locks/*", "LICENSE", "firmware_config/bundles/*")
"""This table itself, and texts that are not the project's to word: locks, the licence, signed bundles."""
PENDING: tuple[str, ...] = ()
"""Not renamed yet. An entry goes when its files pass; the list is empty in the end."""

# What stands in no text and in no identifier, as a regular expression of whole words, and what to write instead.
# Identifiers are split at underscores and capitals first, so `film_count` and `FilmCount` both contain "film".
PHRASES = {
    r"films?|darkroom": "exposure (the event), image (the array), file",
    r"judg(e|es|ed|ing|ments?|ements?)": "classify, ExposureResult, ExposureProcessor, prediction, decide",
    r"strangers?": "untrusted input, untrusted peer",
    r"lessons?|taught|teach(es|ing)?": "training set, trained on, label source",
    r"reoperat(e|es|ed|ing|ion)": "set-thresholds",
    r"hush(ed|es)?": "filter standard error",
    r"spoilt": "layer quantization error",
    r"soups?": "weight average",
    r"anew": "again, new, re- (rebuilt, recomputed)",
    r"reckon(ed|s|ing)?": "computed, calculated, counted",
    r"(can ?not|could not|can) be had": "unavailable, cannot be created",
    r"for ever": "permanently, without end",
    r"told of": "quantization-aware, aware of",
    r"worse exposures?": "image corruptions, corrupted copies",
    r"of before": "previous",
    r"to mend|mend(s|ed|ing)?": "to fix",
    r"diseased|healthy": "positive, negative, normal",
    r"called ill|call(s|ed)? wrong|wrong calls?|the ill|ill ones": "false positive, misclassified",
    r"on (the|its) grid": "fake-quantized",
    r"equalis(e|es|ed|ing|ation)": "cross-layer equalization",
    r"(the|this|our) house|rooms?|houses?": "package, module, layer",
    r"expected[,;]? got": "expected X, got Y",
    r"tellers?": "report, progress callback",
}

# What no name bound in Python code contains as one of its parts (`found_rows` contains "found").
NAMES = {
    "found|said|told|tell|words|heard|asked": "the noun of what it holds: pairs, row, message, text, output, report",
    "known": "what is known: in-distribution, ood threshold, an id set",
    "kind|kinds": "the noun: type, case type, label source, category",
    "rule|rules": "linear probe, vendor rule",
    "style|styles": "acquisition style",
    "stress": "image corruption, robustness",
    "tone": "intensity normalization",
    "moment|moments": "date, time, build timestamp",
    "wire": "json codec",
    "quiet": "silenced output, stderr filter",
    "cell|child": "worker",
    "letter|letters": "pending message",
    "bury|spare|flight|flights|landed": "dead letter, restore attempt, in flight, confirmed",
    "proof|proofs": "held-out predictions",
    "story": "card content",
    "blame": "layer quantization error",
    "versus": "baseline comparison",
    "ours|theirs": "model, baseline",
    "anchor|anchored": "operating logit, pinned at the operating point",
}
# The same for whole names, case and all: ordinary words otherwise (`moving_average`, `order` of a sort).
WHOLE_NAMES = {
    "Average": "resample, mean",
    "Reading": "ModelOutput",
    "Order": "BuildRequest",
}


@dataclass(frozen=True)
class Allowed:
    """A legitimate use: the text or name, the files it is allowed in, and why."""

    pattern: str
    files: str
    reason: str


ALLOWED = (
    Allowed(r".*", "docs/study.md", "quotes the study in its own words"),
    Allowed(
        r"\broom-\w+|\bin the room\b|\bX-ray rooms?\b", "*", "the room of the modality, after which boxes are named"
    ),
    Allowed(r"\(was [^)]*\)|`pneumoflag-export reoperate`", "CHANGELOG.md", "former names of commands and settings"),
    Allowed(r"acquisition_style\w*|AcquisitionStyle\w*", "*", "the field's term for how an image was made"),
    Allowed(r"\w*in_flight\w*|\w*InFlight\w*", "*", "sent and not yet confirmed: the usual term"),
    Allowed(r"\w*dead_letters?\w*|\w*DeadLetters?\w*", "*", "where undeliverable messages go: the usual term"),
    Allowed(r"\w*ood_rule\w*|\w*OodRule\w*", "*", "the rule by which out-of-distribution images are rejected"),
    Allowed(r"\w*[Rr]ules?\b", "*device/*", "that rule; access rules of the broker"),
    Allowed(r"\w*[Rr]ules?(_\w+)?|\w*RULES?", "*collector/*", "a vendor's rule and the counting rules, as configured"),
    Allowed(r"style_chances", "train/data/acquisition_style.py", "of acquisition styles; goes with its only caller"),
    Allowed(r"\blast_film_age_s\b", "*", "a field of the health message"),
    Allowed(r"\.film\b", "*", "the suffix of spooled files, which an earlier version may have left"),
    Allowed(r'"films"', "*export/*", "a key of parity reports in earlier bundles"),
    Allowed(r"tell", "device/dicom/part10.py", "a method that files have"),
    Allowed(r"kind", "device/bundle/manifest.py", "a key of released manifests"),
    Allowed(r"\w*[cC]ell(_\w+)?", "*collector/*", "a table's cell"),
    Allowed(r"\w*[cC]ell(_\w+)?", "*export/card/*", "a table's cell"),
)


@dataclass(frozen=True)
class Hit:
    """One place that the table forbids."""

    file: str
    line: int
    text: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text!r}; write: {self.instead}"


def without_allowed(file: str, text: str) -> str:
    for entry in ALLOWED:
        if fnmatch(file, entry.files):
            text = re.sub(entry.pattern, "", text)
    return text


def spaced(text: str) -> str:
    """Identifiers as words: FilmCount and film_count both become film count; the length of the line may change."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ")


def phrase_hits(file: str, text: str) -> Iterator[Hit]:
    for number, original in enumerate([file, *text.splitlines()]):
        line = spaced(without_allowed(file, original))
        for phrase, instead in PHRASES.items():
            if match := re.search(rf"\b(?:{phrase})\b", line, re.IGNORECASE):
                yield Hit(file=file, line=number, text=match[0], instead=instead)


def bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that the code itself introduces; names of other libraries are theirs."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno


def name_hits(file: str, text: str) -> Iterator[Hit]:
    modules = [(Path(file).stem, 0)]
    for name, line in [*modules, *bound_names(ast.parse(text))]:
        if name.startswith("test_"):
            continue  # a sentence, held to PHRASES
        rest = without_allowed(file, name)
        parts = set(spaced(rest).lower().split())
        for words, instead in NAMES.items():
            if set(words.split("|")) & parts:
                yield Hit(file=file, line=line, text=name, instead=instead)
        if instead := WHOLE_NAMES.get(rest.strip("_")):
            yield Hit(file=file, line=line, text=name, instead=instead)


def all_hits(root: Path) -> list[Hit]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    hits: list[Hit] = []
    for file in sorted(name for name in listing.stdout.split("\0") if name):
        path = root / file
        wanted = path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES
        if not wanted or not path.is_file() or any(fnmatch(file, pattern) for pattern in (*SKIPPED, *PENDING)):
            continue
        text = path.read_text(encoding="utf-8")
        hits += phrase_hits(file, text)
        if path.suffix == ".py":
            hits += name_hits(file, text)
    return hits


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("FilmCount = 1", "Film"),
        ("films_read = 1", "films"),
        ("# a stranger's bytes", "stranger"),
        ("for words in pairs: ...", "words"),
        ("def tell_all(): ...", "tell_all"),
        ("class Order: ...", "Order"),
    ],
)
def test_a_private_word_is_reported(line: str, text: str) -> None:
    hits = [*phrase_hits("package/module.py", line), *name_hits("package/module.py", line)]
    assert [(hit.line, hit.text) for hit in hits] == [(1, text)]


@pytest.mark.parametrize(
    "line", ["in_flight = dead_letters = 1", "rows.order_by(kind='stable')", "# found and told in the room"]
)
def test_an_ordinary_use_is_not_reported(line: str) -> None:
    assert [*phrase_hits("package/module.py", line), *name_hits("package/module.py", line)] == []


def test_no_private_word_stands_where_the_field_has_a_term(project_root: Path) -> None:
    hits = all_hits(project_root)
    assert not hits, "\n".join([f"{len(hits)} words to replace", *map(str, hits)])
