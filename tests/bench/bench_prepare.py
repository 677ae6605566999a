"""How long one exposure takes: from its path to the image and the thumbnail, in this process and through the sandbox.

`python tests/bench/bench_prepare.py` prints medians in milliseconds (wall clock, and CPU time in this process, which a
busy machine disturbs less). The images are made here; the file is in the page cache, as it is just after reception.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from device.config import GateConfig, LimitsConfig  # noqa: E402
from device.contract import Source  # noqa: E402
from device.intake.gate import Ages  # noqa: E402
from device.intake.prepare import Prepared, prepare  # noqa: E402
from device.intake.sandbox import Sandbox  # noqa: E402
from tests.support.dicom_files import make_compressed, make_dx  # noqa: E402

ROUNDS = 15
ADULTS = Ages(min_years=20)


def image_of(side: int) -> NDArray[np.uint16]:
    """Soft shapes with noise, 14 bits: compresses about as well as a chest radiograph."""
    chance = np.random.default_rng(0)
    shapes = cv2.resize(
        chance.uniform(0, 16383, (40, 40)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(shapes + chance.normal(0, 15, (side, side)), 0, 16383).astype(np.uint16)


def write_images(folder: Path) -> dict[str, Path]:
    """Write one image of each type that matters for speed."""
    large = image_of(3072)
    small = (image_of(1024) >> 6).astype(np.uint8)
    lossless, jpeg_ls, j2k = (f"1.2.840.10008.1.2.4.{end}" for end in (70, 80, 90))
    made = {
        "DX 3072 x 3072, plain": make_dx(folder / "plain", large),
        "DX 3072 x 3072, SIGMOID": make_dx(folder / "sigmoid", large, VOILUTFunction="SIGMOID"),
        "DX 3072 x 3072, JPEG Lossless": make_compressed(
            folder / "lossless", imagecodecs.ljpeg_encode(large, bitspersample=14), lossless, large
        ),
        "DX 3072 x 3072, JPEG-LS": make_compressed(folder / "ls", imagecodecs.jpegls_encode(large), jpeg_ls, large),
        "DX 3072 x 3072, JPEG 2000": make_compressed(
            folder / "j2k", imagecodecs.jpeg2k_encode(large, level=0, codecformat="j2k"), j2k, large
        ),
        "PNG 1024 x 1024": folder / "grey.png",
        "DX lateral 3072 x 3072 (rejected)": make_dx(folder / "lateral", large, ViewPosition="LL"),
    }
    cv2.imwrite(str(made["PNG 1024 x 1024"]), small)
    return made


def medians(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds."""
    action()
    walls, cpus = [], []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.thread_time()
        action()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.thread_time() - cpu) * 1e3)
    return statistics.median(walls), statistics.median(cpus)


def here(path: Path) -> Prepared:
    """Prepare in this process."""
    return prepare(path, source_hint=Source.DICOM, policy=GateConfig(), ages=ADULTS, limits=LimitsConfig())


def main() -> None:
    """Print one line for each type of image."""
    cv2.setNumThreads(1)
    print(f"{f'prepare one exposure, ms (median of {ROUNDS})':<38}{'wall':>8}{'CPU':>8}{'sandbox':>9}{'pipe':>7}")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, closing(Sandbox(GateConfig(), ADULTS, LimitsConfig())) as sandbox:
        made = write_images(Path(folder))
        for name, path in made.items():
            wall, cpu = medians(lambda path=path: here(path))
            spent: list[float] = []

            def through_the_pipe(path: Path = path, spent: list[float] = spent) -> None:
                started_s = time.perf_counter()
                answer = sandbox.prepare(path)
                inside = (answer.decode_ms or 0.0) + (answer.preprocess_ms or 0.0)
                spent.append((time.perf_counter() - started_s) * 1e3 - inside)

            boxed, _ = medians(through_the_pipe)
            print(f"{name:<38}{wall:8.1f}{cpu:8.1f}{boxed:9.1f}{statistics.median(spent):7.1f}", flush=True)
    print(f"({time.perf_counter() - started:.0f} s in all)")


if __name__ == "__main__":
    main()
