"""Check a bundle on this machine, and print each step."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from device.bundle.loader import (
    Bundle,
    BundleError,
    NoBundle,
    load_bundle,
    trusted_keys,
)
from device.inference.backends.engine import BackendUnavailable
from device.inference.classifier import Classifier, ClassifyError

LATENCY_RUNS = 50


def selftest(bundle: Path, *, trusted: Sequence[Path], backend: str, threads: int, max_ms: float | None = None) -> int:
    """Verify the bundle, run it as the box would, and print each step.

    Returns 0 if it passed; 1 if it failed, fell back to the CPU, or took more than `max_ms` for the median inference.
    Raises NoBundle and UnknownBackend, which are wrong usage.
    """
    try:
        loaded = load_bundle(bundle, trusted_keys(trusted))
        _print_bundle(loaded)
        classifier = Classifier(loaded, backend=backend, threads=threads)
        median_ms = _print_runs(classifier, loaded, threads)
    except NoBundle:
        raise
    except (BundleError, BackendUnavailable, ClassifyError) as error:
        return _failed(str(error))
    if classifier.fell_back:
        return _failed(f"backend {backend} was asked for and the CPU took over")
    if max_ms is not None and median_ms > max_ms:
        return _failed(f"one inference takes {median_ms:.2f} ms, at most {max_ms:g} ms wanted (model.max_infer_ms)")
    print("passed")
    return 0


def _failed(why: str) -> int:
    print(f"FAILED     {why}", file=sys.stderr)
    return 1


def _print_bundle(bundle: Bundle) -> None:
    facts, key = bundle.manifest, bundle.signed_by
    state = "released" if facts.released else "a trial, not released"
    print(f"bundle     {facts.name} version {facts.version} ({state}), {facts.quantization}")
    print(f"signature  good, key {key.key_id} ({key.where})")
    for name, digest in sorted(facts.files.items()):
        print(f"digest     good, {digest[:16]}… {name}")
    until = "never" if facts.expires is None else f"{facts.expires:%Y-%m-%d}"
    print(f"expires    {until}")
    ages = f"{facts.ages.min_years} and over" if facts.ages.max_years is None else f"{facts.ages}"
    print(f"ages       {ages} years")
    if facts.outliers is not None:
        print(f"outliers   images beyond {facts.outliers.threshold:.4g} are not classified")
    print(f"thresholds flag at {facts.thresholds.flag_at:.4f}, clear below {facts.thresholds.clear_below:.4f}")


def _print_runs(classifier: Classifier, bundle: Bundle, threads: int) -> float:
    """Print runtime, golden set and latency; return the median time of an inference in milliseconds."""
    runtime, golden = classifier.runtime, classifier.golden_run()
    print(f"runtime    {runtime.interpreter} {runtime.version} on {runtime.backend}, {threads} thread(s)")
    print(
        f"golden     good, {len(bundle.golden_logits)} exposures, largest difference of a logit "
        f"{golden.largest_difference:.4g} (at most {golden.tolerance:.4g})"
    )
    median_ms, worst_ms = _latency(classifier, bundle)
    print(f"latency    median {median_ms:.2f} ms, slowest {worst_ms:.2f} ms of {LATENCY_RUNS} inferences")
    return median_ms


def _latency(classifier: Classifier, bundle: Bundle) -> tuple[float, float]:
    times_ms = []
    for index in range(LATENCY_RUNS):
        started = time.perf_counter()
        classifier.classify(bundle.golden_inputs[index % len(bundle.golden_inputs)])
        times_ms.append((time.perf_counter() - started) * 1000.0)
    return float(np.median(times_ms)), max(times_ms)
