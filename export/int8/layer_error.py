"""Layer errors: a network, calibration and held-out images come in; how int8 differs from float in each layer goes out.

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

from export.int8.quantized import float_network
from train.networks.predictor import at_input_size, network_input
from train.quantization.converter import int8_converter
from train.run.trained_run import TrainedRun

MOST_IMAGES = 32
"""Held-out images that are run: each layer's error is a mean over very many positions."""
ROUNDING_ALONE = 12**-0.5
"""Root mean square of a rounding error in steps: uniform from -1/2 to 1/2."""
NAMED = 5
"""Layers that a message names."""
Images = NDArray[np.uint8]
Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """An operator's int8 output minus its float output, over all images.

    `largest` is the mean over images of the largest error. `noise` is the root mean square of the error over that of
    the float output, mean over channels: 0 is perfect, at 1 nothing is left. `rmse_in_steps` is the root mean square
    over `scale`, near ROUNDING_ALONE where nothing but rounding causes it.
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

    def __str__(self) -> str:
        return f"{self.layer} ({self.operator}): noise {self.noise:.1%}, {self.rmse_in_steps:.2f} steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """All layers, in the order of the network."""

    layers: tuple[LayerError, ...]

    def worst(self, count: int = 5) -> tuple[LayerError, ...]:
        """Return the `count` layers with most noise, the worst first."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.noise)[:count])

    def write(self, path: Path) -> None:
        """Write a CSV file with a line for each layer."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, [field.name for field in fields(LayerError)])
            table.writeheader()
            table.writerows(asdict(layer) for layer in self.layers)


def worst_layers(run: TrainedRun, held_out: Images, table: Path) -> str:
    """Name the layers that lose most in int8, for a message, and write all layers to the file `table`.

    `held_out` uint8 (n, 224, 224), as preprocessed, are run; the run's calibration images set the ranges.
    """
    network = float_network(run)
    calibration, held_out = (at_input_size(network, images) for images in (run.calibration_images.images, held_out))
    report = layer_report(network, calibration, mean=run.predictor.mean, held_out=held_out)
    worst = "; ".join(str(layer) for layer in report.worst(NAMED))
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        report.write(table)
    except OSError as error:
        # The message must report the failed parity with or without a table.
        return f"worst layers: {worst} ({table} cannot be written: {error.strerror})"
    return f"worst layers: {worst}; all in {table}"


def table_beside(out: Path) -> Path:
    """Return NAME.layers.csv for a bundle NAME.bundle or NAME."""
    return out.with_name(f"{out.name.removesuffix('.bundle')}.layers.csv")


def layer_report(
    network: keras.Model | Path, calibration: Images, *, mean: float, held_out: Images | None = None
) -> LayerReport:
    """Measure the network (or the folder of its SavedModel), as `to_int8` quantizes it, on `held_out` images.

    `calibration` uint8 (n, rows, columns) set the ranges. Without `held_out` they are measured themselves, which hides
    the values that other images would clip.
    """
    images = (calibration if held_out is None else held_out)[:MOST_IMAGES]
    with int8_converter(network, calibration, mean=mean) as converter, warnings.catch_warnings():
        # The debugger's own interpreter is TensorFlow's, which warns that it is deprecated.
        warnings.simplefilter("ignore")
        instrumented = _instrumented(converter)
        rows = _run(instrumented, images, mean)
    names = _tensor_names(instrumented)
    keras_layers = [] if isinstance(network, Path) else [layer.name for layer in _flat(network)]
    return LayerReport(layers=tuple(_layer_error(row, names, keras_layers) for row in rows))


def _instrumented(converter: Any) -> bytes:
    """The int8 network with a float twin beside each operator.

    QuantizationDebugger would do this itself, but without the converter's settings for dense layers.
    """
    converter._experimental_calibrate_only = True  # noqa: SLF001  no public name
    instrumented: bytes = mlir_quantize(
        converter.convert(),
        fully_quantize=True,
        enable_numeric_verify=True,
        input_data_type=tf.int8,
        output_data_type=tf.int8,
        disable_per_channel_for_dense_layers=True,
    )
    return instrumented


def _run(instrumented: bytes, images: Images, mean: float) -> list[dict[str, str]]:
    debugger = tf.lite.experimental.QuantizationDebugger(
        quant_debug_model_content=instrumented,
        debug_dataset=lambda: ([network_input(image[None], mean=mean)] for image in images),
        debug_options=tf.lite.experimental.QuantizationDebugOptions(layer_direct_compare_metrics={"noise": noise}),
    )
    debugger.run()
    dumped = io.StringIO()
    debugger.layer_statistics_dump(dumped)
    return list(csv.DictReader(io.StringIO(dumped.getvalue())))


def noise(real: Values, quantized: Values, scale: float, zero_point: int) -> float:
    """Return the root mean square of the error over that of the value of one image, mean over channels of a map.

    A channel that is all 0 in float does not count; one with at least as much error as value counts 1.
    """
    error = (quantized.astype(np.float64) - zero_point) * scale - real
    positions = real.size // real.shape[-1]
    shape = (-1, real.shape[-1]) if positions > 1 else (-1, 1)
    errors, powers = (np.mean(values.reshape(shape).astype(np.float64) ** 2, axis=0) for values in (error, real))
    alive = powers > 0
    return float(np.mean(np.sqrt(np.minimum(errors[alive] / powers[alive], 1.0)))) if alive.any() else 0.0


def _tensor_names(instrumented: bytes) -> Mapping[int, Sequence[str]]:
    """Return, by a tensor's index, its name and those of the constants of the operator that writes it."""
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


def _layer_error(
    row: Mapping[str, str], tensor_names: Mapping[int, Sequence[str]], keras_layers: Sequence[str]
) -> LayerError:
    scale, mean, squared = (float(row[name]) for name in ("scale", "mean_error", "mean_squared_error"))
    names = tensor_names[int(row["tensor_idx"])]
    return LayerError(
        layer=_keras_name(names, keras_layers),
        operator=row["op_name"],
        elements=int(float(row["num_elements"])),
        noise=float(row["noise"]),
        rmse_in_steps=squared**0.5 / scale,
        rmse=squared**0.5,
        mean=mean,
        variance=squared - mean**2,
        largest=float(row["max_abs_error"]),
        scale=scale,
        zero_point=int(row["zero_point"]),
        tensor=names[0],
    )


def _keras_name(names: Sequence[str], keras_layers: Sequence[str]) -> str:
    """Return the Keras layer that a tensor's own name, or those of its weights, name; else the tensor's name."""
    for part in (part for name in names for part in re.split(r"[/;]", name)):
        # Keras numbers a layer that is called again, as it is for the static batch.
        for candidate in (part, re.sub(r"_\d+$", "", part)):
            if candidate in keras_layers:
                return candidate
    return names[0]
