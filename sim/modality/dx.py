"""A DX object as a GC85A would write it, clearly marked as simulated (PS3.3 A.26 and C.8.11.3).

Nothing in it belongs to a person. Manufacturer, Manufacturer's Model Name, Image Comments and the patient's name tell
simulated images from real ones.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
IMPLEMENTATION_UID = "2.25.306508811447310093318245105374092710912"
KVP = 125
TUBE_CURRENT_MA = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """Fictive identifiers of one exposure."""

    patient_name: str
    patient_id: str
    accession: str
    study_uid: str
    series_uid: str
    sop_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How one exposure was acquired. `view` is a DICOM View Position, `time_ms` the exposure time."""

    identifiers: Identifiers
    acquired_at: datetime
    sex: str
    age_years: int
    view: str = "PA"
    body_part: str = "CHEST"
    description: str = "Chest PA"
    time_ms: float = 8.0
    pixel_mm: float = 0.14
    for_processing: bool = False


def dx_bytes(pixels: NDArray[np.uint16], acquisition: Acquisition, *, bits: int = 14) -> bytes:
    """Return a DICOM file, Explicit VR Little Endian, of `pixels` (rows, columns), dense tissue white."""
    buffer = io.BytesIO()
    dx_dataset(pixels, acquisition, bits=bits).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dx_dataset(pixels: NDArray[np.uint16], acquisition: Acquisition, *, bits: int = 14) -> FileDataset:
    """Return the object itself, of `pixels` (rows, columns), dense tissue white."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = FOR_PROCESSING if acquisition.for_processing else FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = acquisition.identifiers.sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "PNEUMOFLAG_SIM"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, acquisition.identifiers.sop_uid
    _patient_and_study(ds, acquisition)
    _equipment_and_exposure(ds, acquisition)
    _image(ds, pixels, acquisition, bits)
    return ds


def _patient_and_study(ds: Dataset, acquisition: Acquisition) -> None:
    at, identifiers = acquisition.acquired_at, acquisition.identifiers
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = identifiers.patient_name, identifiers.patient_id
    ds.PatientSex, ds.PatientAge = acquisition.sex, f"{acquisition.age_years:03d}Y"
    ds.PatientBirthDate = (
        f"{at.year - acquisition.age_years - 1}0701" if at.month < 7 else f"{at.year - acquisition.age_years}0101"
    )
    ds.AccessionNumber = identifiers.accession
    ds.StudyInstanceUID, ds.SeriesInstanceUID = identifiers.study_uid, identifiers.series_uid
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 1, 1
    ds.StudyDescription, ds.SeriesDescription = "Simulated radiography", acquisition.description
    ds.ReferringPhysicianName = ""
    for part in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{part}Date", at.strftime("%Y%m%d"))
        setattr(ds, f"{part}Time", at.strftime("%H%M%S.%f"))
    ds.AcquisitionDateTime = at.strftime("%Y%m%d%H%M%S.%f%z")
    ds.TimezoneOffsetFromUTC = at.strftime("%z")


def _equipment_and_exposure(ds: Dataset, acquisition: Acquisition) -> None:
    ds.Modality = "DX"
    ds.Manufacturer, ds.ManufacturerModelName = "PneumoFlag simulation", "GC85A (simulated)"
    ds.InstitutionName, ds.StationName = "Simulated hospital", "SIM-GC85A"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "SIM0001", "sim"
    ds.BodyPartExamined, ds.ViewPosition = acquisition.body_part, acquisition.view
    ds.PatientOrientation = ["A", "F"] if acquisition.view in {"LL", "RL", "LATERAL"} else ["L", "F"]
    ds.ImageLaterality = "U"
    ds.KVP, ds.XRayTubeCurrent = KVP, TUBE_CURRENT_MA
    mas = TUBE_CURRENT_MA * acquisition.time_ms / 1000
    ds.ExposureTime, ds.Exposure = round(acquisition.time_ms), round(mas)
    ds.ExposureInuAs, ds.ExposureTimeInuS = round(mas * 1000), round(acquisition.time_ms * 1000)
    ds.DistanceSourceToDetector, ds.DistanceSourceToPatient = 1800, 1600
    ds.Grid, ds.FilterMaterial = "FOCUSED", "COPPER"
    ds.DetectorType, ds.DetectorConfiguration = "SCINTILLATOR", "AREA"
    ds.ExposureIndex, ds.TargetExposureIndex, ds.DeviationIndex = f"{62.5 * mas:.1f}", "250.0", "0.0"


def _image(ds: Dataset, pixels: NDArray[np.uint16], acquisition: Acquisition, bits: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PresentationIntentType = "FOR PROCESSING" if acquisition.for_processing else "FOR PRESENTATION"
    ds.ImageComments = "Simulated image, not of a person. Not for diagnosis."
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    ds.ImagerPixelSpacing = [acquisition.pixel_mm, acquisition.pixel_mm]
    ds.PixelSpacing = [acquisition.pixel_mm, acquisition.pixel_mm]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "US"
    ds.PresentationLUTShape = "IDENTITY"
    if not acquisition.for_processing:
        # Required for presentation and forbidden for processing (PS3.3 C.8.11.3.1.6).
        ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
        ds.VOILUTFunction = "LINEAR"
    ds.PixelData = np.ascontiguousarray(pixels, "<u2").tobytes()
