"""Classify files offline with the box's own pipeline, one result line per file."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TextIO

from console.errors import DONE, FAILED, ExpectedError, UsageError
from device.bundle.loader import load_bundle, trusted_keys
from device.config import GateConfig, LimitsConfig
from device.contract import Source, load_site_key
from device.host import clock
from device.inference.classifier import Classifier
from device.inference.heatmap import png
from device.intake.sandbox import Sandbox
from device.pipeline.exposure import ExposureClassifier, SiteIdentity
from device.receive.spool import ReceivedExposure

PLACE = "offline"
"""Stands for site and device in the results: no box made them."""


class Unusable(UsageError):
    """What the command line names cannot be used; the message says what to do."""


class NotWritten(ExpectedError):
    """The results cannot be written."""


def classify_paths(
    paths: Sequence[Path],
    *,
    bundle: Path,
    out: Path | None,
    progress: bool,
    site_key: Path | None,
    trusted: Sequence[Path],
    backend: str,
    threads: int,
    evidence: Path | None = None,
) -> int:
    """Classify every file of `paths`; write one JSON line each, in input order, to `out` or standard output.

    `evidence` is a folder for the evidence map of each exposure with a flag, a PNG named after its exposure_id.
    Returns the exit code: 0 when every file has its line, 1 when the reader of the output has gone. Raises Unusable,
    BundleError, BackendUnavailable, UnknownBackend and ContractError before the first file is read; NotWritten.
    """
    exposures = _exposures(paths, out)
    with ExitStack() as stack:
        lines = stack.enter_context(_opened(out))
        classifier = Classifier(load_bundle(bundle, trusted_keys(trusted)), backend=backend, threads=threads)
        _prepare_evidence_folder(evidence, classifier, bundle)
        exposure_classifier = stack.enter_context(_exposure_classifier(classifier, site_key))
        shown = stack.enter_context(_shown(exposures, progress=progress))
        return _write_all(shown, exposure_classifier, lines, evidence)


def _exposures(paths: Sequence[Path], out: Path | None) -> list[Path]:
    """Return the files to classify. Raises Unusable."""
    if missing := [path for path in paths if not _exists(path)]:
        raise Unusable(f"{missing[0]}: no such file or folder; name files or folders of files")
    exposures = list(files_of(paths))
    if not exposures:
        raise Unusable("no files to classify: the folders named hold only hidden files, or none")
    if out is not None and any(_same(out, exposure) for exposure in exposures):
        raise Unusable(f"{out}: is one of the files to classify and would be overwritten; name another file with --out")
    return exposures


def _prepare_evidence_folder(evidence: Path | None, classifier: Classifier, bundle: Path) -> None:
    """Create the folder of the evidence maps. Raises Unusable."""
    if evidence is None:
        return
    if not classifier.has_evidence_map:
        raise Unusable(f"{bundle}: its network does not say where a score comes from; leave --evidence out")
    try:
        evidence.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(
            f"{evidence}: cannot be created ({error.strerror}); name another folder with --evidence"
        ) from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A name too long for any file.
        return False


def _same(out: Path, exposure: Path) -> bool:
    try:
        return out.samefile(exposure)
    except OSError:
        return False


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files named and those in folders, sorted; hidden files and linked folders are left out."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        files: list[Path] = []
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            files += [Path(folder, name) for name in names if not name.startswith(".")]
        yield from sorted(files, key=lambda file: file.parts)


@contextlib.contextmanager
def _exposure_classifier(network: Classifier, site_key: Path | None) -> Iterator[ExposureClassifier]:
    """Give the box's own classifier of exposures, with default policy and limits."""
    key = None if site_key is None else load_site_key(site_key)
    identity = SiteIdentity(site=PLACE, device=PLACE, boot_id=PLACE, key=key)
    with contextlib.closing(Sandbox(GateConfig(), network.ages, LimitsConfig())) as sandbox:
        yield ExposureClassifier(preparer=sandbox, network=network, identity=identity, clock=clock.read_clock)


def _write_all(
    paths: Iterator[Path], classifier: ExposureClassifier, lines: TextIO, evidence_folder: Path | None
) -> int:
    for path in paths:
        classified = classifier.classify(
            ReceivedExposure(path=path, received_at=clock.utc_now(), source=Source.FILE, receive_ms=None)
        )
        result, evidence = classified.result, classified.evidence
        line = {**result.to_dict(), "source_path": _name(path)}
        try:
            if evidence_folder is not None and evidence is not None:
                (evidence_folder / f"{result.exposure_id}.png").write_bytes(png(*evidence))
            print(json.dumps(line, separators=(",", ":"), allow_nan=False), file=lines, flush=True)
        except BrokenPipeError:
            # The reader has gone, as `head` does.
            _discard(lines)
            return FAILED
        except OSError as error:
            _discard(lines)
            raise NotWritten(f"results cannot be written ({error.strerror}); free space and run again") from None
    return DONE


def _name(path: Path) -> str:
    """Return a path as text; names of files need not be UTF-8, but JSON must be."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _discard(lines: TextIO) -> None:
    """Discard what is still in the buffer: closing the stream would fail on it once more."""
    with contextlib.suppress(io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), lines.fileno())


def _opened(out: Path | None) -> AbstractContextManager[TextIO]:
    """Open the output. Raises Unusable."""
    if out is None:
        return contextlib.nullcontext(sys.stdout)
    try:
        return out.open("w", encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{out}: cannot be written ({error.strerror}); name another file with --out") from None


@contextlib.contextmanager
def _shown(exposures: Sequence[Path], *, progress: bool) -> Iterator[Iterator[Path]]:
    """Give the exposures one by one, with a progress bar on standard error if wanted."""
    if not progress:
        yield iter(exposures)
        return
    from console.progress import progress_bars  # noqa: PLC0415 - only for those who watch

    with progress_bars(shown=True) as bars:
        yield iter(bars.track(exposures, description="exposures"))
