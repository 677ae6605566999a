"""Small DICOM exposures for tests, and `prepare` in this process with the default policy for adults."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from device.config import GateConfig, LimitsConfig
from device.contract import Reason, Source
from device.intake.gate import Ages, Rejected
from device.intake.prepare import Prepared, prepare

DX_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"


def sop_uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.9.7777.{number}"


def dicom_bytes(
    number: int = 0, *, side: int = 64, sop_class: str = DX_PRESENTATION, sop_instance: str | None = None
) -> bytes:
    """A DICOM file of a DX chest exposure of an adult, `side` x `side`, 14 bits stored."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = sop_instance or sop_uid(number)
    ds.StudyInstanceUID = f"1.2.826.0.1.3680043.9.7777.1.{number}"
    ds.SeriesInstanceUID = f"1.2.826.0.1.3680043.9.7777.2.{number}"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Doe^Jane", f"P{number}", f"A{number}"
    ds.PatientAge, ds.PatientSex, ds.Modality = "051Y", "F", "DX"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.StudyDate, ds.StudyTime = "20261123", "093000"
    ds.PresentationIntentType, ds.PhotometricInterpretation = "FOR PRESENTATION", "MONOCHROME2"
    ds.WindowCenter, ds.WindowWidth = 8192, 16384
    ds.Rows = ds.Columns = side
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 14, 13
    ds.PixelRepresentation, ds.SamplesPerPixel = 0, 1
    pixels = np.random.default_rng(number).integers(0, 16383, (side, side), dtype=np.uint16)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_exposure(folder: Path, number: int = 0, *, side: int = 64) -> Path:
    path = folder / f"exposure-{number:04d}.dcm"
    path.write_bytes(dicom_bytes(number, side=side))
    return path


def prepared(path: Path, **limits: int) -> Prepared:
    return prepare(
        path,
        source_hint=Source.FILE,
        policy=GateConfig(),
        ages=Ages(min_years=20),
        limits=LimitsConfig(**limits),
    )


def reason(path: Path, **limits: int) -> Reason | None:
    decision = prepared(path, **limits).decision
    return decision.reason if isinstance(decision, Rejected) else None
