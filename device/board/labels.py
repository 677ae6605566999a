"""Words: flags, reasons and caveats come in; what a technologist reads goes out. Plain English, never a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

from device.contract import Caveat, Flag, Reason
from device.inference.heatmap import FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A short headline and one sentence with it."""

    head: str
    text: str


FLAG_WORDS = {
    Flag.PNEUMONIA: Words(head="Pneumonia flagged", text="The probability is at or above the flag threshold."),
    Flag.REVIEW: Words(head="Needs review", text="Between the two thresholds: the model is not sure."),
    Flag.CLEAR: Words(head="No pneumonia flagged", text="The probability is below the lower threshold."),
    Flag.UNCLASSIFIED: Words(head="Not judged", text="The model has not judged this film. Read it as usual."),
}

_READ = "Read it as usual."
_TELL = "Read it as usual; tell the administrator if it happens again."

REASON_WORDS = {
    Reason.UNREADABLE: Words(
        head="The file cannot be read.", text="Look whether the film is whole in the PACS, and send it again."
    ),
    Reason.NOT_CHEST: Words(head="Not a chest film.", text="Nothing to do: only chest films are judged."),
    Reason.LATERAL_VIEW: Words(
        head="Lateral view: not judged.", text="Nothing to do: the frontal film gets a flag of its own."
    ),
    Reason.UNKNOWN_VIEW: Words(
        head="The film does not say its view.", text="Set the view (PA or AP) at the modality and send it again."
    ),
    Reason.MINOR: Words(head="The patient is younger than the model may judge.", text=_READ),
    Reason.UNKNOWN_AGE: Words(
        head="The film does not say the patient's age.", text="Enter the birth date at the modality and send it again."
    ),
    Reason.WRONG_MODALITY: Words(head="Not a radiograph of the kind judged here.", text="Nothing to do."),
    Reason.FOR_PROCESSING: Words(
        head="A raw image, not made for reading.", text="Send the processed image (For Presentation)."
    ),
    Reason.NO_PIXELS: Words(head="There is no image in the file.", text="Look at the film in the PACS; send it again."),
    Reason.UNSUPPORTED_TRANSFER_SYNTAX: Words(
        head="Compressed in a way this box cannot open.",
        text="Tell the administrator: the modality can send otherwise.",
    ),
    Reason.TOO_LARGE: Words(head="The image is larger than this box may open.", text=_TELL),
    Reason.OUT_OF_DISTRIBUTION: Words(
        head="The image is unlike the chest films the model knows.",
        text="Check position, collimation and exposure; read it as usual.",
    ),
}

EVIDENCE = Words(
    head="Where the score comes from",
    text=(
        f"Orange speaks for pneumonia, blue against it; full colour is {FULL:g} logits per 1 % of the film. "
        "It explains the score, not the patient."
    ),
)

COULD_NOT = Words(head="The box could not judge this film.", text=_TELL)

CAVEAT_WORDS = {
    Caveat.NOT_DICOM: "picture file, without patient data",
    Caveat.VIEW_MISSING: "view not given: judged as frontal",
    Caveat.AGE_MISSING: "age not given: judged as adult",
    Caveat.BODY_PART_MISSING: "body part not given: judged as chest",
    Caveat.WINDOW_MISSING: "no display window: whole grey range used",
    Caveat.MULTI_FRAME: "several images in one file: the first was judged",
    Caveat.PIXEL_DATA_LENGTH: "image data of unexpected length",
}
