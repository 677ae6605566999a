"""Charset: a text that was decoded as Latin-1 for want of better comes in; what its bytes most likely say goes out.

pydicom decodes so where Specific Character Set is missing, unknown (`ISO_IR 149`, `KS_X1001`) or its escape sequences
are (vtk-dicom #103, DCMTK #64, fo-dicom #1112). A name that nobody can check is no help against a mix-up of patients.
"""

from __future__ import annotations

import re

_SINGLE_BYTE = re.compile(r"(ISO_IR|ISO 2022 IR) ?(100|101|109|110|144|127|126|138|148|203|13|166)")
_KOREAN, _CHINESE = re.compile(r"149|KS|EUC.?KR", re.IGNORECASE), re.compile(r"GB|58$", re.IGNORECASE)
_HANGUL = re.compile(r"[가-힣]")
_MEDICAL = re.compile(r"[胸部正侧側位面斜椎骨肺]|[흉측정]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def redecoded(text: str, declared: str) -> str:
    """`text` as UTF-8, Korean or Chinese where its bytes are; else unchanged. `declared`: Specific Character Set."""
    if text.isascii():
        return text
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError:
        return text
    utf8 = _decoded(content, "utf-8")
    if utf8 is not None:
        return utf8
    if _SINGLE_BYTE.search(declared):
        return text
    korean, chinese = _decoded(content, "cp949"), _decoded(content, "gb18030")
    if korean is None or chinese is None or _KOREAN.search(declared) or _CHINESE.search(declared):
        preferred = chinese if _CHINESE.search(declared) and chinese is not None else korean
        return preferred or chinese or text
    return max((korean, chinese), key=_likelihood)


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _likelihood(text: str) -> float:
    """Words of the examination first, then Hangul: few other byte pairs fall into it alone."""
    foreign = _NOT_ASCII.findall(text)
    hangul = len(_HANGUL.findall(text)) / max(1, len(foreign))
    return 2.0 * len(_MEDICAL.findall(text)) / max(1, len(foreign)) + (hangul if hangul == 1 else 0)
