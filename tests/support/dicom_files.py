"""DICOM files made for tests: exposures as a GC85A sends them, and every way in which such a file can be odd.

`make_dx(pixels=..., Modality="CR", ViewPosition=None)` takes DICOM keywords; None removes an attribute.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PATIENT_NAME, PATIENT_ID, BIRTH_DATE, ACCESSION = "Hidden^Helen", "SECRET-4711", "19600314", "ACC-0815"
SOP_UID = "1.2.826.0.1.3680043.10.543.1"
STUDY_UID = "1.2.826.0.1.3680043.10.543.2"


def ramp(rows: int = 320, columns: int = 256, bits: int = 14) -> NDArray[np.uint16]:
    """An image that rises to the right and downwards over the whole range, so that nothing in it is symmetric."""
    down, right = np.mgrid[0:rows, 0:columns]
    share = (down / max(rows - 1, 1) + 2 * right / max(columns - 1, 1)) / 3
    return np.round(share * ((1 << bits) - 1)).astype(np.uint16)


def dataset(pixels: NDArray[Any] | None = None, **changes: Any) -> Dataset:
    """A DX chest exposure, PA, of a woman of 66; 14 bits stored, window over the whole range. No meta group yet."""
    image = ramp() if pixels is None else pixels
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID, ds.StudyInstanceUID = SOP_UID, STUDY_UID
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.543.3"
    ds.StudyDate = ds.AcquisitionDate = "20261123"
    ds.StudyTime, ds.AcquisitionTime = "093000", "093107.250000"
    ds.TimezoneOffsetFromUTC = "+0900"
    ds.AccessionNumber, ds.Modality = ACCESSION, "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer, ds.ManufacturerModelName = "SAMSUNG ELECTRONICS", "GC85A"
    ds.SeriesDescription = "Chest PA"
    ds.PatientName, ds.PatientID = PATIENT_NAME, PATIENT_ID
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = BIRTH_DATE, "F", "066Y"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime, ds.ExposureInuAs = "125", "320", "8", "2500"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape[:2]
    ds.BitsAllocated = 8 * image.dtype.itemsize
    ds.BitsStored = min(14, ds.BitsAllocated)
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth = 1 << (ds.BitsStored - 1), 1 << ds.BitsStored
    ds.PresentationLUTShape = "IDENTITY"
    ds.PixelData = image.tobytes()
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    for keyword, value in changes.items():
        if value is not None:
            setattr(ds, keyword, value)
        elif keyword in ds:
            delattr(ds, keyword)
    return ds


def to_bytes(ds: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The whole file, with preamble and meta group."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", SECONDARY_CAPTURE)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", SOP_UID)
    buffer = io.BytesIO()
    if UID(transfer_syntax) in AllTransferSyntaxes:
        dcmwrite(buffer, ds, enforce_file_format=True)
        return buffer.getvalue()
    # A syntax that pydicom does not know: written as another of the same length.
    stand_in = "1.2.840.10008.1.2.4.100"
    ds.file_meta.TransferSyntaxUID = stand_in
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue().replace(stand_in.encode(), transfer_syntax.encode().ljust(len(stand_in), b"\0"))


def make_dx(
    path: Path,
    pixels: NDArray[Any] | None = None,
    *,
    transfer_syntax: str = ExplicitVRLittleEndian,
    **changes: Any,
) -> Path:
    """Write such a file."""
    path.write_bytes(to_bytes(dataset(pixels, **changes), transfer_syntax))
    return path


def make_compressed(path: Path, frame: bytes, transfer_syntax: str, image: NDArray[Any], **changes: Any) -> Path:
    """The same with one encoded frame of `image`."""
    ds = dataset(image, **changes)
    ds.PixelData = encapsulate([frame], has_bot=False) if frame else b"\xfe\xff\x00\xe0\0\0\0\0"
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    path.write_bytes(to_bytes(ds, transfer_syntax))
    return path


def bare(path: Path, **changes: Any) -> Path:
    """Without preamble and meta group, implicit: what some archives keep."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset(**changes), implicit_vr=True, little_endian=True, enforce_file_format=False)
    path.write_bytes(buffer.getvalue())
    return path


def lut_item(first: int, values: list[int], bits: int = 16) -> Dataset:
    """An item of a VOI or Modality LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values) % 65536, first % 65536, bits])
    item.add_new("LUTData", "OW", np.array(values, "<u2").tobytes())
    return item


def code_item(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def nested_sequences(depth: int) -> bytes:
    """A file of `depth` sequences of undefined length, each in the last."""
    opening = struct.pack("<HHLHHL", 0x0040, 0xA730, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    head = to_bytes(Dataset(), ImplicitVRLittleEndian)
    return head + opening * depth


__all__ = [
    "bare",
    "code_item",
    "dataset",
    "lut_item",
    "make_compressed",
    "make_dx",
    "nested_sequences",
    "ramp",
    "to_bytes",
]
