"""A trained network with its input and output conventions, and the model outputs of images.

Every kind of network answers alike here, so that evaluation and export need not know which one they have.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from device.bundle.ood_rule import OutlierRule
from device.preprocess.resample import to_network_size

GREY_MAX = 255.0
BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """A network and how to read it.

    `network` takes float32 (n, rows, columns, 1), `(grey - mean) / 255` of images at its size. It gives either logits
    (n, 2), normal and pneumonia, or a list: evidence (n, side, side, 1), whose sum plus `bias` is the logit, and then
    features (n, 1, 1, channels), which `outliers` takes one after another.
    """

    network: keras.Model
    mean: float
    bias: float = 0.0
    outliers: OutlierRule | None = None

    @property
    def maps_evidence(self) -> bool:
        """Whether the logit is the sum of an evidence map."""
        return len(self.network.outputs) > 1 or len(self.network.outputs[0].shape) > 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutputs:
    """Of n images: `logits` float64 (n,).

    Where the network has them, `evidence` float32 (n, side, side), `features` float32 (n, k), `distances` float64 (n,).
    """

    logits: NDArray[np.float64]
    evidence: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    distances: NDArray[np.float64] | None = None


def network_input(images: NDArray[np.uint8], *, mean: float) -> NDArray[np.float32]:
    """uint8 (n, rows, columns) to float32 (n, rows, columns, 1), `(grey - mean) / 255`."""
    scaled: NDArray[np.float32] = (images.astype(np.float32)[..., None] - np.float32(mean)) / np.float32(GREY_MAX)
    return scaled


def at_input_size(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `images` uint8 (n, 224, 224) as uint8 (n, rows, columns) of the network's input, resized as on the box."""
    return np.stack([to_network_size(image, network.input_shape[1:3]) for image in images])


def predict(predictor: Predictor, images: NDArray[np.uint8]) -> ModelOutputs:
    """Return the model outputs of `images` uint8 (n, 224, 224), n at least 1."""
    outputs = [_outputs(predictor, images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    parts = [np.concatenate(part) for part in zip(*outputs, strict=True)]
    if not predictor.maps_evidence:
        return ModelOutputs(logits=parts[0][:, 1].astype(np.float64) - parts[0][:, 0])
    evidence = parts[0][..., 0]
    features = np.concatenate([part.reshape(len(images), -1) for part in parts[1:]], axis=1) if parts[1:] else None
    outliers = predictor.outliers
    return ModelOutputs(
        logits=evidence.sum(axis=(1, 2), dtype=np.float64) + predictor.bias,
        evidence=evidence,
        features=features,
        distances=None if features is None or outliers is None else outliers.distances(features),
    )


def _outputs(predictor: Predictor, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    output = predictor.network.predict_on_batch(
        network_input(at_input_size(predictor.network, images), mean=predictor.mean)
    )
    return [np.asarray(part) for part in (output if isinstance(output, list | tuple) else [output])]
