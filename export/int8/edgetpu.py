"""Edge TPU: an int8 .tflite comes in; the same network compiled for Coral goes out, where the compiler is at hand.

Coral's compiler is on no package registry; without it the bundle goes without. Not run by the authors yet.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from console.errors import ExpectedError

COMPILER = "edgetpu_compiler"
COMPILE_S = 300.0


class CompileError(ExpectedError):
    """The compiler is there and failed; the words are its own."""


def compile_for_coral(network: bytes) -> bytes | None:
    """The compiled network, or None without the compiler. Raises CompileError."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="pneumoflag-export-") as folder:
        source = Path(folder) / "model.tflite"
        source.write_bytes(network)
        done = subprocess.run(
            [compiler, "-s", "-o", folder, str(source)], capture_output=True, text=True, timeout=COMPILE_S, check=False
        )
        compiled = Path(folder) / "model_edgetpu.tflite"
        if done.returncode != 0 or not compiled.is_file():
            raise CompileError(f"{COMPILER} failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return compiled.read_bytes()
