"""Terms: what a header says of view and body part, in words or codes, comes in; one of a few fixed terms goes out.

Only these fixed terms leave the box: free text of a header may hold a name. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

CHEST = "CHEST"
OTHER_PART = "OTHER"
MAX_TEXT = 256
"""Longer descriptions are cut: no attribute read here may be longer."""


class View(StrEnum):
    """How the beam went through the patient. PA, AP and FRONTAL (one of the two) are what the network knows."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "FRONTAL"
    LATERAL = "LATERAL"
    OBLIQUE = "OBLIQUE"
    DECUBITUS = "DECUBITUS"
    OTHER = "OTHER"

    @property
    def frontal(self) -> bool:
        """Whether the network may classify it."""
        return self in {View.PA, View.AP, View.FRONTAL}


_FRONTAL = frozenset({"FRONTAL", "FRONT", "FACE", "FRENTE", "CORONAL"})
_LATERAL = frozenset(
    {"LAT", "LL", "RL", "LLAT", "RLAT", "LATL", "LATR", "LTLAT", "RTLAT", "LLATERAL", "RLATERAL"}
    | {"XTABLE", "CROSSTABLE", "PROFIL", "PROFILE", "PROFILO", "PERFIL", "SEITLICH", "SEITL", "SAGITTAL"}
)
_OBLIQUE = frozenset(
    {"OBL", "OBLIQ", "OBLIQUE", "OBLIQUA", "OBLICUA", "SCHRAG", "SCHRAEG", "RAO", "LAO", "RPO", "LPO", "RLO", "LLO"}
)
_DECUBITUS = frozenset({"RLD", "LLD", "DLD", "DECUBITUS", "DECUB", "DECU", "LATDECUB", "LATDEC"})
_OTHER_VIEW = frozenset({"AXIAL", "TANGENTIAL", "TRANSTHORACIC", "LORDOTIC", "SWIMMERS", "SWIMMER"})
_STATED = {"DEC": View.DECUBITUS, "ML": View.LATERAL, "LM": View.LATERAL, "LATER": View.LATERAL, "SIDE": View.LATERAL}
_STATED |= {"AX": View.OTHER, "PROF": View.LATERAL, "LR": View.LATERAL}
"""Short for a view in View Position alone: elsewhere DEC may be December, and LATER is a word."""
# Chinese, Japanese and Korean are written without spaces.
_SCRIPT_VIEWS = (
    (re.compile("측와|側臥|侧卧"), View.DECUBITUS),
    (re.compile("斜|(?<!검)사위"), View.OBLIQUE),
    (re.compile("正[、・·/ ]?[側侧]|[側侧][、・·/ ]?正|정[·/ ]?측|측[·/ ]?정"), None),
    (re.compile("側面|[側侧]位|측면"), View.LATERAL),
    (re.compile("[後后]前|후전"), View.PA),
    (re.compile("前[後后]|전후"), View.AP),
    (re.compile("正位|正面|정면"), View.FRONTAL),
)
"""The first that is found decides; None: frontal and lateral both."""
_SCRIPT_CHEST = ("胸", "흉부", "가슴")
_SCRIPT_PARTS = {
    "胸椎": "TSPINE",
    "胸腰": "SPINE",
    "흉추": "TSPINE",
    "흉요": "SPINE",
    **dict.fromkeys(("胸骨", "胸锁", "胸鎖", "흉골", "흉쇄"), "STERNUM"),
    **dict.fromkeys(("肋", "늑골", "갈비"), "RIBS"),
    **dict.fromkeys(("锁骨", "鎖骨", "쇄골"), "CLAVICLE"),
    **dict.fromkeys(("腹", "복부"), "ABDOMEN"),
}
"""Looked for first: the sign of the chest also begins its bones' names."""

VIEW_CODES = {
    "399348003": View.AP,
    "R-10206": View.AP,
    "272479007": View.PA,
    "R-10214": View.PA,
    "R-40888": View.PA,
    "399033003": View.FRONTAL,
    "R-10202": View.FRONTAL,
    "399067008": View.LATERAL,
    "R-10224": View.LATERAL,
    "399173006": View.LATERAL,
    "R-10236": View.LATERAL,
    "399198007": View.LATERAL,
    "R-10232": View.LATERAL,
    "30730003": View.LATERAL,
}
"""CID 4010 (DX View), SNOMED CT and the older SNOMED RT codes; all other codes are read by their meaning's words."""

_SNOMED = re.compile(r"R-[0-9A-F]{5}|[0-9]{6,18}")

CHEST_CODES = frozenset({"816094009", "51185008", "T-D3000", "39607008", "T-28000", "43799004", "T-D3200"})
"""CID 4009 and CID 4: chest or thorax, lung, intra-thoracic."""

_CHEST_STEMS = ("CHEST", "THORAX", "THORACIC", "THORACIQUE", "LUNG", "PULMO", "TORAX", "TORACE", "TORACI", "POUMON")
_CHEST_NAMES = frozenset({"CXR", "THX", "BRUSTKORB", "POLMONE", "POLMONI", "LUNGE", "LUNGEN"})
_PART_STEMS = """
    ABD:ABDOMEN PELV:PELVIS SPINE:SPINE CSPINE:CSPINE TSPINE:TSPINE LSPINE:LSPINE SSPINE:SSPINE VERTEB:SPINE
    LUMBAR:LSPINE THORACOLUMB:SPINE CERVICAL:CSPINE CERVICO:CSPINE COCCYX:COCCYX SACR:SACRUM SKULL:SKULL
    HEADNECK:HEAD FACIAL:FACE MANDIB:JAW DENTAL:TEETH RIBCAGE:RIBS CLAVIC:CLAVICLE STERNUM:STERNUM STERNAL:STERNUM
    STERNOCLAV:STERNUM SCAPULA:SCAPULA SHOULDER:SHOULDER HUMER:HUMERUS ELBOW:ELBOW FOREARM:FOREARM RADIUS:FOREARM
    WRIST:WRIST HANDGELENK:WRIST FINGER:FINGER FEMUR:FEMUR KNEE:KNEE PATELLA:KNEE TIBIA:LEG FIBULA:LEG LEGLENGTH:LEG
    ANKLE:ANKLE CALCAN:FOOT EXTREM:EXTREMITY MAMM:BREAST ESOPHAG:ESOPHAGUS STOMACH:STOMACH KIDNEY:KIDNEY
    WHOLEBODY:WHOLEBODY BABYGRAM:WHOLEBODY PHANTOM:PHANTOM
    """
_PART_NAMES = """
    LWS:LSPINE BWS:TSPINE HWS:CSPINE NECK:NECK HEAD:HEAD BRAIN:BRAIN SINUS:SINUS SINUSES:SINUS NASAL:FACE ORBIT:ORBIT
    JAW:JAW TEETH:TEETH RIB:RIBS ULNA:FOREARM ARM:ARM HAND:HAND THUMB:THUMB HIP:HIP THIGH:THIGH LEG:LEG FOOT:FOOT
    FEET:FOOT TOE:TOE HEEL:FOOT BREAST:BREAST HEART:HEART CARDIAC:HEART AORTA:AORTA BOWEL:ABDOMEN COLON:ABDOMEN
    KUB:ABDOMEN BLADDER:BLADDER
    """
_STEMS = dict(pair.split(":") for pair in _PART_STEMS.split())
"""Beginnings of words, to DICOM's own terms (PS3.16 annex L). Ribs and other chest bones are other examinations."""
_NAMES = dict(pair.split(":") for pair in _PART_NAMES.split())
"""Whole words: as beginnings they would find a hand in HANDHELD and a leg in LEGACY."""
_PARTS = _STEMS | _NAMES
_NAME_ENDING = re.compile(r"S?(PA|AP|LAT|LATERAL|OBL|L|R|LT|RT|LEFT|RIGHT|JOINT)?")
_POSTURE = frozenset({"HEART", "HEAD", "ARM", "HAND", "LEG", "FOOT", "HIP"})
"""What an image of the chest may mention after it: `CHEST AP HEAD UP`, `CHEST PA HANDS ON HIPS`."""
BESIDE_CHEST = frozenset({"HEART", "ARM"})
"""Parts that a description of a chest exposure may name alone, such as `C-ARM`."""
_PLACED = frozenset(
    {"ERECT", "STANDING", "UPRIGHT", "SITTING", "SUPINE", "PRONE", "PORTABLE", "BEDSIDE", "GRID", "YES", "NO"}
    | {"MOBILE", "WALL", "TABLE", "BED", "STEHEND", "LIEGEND", "DEBOUT", "COUCHE"}
)
_UNSAID = frozenset({"", "UNKNOWN", "UNDEFINED", "UNSPECIFIED", "NONE", "NA", "N", "A", "OTHER", "ANY", "DEFAULT"})


def tokens(text: str) -> list[str]:
    """Upper-case words without accents; `P.A.`, `p-a` and `A P` become PA and AP."""
    plain = unicodedata.normalize("NFKD", text[:MAX_TEXT].upper())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"\b(POSTERO|ANTERO|LATERO)[\s./-]+(ANTERIOR|POSTERIOR|LATERAL)", r"\1\2", plain)
    plain = re.sub(r"\b([PA])[.\s/-]+([PA])\b", r"\1\2", plain)
    plain = re.sub(r"(?<![A-Z])(?:L\s?[./_-]\s?L|R\s?[-_→>]+\s?L|L\s?[-_→>]+\s?R)(?![A-Z])", " LL ", plain)
    plain = re.sub(r"(?<![A-Z])(X|CROSS)[\s_-]+TABLE(?![A-Z])", "XTABLE", plain)
    return re.findall(r"[A-Z]+", plain)


def view_stated(text: str) -> View | None:
    """View Position: a view as in any text, or one of the short forms that only stand there."""
    short = [_STATED[word] for word in tokens(text) if word in _STATED]
    return View.DECUBITUS if View.DECUBITUS in short else view_in(text) or next(iter(short), None)


def view_in(text: str) -> View | None:
    """The view that a text names; None when it names none, or frontal and lateral both."""
    if scripted := next((pair for pair in _SCRIPT_VIEWS if pair[0].search(text)), None):
        return scripted[1]
    names = set(tokens(text))
    names |= {_without_chest(name)[1] for name in names}
    if names & _DECUBITUS:
        return View.DECUBITUS
    if names & _OBLIQUE:
        return View.OBLIQUE
    frontal = _frontal_in(names)
    named_lateral = any(word.startswith(("LATERAL", "LATEROLAT")) and word != "LATERALITY" for word in names)
    if named_lateral or names & _LATERAL:
        return None if frontal else View.LATERAL
    return frontal or (View.OTHER if names & _OTHER_VIEW else None)


def _frontal_in(names: set[str]) -> View | None:
    pa = "PA" in names or any(word.startswith("POSTEROANT") for word in names)
    ap = "AP" in names or any(word.startswith("ANTEROPOST") for word in names)
    if pa or ap:
        return View.FRONTAL if pa and ap else View.PA if pa else View.AP
    return View.FRONTAL if names & _FRONTAL else None


def is_silent_on_view(text: str) -> bool:
    """Whether View Position says nothing of the view: empty, unknown, or how the patient was placed."""
    has_script = any(c.isalpha() and not c.isascii() for c in text)
    return not has_script and set(tokens(text)) <= _UNSAID | _PLACED


def view_of_code(code: str, meaning: str) -> View | None:
    """The view of a coded concept: by its code, or else by the words of its meaning.

    A SNOMED code that is neither known nor explained is another view: the frontal ones are all known.
    """
    view = view_in(meaning)
    if view in {View.OBLIQUE, View.DECUBITUS}:
        return view
    return VIEW_CODES.get(code) or view or (View.OTHER if _SNOMED.fullmatch(code) else None)


def view_of_orientation(orientation: Iterable[str]) -> View | None:
    """Patient Orientation (0020,0020): where the rows and the columns point to. Two axes tell the plane."""
    axes = {_axis(value) for value in orientation}
    if axes == {"side", "height"}:
        return View.FRONTAL
    return View.LATERAL if axes == {"depth", "height"} else None


def _axis(value: str) -> str:
    # "LF" is chiefly to the left: the first letter leads (C.7.6.1.1.1).
    return {"L": "side", "R": "side", "A": "depth", "P": "depth", "H": "height", "F": "height"}.get(value[:1], "")


def body_part_stated(text: str) -> str | None:
    """Body Part Examined: CHEST, another fixed term, OTHER for one unknown here; None when nothing is said."""
    names = tokens(text)
    named = body_part_in(text)
    non_latin = any(c.isalpha() and not c.isascii() for c in text)
    if named is None and set(names) <= _UNSAID and not non_latin:
        return None
    return named or OTHER_PART


def body_part_in(text: str) -> str | None:
    """The body part a description names: CHEST only when it names no other part besides; None when it names none.

    The heart beside a chest, and after a chest what tells the posture, are no other parts.
    """
    parts = _parts_in(text)
    if CHEST not in parts:
        return parts[0] if parts else None
    mentioned = _POSTURE if parts[0] == CHEST else {"HEART"}
    return next((part for part in parts if part != CHEST and part not in mentioned), CHEST)


def _parts_in(text: str) -> list[str]:
    """Every part named, in the order of the text; those in scripts without spaces come last."""
    parts: list[str] = []
    for word in tokens(text):
        chest, rest = _without_chest(word)
        other = _other_part(rest)
        parts += [part for part in (CHEST if chest else None, other) if part]
    scripted = [part for signs, part in _SCRIPT_PARTS.items() if signs in text]
    chest = not scripted and any(sign in text for sign in _SCRIPT_CHEST)
    return [*parts, *scripted, CHEST] if chest else [*parts, *scripted]


def _without_chest(word: str) -> tuple[bool, str]:
    """Whether the word begins with the chest, and what follows: CHESTABDOMEN is not a chest image."""
    if word in _CHEST_NAMES:
        return True, ""
    for stem in _CHEST_STEMS:
        if word.startswith(stem):
            return True, word[len(stem) :]
    return False, word


def _other_part(word: str) -> str | None:
    for stem, part in _STEMS.items():
        if word.startswith(stem):
            return part
    for name, part in _NAMES.items():
        if word.startswith(name) and _NAME_ENDING.fullmatch(word, len(name)):
            return part
    return None


def body_part_of_code(code: str, meaning: str) -> str | None:
    """The part of a coded anatomic region: by its code, or else by the words of its meaning."""
    if code in CHEST_CODES:
        return CHEST
    return body_part_in(meaning) or (OTHER_PART if code or meaning else None)
