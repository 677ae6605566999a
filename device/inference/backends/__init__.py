"""Interpreters of a .tflite network: LiteRT or tflite-runtime on the CPU, the Edge TPU, and the Jetson's CPU.

Each takes int8 tensors and gives int8 tensors. Imported by inference and, for int8 checks, by train and export.
"""
