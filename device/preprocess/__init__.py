"""Preprocessing: stored pixel values come in; the network's uint8 input image goes out.

The one copy of it: training and the box use the same functions. Takes numpy arrays and knows no file.
Imported by dicom, intake, inference, bundle, train and export.
"""
