"""Words and codes of many vendors and languages, and what they come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.dicom import vocabulary
from device.dicom.vocabulary import View


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("PA", View.PA),
        ("pa", View.PA),
        ("P.A.", View.PA),
        ("p-a", View.PA),
        ("A P", View.AP),
        ("W033 Chest PA", View.PA),
        ("CHEST_AP_PORTABLE", View.AP),
        ("Postero-Anterior", View.PA),
        ("antero-posterior", View.AP),
        ("PA or AP", View.FRONTAL),
        ("Thorax frontal", View.FRONTAL),
        ("Thorax de face", View.FRONTAL),
        ("胸部正面", View.FRONTAL),
        ("AP LORDOTIC", View.AP),
        ("LL", View.LATERAL),
        ("RL", View.LATERAL),
        ("LAT", View.LATERAL),
        ("LATERAL", View.LATERAL),
        ("L LAT", View.LATERAL),
        ("Chest LAT", View.LATERAL),
        ("Thorax seitl.", View.LATERAL),
        ("Torace latero-laterale", View.LATERAL),
        ("Thorax profil", View.LATERAL),
        ("흉부 측면", View.LATERAL),
        ("LLD", View.DECUBITUS),
        ("RLD", View.DECUBITUS),
        ("AP decubitus", View.DECUBITUS),
        ("RAO", View.OBLIQUE),
        ("LPO", View.OBLIQUE),
        ("PA oblique", View.OBLIQUE),
        ("Thorax schräg", View.OBLIQUE),
        ("AXIAL", View.OTHER),
        ("PA and lateral", None),
        ("bilateral", None),
        ("Chest", None),
        ("Paris", None),
        ("", None),
    ],
)
def test_views_are_found_in_words(text, view):
    assert vocabulary.view_in(text) is view


@pytest.mark.parametrize(
    ("text", "view"),
    [
        *((text, View.LATERAL) for text in ("L-L", "L/L", "L_L", "ML", "LATER", "PROFILO", "Side")),
        *((text, View.LATERAL) for text in ("XTABLE", "X-TABLE", "CROSSTABLE", "Cross table")),
        *((text, View.DECUBITUS) for text in ("LATDEC", "DEC", "DLD", "PA DEC")),
        *((text, View.OTHER) for text in ("AX", "LORDOTIC")),
        ("PA", View.PA),
        ("AP LEFT SIDE", View.AP),
        ("AP LORDOTIC", View.AP),
        ("YES", None),
    ],
)
def test_the_view_position_may_be_a_short_form(text, view):
    assert vocabulary.view_stated(text) is view


def test_short_forms_of_views_are_ordinary_words_elsewhere():
    assert vocabulary.view_in("CHEST PA 12 DEC, again later") is View.PA
    assert vocabulary.view_in("CHEST 12 DEC, again later, left side") is None


@pytest.mark.parametrize(
    ("orientation", "view"),
    [
        (["L", "F"], View.FRONTAL),
        (["R", "F"], View.FRONTAL),
        (["LF", "FR"], View.FRONTAL),
        (["A", "F"], View.LATERAL),
        (["P", "F"], View.LATERAL),
        (["L", "P"], None),
        (["L"], None),
        ([], None),
        (["", ""], None),
    ],
)
def test_the_patients_orientation_tells_the_plane(orientation, view):
    assert vocabulary.view_of_orientation(orientation) is view


@pytest.mark.parametrize(
    ("code", "meaning", "view"),
    [
        ("272479007", "postero-anterior", View.PA),
        ("R-10214", "", View.PA),
        ("R-10206", "antero-posterior", View.AP),
        ("399173006", "left lateral", View.LATERAL),
        ("R-10232", "", View.LATERAL),
        ("399135007", "left anterior oblique", View.OBLIQUE),
        ("399348003", "antero-posterior oblique", View.OBLIQUE),
        ("X-1", "Frontal", View.FRONTAL),
        ("X-1", "something", None),
        ("399162004", "cranio-caudal", View.OTHER),
        ("R-10242", "", View.OTHER),
    ],
)
def test_views_are_found_in_codes(code, meaning, view):
    assert vocabulary.view_of_code(code, meaning) is view


@pytest.mark.parametrize(
    "text",
    [
        "CHEST",
        "chest",
        "THORAX",
        "Thorax PA",
        "CHEST PA",
        "CHEST_1",
        "LUNG",
        "LUNGS",
        "Tórax",
        "TORACE",
        "CXR",
        "胸部",
        "흉부",
    ],
)
def test_a_chest_has_many_names(text):
    assert vocabulary.body_part_stated(text) == vocabulary.CHEST


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("HAND", "HAND"),
        ("CSPINE", "CSPINE"),
        ("EXTREMITY", "EXTREMITY"),
        ("RIBS", "RIBS"),
        ("CHESTABDOMEN", "ABDOMEN"),
        ("CHEST ABDOMEN", "ABDOMEN"),
        ("THORACIC SPINE", "SPINE"),
        ("TSPINE", "TSPINE"),
        ("STERNUM", "STERNUM"),
        ("CLAVICLE", "CLAVICLE"),
        ("SHOULDER", "SHOULDER"),
        ("Hidden^Helen", "OTHER"),
        ("무릎", "OTHER"),
    ],
)
def test_another_part_is_not_a_chest(text, part):
    assert vocabulary.body_part_stated(text) == part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("胸椎正位", "TSPINE"),
        ("胸椎", "TSPINE"),
        ("胸腰椎 正位", "SPINE"),
        ("胸骨", "STERNUM"),
        ("흉추 정면", "TSPINE"),
        ("흉골", "STERNUM"),
        ("胸部正面", vocabulary.CHEST),
        ("흉부 정면", vocabulary.CHEST),
    ],
)
def test_bones_that_begin_with_the_sign_of_the_chest_are_not_the_chest(text, part):
    assert vocabulary.body_part_stated(text) == part
    assert vocabulary.body_part_in(text) == part


@pytest.mark.parametrize(
    "text",
    [
        "CHEST PA LEGACY",
        "LEGACY CHEST PA",
        "CHEST HANDHELD",
        "CHEST AP HEAD UP",
        "CHEST PA ARMS UP",
        "CHEST ARMS UP",
        "XR CHEST PA HANDS ON HIPS",
        "Chest PA for heart failure",
        "Heart and lungs",
        "CHEST AP PORTABLE post sternotomy",
    ],
)
def test_ordinary_words_and_the_posture_make_a_chest_no_other_part(text):
    assert vocabulary.body_part_in(text) == vocabulary.CHEST
    assert vocabulary.body_part_stated(text) == vocabulary.CHEST


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("HANDS", "HAND"),
        ("HANDPA", "HAND"),
        ("LEFT LEG, CHEST", "LEG"),
        ("CHEST, RIBS", "RIBS"),
        ("THORACICSPINE", "SPINE"),
        ("CHEST PELVIS", "PELVIS"),
        ("HEART", "HEART"),
        ("Sternoclavicular", "STERNUM"),
    ],
)
def test_another_part_is_still_found_beside_a_chest_or_alone(text, part):
    assert vocabulary.body_part_in(text) == part


@pytest.mark.parametrize("text", ["", "   ", "UNKNOWN", "n/a", "NONE", "???", "0"])
def test_what_says_nothing_is_missing(text):
    assert vocabulary.body_part_stated(text) is None


def test_a_description_may_name_no_part_at_all():
    assert vocabulary.body_part_in("Portable, sitting") is None
    assert vocabulary.body_part_in("XR CHEST 1 VIEW") == vocabulary.CHEST
    assert vocabulary.body_part_in("Knie links, KNEE AP") == "KNEE"


@pytest.mark.parametrize(
    ("code", "meaning", "part"),
    [
        ("T-D3000", "", vocabulary.CHEST),
        ("816094009", "Chest", vocabulary.CHEST),
        ("999", "Thorax", vocabulary.CHEST),
        ("T-D8810", "Hand", "HAND"),
        ("T-1", "", vocabulary.OTHER_PART),
        ("", "", None),
    ],
)
def test_regions_are_found_in_codes(code, meaning, part):
    assert vocabulary.body_part_of_code(code, meaning) == part


@given(st.text(max_size=400))
def test_no_text_is_a_fault_and_none_gets_through(text):
    fixed_terms = {*vocabulary._PARTS.values(), vocabulary.CHEST, vocabulary.OTHER_PART, None}
    assert vocabulary.body_part_stated(text) in fixed_terms
    assert vocabulary.body_part_in(text) in fixed_terms
    assert vocabulary.view_in(text) in {*View, None}
