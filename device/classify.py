"""Classify: a film of 224 x 224 grey values comes in; logit, score, calibrated probability and evidence go out.

Before the first film the golden inputs run on the CPU and on the chosen backend; a backend that answers otherwise, or
stops later, is left for the CPU, with an alarm in the log and `runtime.fell_back` in every result.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from device.backends import coral, cpu, jetson
from device.backends.engine import BackendUnavailable, Engine, EngineFault
from device.bundle import Ages, Bundle, BundleError
from device.contract import Model, Runtime, Thresholds
from device.manifest import InputSpec, Manifest, OutputSpec, sigmoid
from device.preprocess import PREPROCESS_VERSION

log = logging.getLogger(__name__)

GREY_LEVELS = 256
BACKENDS: dict[str, Callable[..., Engine]] = {
    "cpu": cpu.open_engine,
    "coral": coral.open_engine,
    "jetson": jetson.open_engine,
}


class Unsuitable(BundleError):
    """The bundle is whole, but this box cannot run it."""


class GoldenMismatch(BundleError):
    """The network does not answer the golden inputs as it did where it was made."""


class ClassifyError(Exception):
    """The network gave no usable number for this film: it stays unclassified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the network says of one film.

    `score` is the uncalibrated sigmoid of the logit; `evidence` float32 (rows, columns), each position's share of the
    logit, or None when the network has no such output.
    """

    logit: float
    score: float
    probability: float
    evidence: NDArray[np.float32] | None
    infer_ms: float


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
        """`backend` is auto, cpu, coral or jetson. Raises BundleError, BackendUnavailable."""
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
            logit, evidence = self._infer(self._engine, image)
        except EngineFault as fault:
            logit, evidence = self._infer_after(fault, image)
        infer_ms = (time.perf_counter() - started) * 1000.0
        if not math.isfinite(logit):
            raise ClassifyError(f"the network answered {logit}; the film stays unclassified")
        return Scores(
            logit=logit,
            score=sigmoid(logit),
            probability=self.probability(logit),
            evidence=evidence,
            infer_ms=infer_ms,
        )

    def probability(self, logit: float) -> float:
        """The bundle's calibration."""
        return self._manifest.calibration.apply(logit)

    def golden_run(self) -> GoldenReport:
        """Run the golden inputs on the backend in use."""
        return self._prove(self._engine)

    def _chosen(self, backend: str, threads: int) -> Engine:
        wanted = self._best() if backend == "auto" else backend
        if wanted not in BACKENDS:
            raise Unsuitable(f"backend {backend!r} is unknown; one of auto, {', '.join(BACKENDS)} expected")
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

    def _infer_after(self, fault: EngineFault, image: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32] | None]:
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
        for fault in unfit(self._manifest, engine):
            raise Unsuitable(f"{self._bundle.path}: {fault}")
        return engine

    def _prove(self, engine: Engine) -> GoldenReport:
        logits, times_ms = [], []
        for image in self._bundle.golden_inputs:
            started = time.perf_counter()
            logits.append(self._infer(engine, image)[0])
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

    def _infer(self, engine: Engine, image: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32] | None]:
        spec = self._manifest.input
        if image.dtype != np.uint8 or image.shape != spec.shape[1:3]:
            raise ClassifyError(f"a film of {image.dtype} {image.shape} came in, uint8 {spec.shape[1:3]} expected")
        levels = cv2.LUT(image, self._levels.view(np.uint8)).view(np.int8)
        outputs = engine.run(levels.reshape(spec.shape))
        return read_outputs(self._manifest.outputs, outputs)


def level_table(spec: InputSpec) -> NDArray[np.int8]:
    """The network's int8 input for each grey value, shape (256,): `q = (grey - mean) / 255 / scale + zero_point`."""
    real = (np.arange(GREY_LEVELS, dtype=np.float64) - spec.mean) / (GREY_LEVELS - 1)
    levels: NDArray[np.int8] = np.clip(np.rint(real / spec.scale) + spec.zero_point, -128, 127).astype(np.int8)
    return levels


def read_outputs(spec: OutputSpec, outputs: list[NDArray[np.float32]]) -> tuple[float, NDArray[np.float32] | None]:
    """The logit of pneumonia, and the evidence map (rows, columns) where there is one."""
    evidence = None if spec.evidence is None else np.squeeze(outputs[spec.evidence])
    if spec.kind == "evidence" and evidence is not None:
        return float(evidence.sum(dtype=np.float64)) + spec.bias, evidence
    found = outputs[spec.logit or 0].ravel()
    logit = found[1] - found[0] if spec.kind == "logits2" else found[0]
    return float(logit), evidence


def unfit(manifest: Manifest, engine: Engine) -> list[str]:
    """Why this engine cannot run the network that the manifest describes; empty when it can."""
    spec, found, faults = manifest.input, engine.input, []
    if (found.shape, found.dtype, found.zero_point) != (spec.shape, spec.dtype, spec.zero_point):
        faults.append(f"the network takes {found}, the manifest says {spec}; build the bundle anew")
    elif not math.isclose(found.scale, spec.scale, rel_tol=1e-5):
        faults.append(f"the network's input scale is {found.scale}, the manifest says {spec.scale}; build it anew")
    faults += _output_faults(manifest.outputs, engine)
    if manifest.preprocess_version != PREPROCESS_VERSION:
        faults.append(
            f"made for preprocessing version {manifest.preprocess_version}, this box has {PREPROCESS_VERSION}; "
            "install the matching bundle"
        )
    oldest = manifest.minimum_runtime.get(engine.interpreter_name)
    if oldest is not None and _numbers(engine.version) < _numbers(oldest):
        faults.append(f"needs {engine.interpreter_name} {oldest} or newer, {engine.version} is here; update it")
    return faults


def _output_faults(spec: OutputSpec, engine: Engine) -> list[str]:
    count = len(engine.outputs)
    named = [i for i in (spec.logit if spec.kind != "evidence" else None, spec.evidence) if i is not None]
    faults = [f"output {i} is named, the network has {count}; build the bundle anew" for i in named if i >= count]
    if faults or spec.kind == "evidence":
        return faults
    values, expected = math.prod(engine.outputs[spec.logit or 0].shape), 2 if spec.kind == "logits2" else 1
    return [] if values == expected else [f"{values} logits come out, {expected} expected; build the bundle anew"]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
