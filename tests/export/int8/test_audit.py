from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from device.bundle.loader import MODEL, read_members
from device.host.stderr import silenced_output
from export.int8.audit import audit
from tests.support.bundle_factory import TINY


def converted(*layers: keras.Layer, optimize: bool = False) -> bytes:
    """Convert to float, or with `optimize` to weights quantized at run time: forms that no box should get."""
    network = keras.Sequential([keras.Input((8, 8, 1), batch_size=1), *layers])
    with silenced_output():
        archive = tf.lite.TFLiteConverter.from_keras_model(network)
        archive.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
        return bytes(archive.convert())


def test_an_int8_network_passes() -> None:
    audited = audit(TINY.read_bytes())
    assert audited.passed
    assert [operator.name for operator in audited.operators] == ["AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert audited.bytes == TINY.stat().st_size


def test_a_float_network_is_objected_to() -> None:
    audited = audit(converted(keras.layers.Conv2D(2, 3), keras.layers.Flatten()))
    assert not audited.passed
    assert any("expected int8" in text for text in audited.objections)
    assert any("not 8-bit" in text for operator in audited.operators for text in operator.objections)


def test_an_operator_that_the_edge_tpu_lacks_is_named() -> None:
    audited = audit(converted(keras.layers.Lambda(tf.math.sin)))
    assert not audited.passed
    objections = [text for operator in audited.operators for text in operator.objections]
    assert any("is not an operator of the Edge TPU" in text for text in objections)


@pytest.mark.parametrize("content", [b"", b"no flatbuffer at all, only text", bytes(64)])
def test_a_file_that_is_not_a_network_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="tflite"):
        audit(content)


def test_the_released_bundles_network_passes(project_root: Path) -> None:
    for bundle in sorted((project_root / "firmware_config" / "bundles").glob("*.bundle")):
        assert audit(dict(read_members(bundle))[MODEL]).passed


def test_weights_may_have_four_dimensions_but_no_activation_may() -> None:
    audited = audit(converted(keras.layers.Conv2D(2, 3)))
    objections = [text for operator in audited.operators for text in operator.objections]
    assert not any("innermost" in text for text in objections)
    assert np.prod([1, 8, 8, 1]) == 64
