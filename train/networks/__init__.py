"""Networks: a recipe's choice comes in; a Keras model with its pretrained weights goes out.

`predictor` is a trained network as the rest of the project uses it. Imported by quantization, fitting, run and export.
"""
