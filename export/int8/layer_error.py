"""Layers: a network, calibration and held-out films come in; how far int8 is from float in each layer goes out.

By TensorFlow's QuantizationDebugger (tensorflow.org/lite/performance/quantization_debugger): beside each int8 operator
runs the same one in float on the same int8 input, so an error is the operator's own and not inherited.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize

from train.networks.predictor import network_input
from train.quantization.converter import int8_converter

MOST_FILMS = 32
"""Held-out films that are run: each layer's error is a mean over very many positions."""
UNSPOILT = 12**-0.5
"""Root mean square of the rounding of a well spread value, in steps: a uniform error from -1/2 to 1/2."""
Films = NDArray[np.uint8]
Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """An operator's int8 output minus its float output, over all films; `largest` is the films' mean of the largest.

    `noise`: root mean square of the error over that of the float output, mean over channels; 0 is perfect, 1 nothing
    left. `rmse_in_steps`: root mean square over `scale`; near UNSPOILT where rounding alone is to blame.
    """

    layer: str
    operator: str
    elements: int
    noise: float
    rmse_in_steps: float
    rmse: float
    mean: float
    variance: float
    largest: float
    scale: float
    zero_point: int
    tensor: str

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.layer} ({self.operator}): noise {self.noise:.1%}, {self.rmse_in_steps:.2f} steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """All layers, in the order of the network."""

    layers: tuple[LayerError, ...]

    def worst(self, count: int = 5) -> tuple[LayerError, ...]:
        """The layers with most noise first."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.noise)[:count])

    def write(self, path: Path) -> None:
        """As CSV, a line for each layer."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, [field.name for field in fields(LayerError)])
            table.writeheader()
            table.writerows(asdict(layer) for layer in self.layers)


def layer_report(
    network: keras.Model | Path, films: Films, *, mean: float, held_out: Films | None = None
) -> LayerReport:
    """The network (or the folder of its SavedModel) as `to_int8` quantizes it, on `held_out` films.

    `films` uint8 (n, rows, columns) set the ranges; without `held_out` films they are looked at themselves, which hides
    what other films would clip.
    """
    watched = (films if held_out is None else held_out)[:MOST_FILMS]
    with int8_converter(network, films, mean=mean) as converter, warnings.catch_warnings():
        # The debugger's own interpreter is TensorFlow's, which announces its end.
        warnings.simplefilter("ignore")
        instrumented = _instrumented(converter)
        rows = _run(instrumented, watched, mean)
    makers = _makers(instrumented)
    known = [] if isinstance(network, Path) else [layer.name for layer in _flat(network)]
    return LayerReport(layers=tuple(_layer(row, makers, known) for row in rows))


def _instrumented(converter: Any) -> bytes:
    """The int8 network with a float twin beside each operator.

    QuantizationDebugger would do this itself, but without the converter's settings for dense layers.
    """
    converter._experimental_calibrate_only = True  # noqa: SLF001  no public name
    found: bytes = mlir_quantize(
        converter.convert(), fully_quantize=True, enable_numeric_verify=True, input_data_type=tf.int8,
        output_data_type=tf.int8, disable_per_channel_for_dense_layers=True,
    )  # fmt: skip
    return found


def _run(instrumented: bytes, films: Films, mean: float) -> list[dict[str, str]]:
    debugger = tf.lite.experimental.QuantizationDebugger(
        quant_debug_model_content=instrumented,
        debug_dataset=lambda: _batches(films, mean),
        debug_options=tf.lite.experimental.QuantizationDebugOptions(layer_direct_compare_metrics={"noise": noise}),
    )
    debugger.run()
    dumped = io.StringIO()
    debugger.layer_statistics_dump(dumped)
    return list(csv.DictReader(io.StringIO(dumped.getvalue())))


def _batches(films: Films, mean: float) -> Iterator[list[Values]]:
    for film in films:
        yield [network_input(film[None], mean=mean, tone="none")]


def noise(real: Values, quantized: Values, scale: float, zero_point: int) -> float:
    """Of one film's float and int8 output: root mean square of error over value, mean over channels of a map.

    A channel in which float has nothing does not count; one with as much error as value, or more, counts 1.
    """
    error = (quantized.astype(np.float64) - zero_point) * scale - real
    positions = real.size // real.shape[-1]
    shape = (-1, real.shape[-1]) if positions > 1 else (-1, 1)
    errors, powers = (np.mean(values.reshape(shape).astype(np.float64) ** 2, axis=0) for values in (error, real))
    alive = powers > 0
    return float(np.mean(np.sqrt(np.minimum(errors[alive] / powers[alive], 1.0)))) if alive.any() else 0.0


def _makers(instrumented: bytes) -> Mapping[int, Sequence[str]]:
    """By index of a tensor: its name, and those of the constants of the operator that makes it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(instrumented, 0))
    tensors = model.subgraphs[0].tensors
    names = [tensor.name.decode() for tensor in tensors]
    constant = [model.buffers[tensor.buffer].data is not None for tensor in tensors]
    return {
        int(made): [names[made], *(names[index] for index in operator.inputs if index >= 0 and constant[index])]
        for operator in model.subgraphs[0].operators
        for made in operator.outputs
    }


def _flat(network: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in network.layers:
        yield from _flat(layer) if isinstance(layer, keras.Model) else (layer,)


def _layer(row: Mapping[str, str], makers: Mapping[int, Sequence[str]], known: Sequence[str]) -> LayerError:
    scale, mean, squared = (float(row[name]) for name in ("scale", "mean_error", "mean_squared_error"))
    names = makers[int(row["tensor_idx"])]
    return LayerError(
        layer=_keras_name(names, known), operator=row["op_name"], elements=int(float(row["num_elements"])),
        noise=float(row["noise"]), rmse_in_steps=squared**0.5 / scale, rmse=squared**0.5,
        mean=mean, variance=squared - mean**2, largest=float(row["max_abs_error"]),
        scale=scale, zero_point=int(row["zero_point"]), tensor=names[0],
    )  # fmt: skip


def _keras_name(names: Sequence[str], known: Sequence[str]) -> str:
    """The Keras layer that a tensor's own name, or those of its weights, tell of; else the tensor's name."""
    for part in (part for name in names for part in re.split(r"[/;]", name)):
        # Keras numbers a layer that is called again, as it is for the static batch.
        for candidate in (part, re.sub(r"_\d+$", "", part)):
            if candidate in known:
                return candidate
    return names[0]
