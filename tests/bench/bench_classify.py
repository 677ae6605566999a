"""Median time of one classification by the released bundles (else the tiny one), with 1 and 2 threads.

Run `python tests/bench/bench_classify.py`. Machines are noisy: compare within one run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from device.bundle.loader import Bundle, load_bundle, trusted_keys  # noqa: E402  run as a script, from anywhere
from device.inference.classifier import Classifier  # noqa: E402
from tests.support.bundle_factory import make_bundle  # noqa: E402

RUNS = 300
WARM_UP = 20


def bundles() -> list[Bundle]:
    released = sorted((ROOT / "firmware_config" / "bundles").glob("*.bundle"))
    if released:
        return [load_bundle(path, trusted_keys()) for path in released]
    with tempfile.TemporaryDirectory() as folder:
        path, key = make_bundle(Path(folder))
        return [load_bundle(path, [key])]


def infer_ms(bundle: Bundle, threads: int) -> np.ndarray:
    classifier = Classifier(bundle, backend="cpu", threads=threads)
    images = [bundle.golden_inputs[index % len(bundle.golden_inputs)] for index in range(WARM_UP + RUNS)]
    return np.array([classifier.classify(image).infer_ms for image in images][WARM_UP:])


def main() -> None:
    for bundle in bundles():
        for threads in (1, 2):
            times_ms = infer_ms(bundle, threads)
            name = f"{bundle.model.name} {bundle.model.version}"
            print(
                f"{name}, {threads} thread(s): median {np.median(times_ms):.3f} ms, "
                f"p95 {np.percentile(times_ms, 95):.3f} ms"
            )


if __name__ == "__main__":
    main()
