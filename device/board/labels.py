"""The texts of each flag, reason and caveat for technologists. Plain English, never a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

from device.contract import Caveat, Flag, Reason
from device.inference.heatmap import FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A short headline and one sentence with it."""

    head: str
    text: str


FLAG_LABELS = {
    Flag.PNEUMONIA: Label(head="Pneumonia flagged", text="The probability is at or above the flag threshold."),
    Flag.REVIEW: Label(head="Needs review", text="The probability lies between the two thresholds."),
    Flag.CLEAR: Label(head="No pneumonia flagged", text="The probability is below the lower threshold."),
    Flag.UNCLASSIFIED: Label(head="Not classified", text="The model gave no result. Read the exposure as usual."),
}

_READ = "Read it as usual."
_REPORT = "Read it as usual. Tell the administrator if it happens again."

REASON_LABELS = {
    Reason.UNREADABLE: Label(
        head="The file cannot be read.", text="Check that the image is complete in the PACS, then send it again."
    ),
    Reason.NOT_CHEST: Label(head="Not a chest exposure.", text="Nothing to do: only chest exposures are classified."),
    Reason.LATERAL_VIEW: Label(
        head="Lateral view: not classified.", text="Nothing to do: the frontal exposure gets its own flag."
    ),
    Reason.UNKNOWN_VIEW: Label(
        head="The view is missing.", text="Set the view (PA or AP) at the modality and send the exposure again."
    ),
    Reason.MINOR: Label(head="The patient is below the model's age range.", text=_READ),
    Reason.UNKNOWN_AGE: Label(
        head="The patient's age is missing.", text="Enter the birth date at the modality and send the exposure again."
    ),
    Reason.WRONG_MODALITY: Label(head="Not a chest radiograph.", text="Nothing to do."),
    Reason.FOR_PROCESSING: Label(
        head="A raw image, not meant for reading.", text="Send the processed image (For Presentation)."
    ),
    Reason.NO_PIXELS: Label(
        head="The file contains no image.", text="Check the exposure in the PACS, then send it again."
    ),
    Reason.UNSUPPORTED_TRANSFER_SYNTAX: Label(
        head="This box cannot open the image's compression.",
        text="Tell the administrator: the modality can be set to another compression.",
    ),
    Reason.TOO_LARGE: Label(head="The image exceeds this box's size limit.", text=_REPORT),
    Reason.OUT_OF_DISTRIBUTION: Label(
        head="The image is unlike those the model was trained on.",
        text="Check positioning, collimation and exposure settings. Read it as usual.",
    ),
    Reason.HEADER_CONTRADICTORY: Label(
        head="The exposure's data contradict each other.",
        text="Check view, body part, age and image type at the modality. Read it as usual.",
    ),
}

EVIDENCE = Label(
    head="Where the score comes from",
    text=(
        f"Orange raises the score, blue lowers it. Full colour is {FULL:g} logits per 1 % of the image. "
        "The map explains the score, not the patient."
    ),
)

COULD_NOT = Label(head="The box could not classify this exposure.", text=_REPORT)

CAVEAT_LABELS = {
    Caveat.NOT_DICOM: "image file without patient data",
    Caveat.VIEW_MISSING: "view missing: classified as frontal",
    Caveat.AGE_MISSING: "age missing: classified as adult",
    Caveat.BODY_PART_MISSING: "body part missing: classified as chest",
    Caveat.WINDOW_MISSING: "display window missing: full grey range used",
    Caveat.MULTI_FRAME: "several images in one file: the first was classified",
    Caveat.PIXEL_DATA_LENGTH: "pixel data has an unexpected length",
    Caveat.VIEW_UNCLEAR: "the stated view is unclear: check it",
    Caveat.BODY_PART_UNCLEAR: "the stated body part is unclear: check it",
    Caveat.AGE_UNCLEAR: "the stated age or birth date is unclear: check it",
    Caveat.VALUES_UNCLEAR: "how pixel values become grey is unclear",
    Caveat.ORIENTATION_UNCLEAR: "the image was turned as its header says: check it",
}
