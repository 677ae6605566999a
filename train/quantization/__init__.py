"""Quantization: a Keras network and representative images come in; an int8 .tflite network goes out.

Imported by fitting, which trains with int8 in mind, and by export.
"""
