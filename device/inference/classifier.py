"""Classify a preprocessed image: its scores, its evidence map, and whether it is in distribution.

Before the first image the golden inputs run on the CPU and on the configured backend. If that backend gives other
outputs, or stops later, the CPU takes over, with an error in the log and `runtime.fell_back` in every result.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from console.errors import UsageError
from device.bundle.loader import Ages, Bundle, BundleError
from device.bundle.manifest import sigmoid
from device.bundle.ood_rule import Floats32
from device.contract import Model, Runtime, Thresholds
from device.inference.backends import coral
from device.inference.backends.engine import CPU, BackendUnavailable, Engine, EngineFault, open_cpu_engine
from device.inference.tensors import (
    ModelOutput,
    input_tensor,
    level_table,
    read_outputs,
    reasons_unsuitable,
)
from device.preprocess.render import INPUT_SHAPE

__all__ = [
    "BACKENDS",
    "Classifier",
    "ClassifyError",
    "GoldenMismatch",
    "GoldenReport",
    "Scores",
    "UnknownBackend",
    "Unsuitable",
    "level_table",
    "read_outputs",
]

log = logging.getLogger(__name__)

BACKENDS: dict[str, Callable[..., Engine]] = {
    "cpu": open_cpu_engine,
    "coral": coral.open_engine,
    "jetson": open_cpu_engine,  # its CPU runs the int8 network in under a millisecond, so the GPU is not used
}


class Unsuitable(BundleError):
    """The bundle is intact, but this box cannot run it."""


class UnknownBackend(UsageError):
    """There is no backend of this name."""


class GoldenMismatch(BundleError):
    """The network's outputs for the golden inputs are not those of the workstation that built the bundle."""


class ClassifyError(Exception):
    """The network gave no usable number for this image: the exposure stays unclassified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The output of the network for one image, calibrated.

    `score` is the uncalibrated sigmoid of the logit; `evidence` float32 (rows, columns), each position's share of the
    logit, or None when the network has no such output. `distance` is the squared Mahalanobis distance to the training
    images, None without an out-of-distribution rule. Beyond the bundle's threshold an image is not `in_distribution`
    and must not be classified.
    """

    logit: float
    score: float
    probability: float
    evidence: Floats32 | None
    infer_ms: float
    distance: float | None = None
    in_distribution: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenReport:
    """Outcome of the golden inputs on one backend: logits, and milliseconds per image after the first."""

    backend: str
    largest_difference: float
    tolerance: float
    median_ms: float

    @property
    def passed(self) -> bool:
        """Whether every logit is within the tolerance; NaN is not."""
        return self.largest_difference <= self.tolerance


class Classifier:
    """A verified bundle on a backend. Not safe for use by two threads at once."""

    def __init__(self, bundle: Bundle, *, backend: str, threads: int) -> None:
        """`backend` is auto, cpu, coral or jetson. Raises BundleError, BackendUnavailable, UnknownBackend."""
        if backend != "auto" and backend not in BACKENDS:
            raise UnknownBackend(f"backend: expected one of auto, {', '.join(BACKENDS)}, got {backend!r}")
        self.model: Model = bundle.model
        self.thresholds: Thresholds = bundle.thresholds
        self.ages: Ages = bundle.ages
        self._bundle = bundle
        self._manifest = bundle.manifest
        self._levels = level_table(bundle.manifest.input)
        self.fell_back = False
        self._cpu = self._checked(open_cpu_engine(bundle, threads=threads))
        self.golden = self._run_golden(self._cpu)
        self._engine = self._open_backend(backend, threads)

    @property
    def has_evidence_map(self) -> bool:
        """Whether the network has an output that locates the evidence."""
        return self._manifest.outputs.evidence is not None

    @property
    def runtime(self) -> Runtime:
        """What runs the network now."""
        engine = self._engine
        return Runtime(
            interpreter=engine.interpreter_name,
            version=engine.version,
            backend=engine.backend,
            fell_back=self.fell_back,
        )

    def classify(self, image: NDArray[np.uint8]) -> Scores:
        """Return the scores of `image`, uint8 (rows, columns) as `preprocess` makes it. Raises ClassifyError."""
        started = time.perf_counter()
        try:
            output = self._infer(self._engine, image)
        except EngineFault as fault:
            output = self._infer_on_cpu_after(fault, image)
        if not math.isfinite(output.logit):
            raise ClassifyError(f"logit: expected a finite number, got {output.logit}; the exposure stays unclassified")
        distance, in_distribution = self._ood_distance(output)
        return Scores(
            logit=output.logit,
            score=sigmoid(output.logit),
            probability=self.probability(output.logit),
            evidence=output.evidence,
            infer_ms=(time.perf_counter() - started) * 1000.0,
            distance=distance,
            in_distribution=in_distribution,
        )

    def _ood_distance(self, output: ModelOutput) -> tuple[float | None, bool]:
        """Return the squared distance to the training images and whether it is within the threshold; NaN is not."""
        rule, spec = self._bundle.outliers, self._manifest.outliers
        if rule is None or spec is None or output.features is None:
            return None, True
        distance = rule.distance(output.features)
        return distance, distance <= spec.threshold

    def probability(self, logit: float) -> float:
        """Return the calibrated probability of a logit."""
        return self._manifest.calibration.apply(logit)

    def golden_run(self) -> GoldenReport:
        """Run the golden inputs on the backend in use. Raises GoldenMismatch."""
        return self._run_golden(self._engine)

    def _open_backend(self, backend: str, threads: int) -> Engine:
        if backend == "auto":
            backend = "cpu" if self._bundle.edgetpu is None else "coral"
        if backend == "cpu":
            return self._cpu
        try:
            engine = self._checked(BACKENDS[backend](self._bundle, threads=threads))
            self._run_golden(engine)
        except (BackendUnavailable, EngineFault, BundleError) as error:
            # An alarm even on `auto`: a bundle compiled for the accelerator is meant to run there.
            self._fall_back(backend, str(error))
            return self._cpu
        return engine

    def _infer_on_cpu_after(self, fault: EngineFault, image: NDArray[np.uint8]) -> ModelOutput:
        if self._engine is self._cpu:
            raise ClassifyError(f"{fault}; the exposure stays unclassified") from None
        self._fall_back(self._engine.backend, str(fault))
        self._engine = self._cpu
        try:
            return self._infer(self._cpu, image)
        except EngineFault as second:
            raise ClassifyError(f"{second}; the exposure stays unclassified") from None

    def _fall_back(self, backend: str, reason: str) -> None:
        self.fell_back = True
        log.error("backend_fell_back", extra={"backend": backend, "now": CPU, "reason": reason})

    def _checked(self, engine: Engine) -> Engine:
        reasons = reasons_unsuitable(self._bundle, engine)
        if reasons:
            raise Unsuitable(f"{self._bundle.path}: {'; '.join(reasons)}")
        return engine

    def _run_golden(self, engine: Engine) -> GoldenReport:
        logits, times_ms = [], []
        for image in self._bundle.golden_inputs:
            started = time.perf_counter()
            logits.append(self._infer(engine, image).logit)
            times_ms.append((time.perf_counter() - started) * 1000.0)
        report = GoldenReport(
            backend=engine.backend,
            largest_difference=float(np.max(np.abs(np.array(logits) - self._bundle.golden_logits))),
            tolerance=self._manifest.golden.tolerance_logit,
            median_ms=float(np.median(times_ms[1:] or times_ms)),
        )
        if not report.passed:
            raise GoldenMismatch(
                f"{self._bundle.path}: a golden logit on {engine.backend}: expected a difference of at most "
                f"{report.tolerance:.4g}, got {report.largest_difference:.4g}; use another backend or interpreter"
            )
        return report

    def _infer(self, engine: Engine, image: NDArray[np.uint8]) -> ModelOutput:
        spec = self._manifest.input
        if image.dtype != np.uint8 or image.shape not in {spec.shape[1:3], INPUT_SHAPE}:
            raise ClassifyError(f"image: expected uint8 {INPUT_SHAPE}, got {image.dtype} {image.shape}")
        return read_outputs(self._manifest.outputs, engine.run(input_tensor(image, spec, self._levels)))
