"""Classify: a film of 224 x 224 grey values comes in; its scores, its evidence and whether it may be judged go out.

Before the first film the golden inputs run on the CPU and on the chosen backend; a backend that answers otherwise, or
stops later, is left for the CPU, with an alarm in the log and `runtime.fell_back` in every result.
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
from device.inference.backends import coral, cpu, jetson
from device.inference.backends.engine import BackendUnavailable, Engine, EngineFault
from device.inference.tensors import (
    ModelOutput,
    input_tensor,
    level_table,
    read_outputs,
    unfit,
)

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
    "cpu": cpu.open_engine,
    "coral": coral.open_engine,
    "jetson": jetson.open_engine,
}


class Unsuitable(BundleError):
    """The bundle is whole, but this box cannot run it."""


class UnknownBackend(UsageError):
    """No backend has this name."""


class GoldenMismatch(BundleError):
    """The network does not answer the golden inputs as it did where it was made."""


class ClassifyError(Exception):
    """The network gave no usable number for this film: it stays unclassified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the network says of one film.

    `score` is the uncalibrated sigmoid of the logit; `evidence` float32 (rows, columns), each position's share of the
    logit, or None when the network has no such output. `distance` is the squared distance to the films that the network
    knows, None without a rule. A film not `in_distribution` lies beyond the bundle's threshold: it must not be judged.
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
    """How the golden inputs went on one backend. Logits; milliseconds per film after the first."""

    backend: str
    largest_difference: float
    tolerance: float
    median_ms: float

    @property
    def passed(self) -> bool:
        """NaN fails."""
        return self.largest_difference <= self.tolerance


class Classifier:
    """A verified bundle on a backend. Not safe for use by two threads at once."""

    def __init__(self, bundle: Bundle, *, backend: str, threads: int) -> None:
        """`backend` is auto, cpu, coral or jetson. Raises BundleError, BackendUnavailable, UnknownBackend."""
        if backend != "auto" and backend not in BACKENDS:
            raise UnknownBackend(f"backend {backend!r} is unknown; one of auto, {', '.join(BACKENDS)} expected")
        self.model: Model = bundle.model
        self.thresholds: Thresholds = bundle.thresholds
        self.ages: Ages = bundle.ages
        self._bundle = bundle
        self._manifest = bundle.manifest
        self._levels = level_table(bundle.manifest.input)
        self.fell_back = False
        self._cpu = self._checked(cpu.open_engine(bundle, threads=threads))
        self.golden = self._prove(self._cpu)
        self._engine = self._chosen(backend, threads)

    @property
    def maps_evidence(self) -> bool:
        """Whether the network says where its score comes from."""
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
        """`image` uint8 (rows, columns) as `preprocess` makes it. Raises ClassifyError."""
        started = time.perf_counter()
        try:
            reading = self._infer(self._engine, image)
        except EngineFault as fault:
            reading = self._infer_after(fault, image)
        if not math.isfinite(reading.logit):
            raise ClassifyError(f"the network answered {reading.logit}; the film stays unclassified")
        distance, known = self._place(reading)
        return Scores(
            logit=reading.logit,
            score=sigmoid(reading.logit),
            probability=self.probability(reading.logit),
            evidence=reading.evidence,
            infer_ms=(time.perf_counter() - started) * 1000.0,
            distance=distance,
            in_distribution=known,
        )

    def _place(self, reading: ModelOutput) -> tuple[float | None, bool]:
        """How far the film lies from those the network knows, and whether that is near enough; NaN is not."""
        rule, spec = self._bundle.outliers, self._manifest.outliers
        if rule is None or spec is None or reading.features is None:
            return None, True
        distance = rule.distance(reading.features)
        return distance, distance <= spec.threshold

    def probability(self, logit: float) -> float:
        """The bundle's calibration."""
        return self._manifest.calibration.apply(logit)

    def golden_run(self) -> GoldenReport:
        """Run the golden inputs on the backend in use."""
        return self._prove(self._engine)

    def _chosen(self, backend: str, threads: int) -> Engine:
        wanted = self._best() if backend == "auto" else backend
        if wanted == "cpu":
            return self._cpu
        try:
            engine = self._checked(BACKENDS[wanted](self._bundle, threads=threads))
            self._prove(engine)
        except (BackendUnavailable, EngineFault, BundleError) as error:
            # On `auto` nobody asked for the accelerator, but a bundle compiled for one says that it belongs there.
            self._fall_back(wanted, str(error))
            return self._cpu
        return engine

    def _best(self) -> str:
        return "cpu" if self._bundle.edgetpu is None else "coral"

    def _infer_after(self, fault: EngineFault, image: NDArray[np.uint8]) -> ModelOutput:
        if self._engine is self._cpu:
            raise ClassifyError(f"{fault}; the film stays unclassified") from None
        self._fall_back(self._engine.backend, str(fault))
        self._engine = self._cpu
        try:
            return self._infer(self._cpu, image)
        except EngineFault as second:
            raise ClassifyError(f"{second}; the film stays unclassified") from None

    def _fall_back(self, wanted: str, why: str) -> None:
        self.fell_back = True
        log.error("backend_fell_back", extra={"wanted": wanted, "now": cpu.NAME, "why": why})

    def _checked(self, engine: Engine) -> Engine:
        for fault in unfit(self._bundle, engine):
            raise Unsuitable(f"{self._bundle.path}: {fault}")
        return engine

    def _prove(self, engine: Engine) -> GoldenReport:
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
                f"{self._bundle.path}: on {engine.backend} a golden logit is off by {report.largest_difference:.4g}, "
                f"at most {report.tolerance:.4g} expected; use another backend or interpreter"
            )
        return report

    def _infer(self, engine: Engine, image: NDArray[np.uint8]) -> ModelOutput:
        spec = self._manifest.input
        if image.dtype != np.uint8 or image.shape != spec.shape[1:3]:
            raise ClassifyError(f"a film of {image.dtype} {image.shape} came in, uint8 {spec.shape[1:3]} expected")
        return read_outputs(self._manifest.outputs, engine.run(input_tensor(image, spec, self._levels)))
