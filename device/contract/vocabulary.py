"""The fixed terms of the contract. After the first release, adding or removing one raises `SCHEMA`."""

from __future__ import annotations

from enum import StrEnum


class Flag(StrEnum):
    """What the technologist sees."""

    PNEUMONIA = "pneumonia"
    REVIEW = "review"
    CLEAR = "clear"
    UNCLASSIFIED = "unclassified"


class GateStatus(StrEnum):
    """Whether the exposure was passed to the network."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why the gate rejected an exposure."""

    UNREADABLE = "unreadable"
    NOT_CHEST = "not_chest"
    LATERAL_VIEW = "lateral_view"
    UNKNOWN_VIEW = "unknown_view"
    MINOR = "minor"
    UNKNOWN_AGE = "unknown_age"
    WRONG_MODALITY = "wrong_modality"
    FOR_PROCESSING = "for_processing"
    NO_PIXELS = "no_pixels"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    TOO_LARGE = "too_large"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    HEADER_CONTRADICTORY = "header_contradictory"


class Caveat(StrEnum):
    """What the image file did not state, or stated in an unusual way, though the exposure was classified."""

    NOT_DICOM = "not_dicom"
    VIEW_MISSING = "view_missing"
    AGE_MISSING = "age_missing"
    BODY_PART_MISSING = "body_part_missing"
    WINDOW_MISSING = "window_missing"
    MULTI_FRAME = "multi_frame"
    PIXEL_DATA_LENGTH = "pixel_data_length"
    VIEW_UNCLEAR = "view_unclear"
    BODY_PART_UNCLEAR = "body_part_unclear"
    AGE_UNCLEAR = "age_unclear"
    VALUES_UNCLEAR = "values_unclear"
    ORIENTATION_UNCLEAR = "orientation_unclear"


class Source(StrEnum):
    """Whether the image came as DICOM or as another file."""

    DICOM = "dicom"
    FILE = "file"
