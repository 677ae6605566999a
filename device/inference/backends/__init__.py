"""Interpreters of a .tflite network: LiteRT or tflite-runtime on the CPU, and the Edge TPU.

Each takes an int8 tensor and gives dequantized outputs. Imported by inference, and by train and
export for int8 checks.
"""
