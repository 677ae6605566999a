"""The study's network, built in Keras from a recipe's network section.

Every network takes float32 (n, 224, 224, 1), `(grey - mean) / 255`, and answers logits (n, 2): normal, pneumonia.
"""

from __future__ import annotations

import keras

from train.recipe import OptimizerSection, StudyNetwork

GREY_MAX = 255.0
SHAPE = (224, 224, 1)


def build(network: StudyNetwork, optimizer: OptimizerSection, *, shape: tuple[int, int, int] = SHAPE) -> keras.Model:
    """The study's network. Its first layer sees grey values minus their mean, unscaled, as in MATLAB."""
    image = keras.Input(shape, name="image")
    x = keras.layers.Rescaling(GREY_MAX, name="grey_values")(image)
    return keras.Model(image, _layers(x, network, optimizer), name=network.architecture)


def folded(network: keras.Model, section: StudyNetwork, optimizer: OptimizerSection) -> keras.Model:
    """The same function without the rescaling layer: the first convolution carries the factor. For the box."""
    image = keras.Input(network.input_shape[1:], name="image")
    plain = keras.Model(image, _layers(image, section, optimizer), name=section.architecture)
    kernel, bias, *others = network.get_weights()
    plain.set_weights([kernel * GREY_MAX, bias, *others])
    return plain


def _layers(x: keras.KerasTensor, network: StudyNetwork, optimizer: OptimizerSection) -> keras.KerasTensor:
    # MATLAB adds l2 * w to the gradient of a weight; Keras' penalty l * w^2 adds 2 * l * w.
    decay = keras.regularizers.L2(optimizer.l2 / 2)
    # Named, because the names end up in the .tflite and its digest: Keras' own count up through the process.
    for index, filters in enumerate(network.filters, start=1):
        options = {"padding": "same", "activation": "relu", "kernel_regularizer": decay}
        x = keras.layers.Conv2D(filters, network.kernel, **options, name=f"conv{index}")(x)
        x = keras.layers.MaxPooling2D(2, 2, name=f"pool{index}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Dense(2, kernel_regularizer=decay, dtype="float32", name="logits")(x)


def sgdm(section: OptimizerSection) -> keras.optimizers.Optimizer:
    """MATLAB's `sgdm`: step = momentum * last step - learning rate * gradient."""
    return keras.optimizers.SGD(learning_rate=section.learning_rate, momentum=section.momentum)
