"""The offline command: every file its line, in order; what cannot start says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest

from console.errors import DONE, FAILED, USAGE, report
from device.bundle.loader import BundleError
from device.commands.classify_files import NotWritten, Unusable, _name, classify_paths, files_of
from device.contract import ContractError, IdentifierType, Result, content_id, pseudonym
from device.pipeline.exposure import content_sha256
from tests.device.intake.test_sandbox import deflate_bomb
from tests.support import dicom_files as dicom
from tests.support.dicom_files import make_dx

MEMORY_BAR_MIB = 600


def exit_code(paths: Sequence[Path], **arguments: Any) -> int:
    """Return what the program exits with; its message is on standard error."""
    try:
        return classify_paths(paths, **arguments)
    except (NotWritten, Unusable) as error:
        return report(error, program="pneumoflag-device", extra="device")


@pytest.fixture
def run(tiny_bundle, tmp_path):
    bundle, key = tiny_bundle

    def run(*paths: Path, code: int = DONE, **changes: Any) -> list[dict[str, Any]]:
        out = changes.pop("out", tmp_path / "results.jsonl")
        arguments = {
            "bundle": bundle,
            "out": out,
            "progress": False,
            "site_key": None,
            "trusted": [key.where],
            "backend": "cpu",
            "threads": 1,
        }
        assert exit_code(paths, **{**arguments, **changes}) == code
        return [json.loads(line) for line in out.read_text().splitlines()] if out and out.exists() else []

    return run


@pytest.fixture
def exposures(tmp_path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "exposures"
    (folder / "b" / ".hidden").mkdir(parents=True)
    make_dx(folder / "c.dcm")
    make_dx(folder / "b" / "lateral.dcm", ViewPosition="LL")
    cv2.imwrite(str(folder / "a.png"), dicom.ramp(bits=8).astype("u1"))
    for name in ("notes.txt", ".hidden.dcm", "b/.hidden/exposure.dcm", "empty"):
        (folder / name).write_text("text" if "notes" in name else "")
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to(folder / "absent")
    return folder


def test_every_file_of_a_folder_has_its_line_in_sorted_order(run, exposures):
    lines = run(exposures)
    names = [Path(line["source_path"]).relative_to(exposures).as_posix() for line in lines]
    assert names == ["a.png", "b/lateral.dcm", "c.dcm", "dangling", "empty", "notes.txt", "pipe"]
    assert [line["gate"]["reason"] for line in lines] == [None, "lateral_view", None] + ["unreadable"] * 4
    assert [line["flag"] == "unclassified" for line in lines] == [False, True, False, True, True, True, True]
    for line in lines:
        del line["source_path"]
        assert Result.from_dict(line).seq == 0


def test_lines_come_in_the_order_of_the_arguments_and_repeat_without_a_key(run, exposures):
    named = [exposures / "c.dcm", exposures / "a.png", exposures / "b", exposures / "c.dcm"]
    lines = run(*named)
    paths = [line["source_path"] for line in lines]
    assert paths == [
        str(p) for p in (exposures / "c.dcm", exposures / "a.png", exposures / "b" / "lateral.dcm", exposures / "c.dcm")
    ]
    assert lines[0]["exposure_id"] == content_id(b"", content_sha256(exposures / "c.dcm"))
    assert lines[0]["result_id"] == lines[3]["result_id"]
    for line in lines:
        assert (line["study_id"], line["patient_id"], line["accession_id"]) == (None, None, None)
    for secret in ("Helen", dicom.PATIENT_ID, dicom.SOP_UID, dicom.BIRTH_DATE, dicom.ACCESSION):
        assert secret not in json.dumps(lines)


def test_with_the_sites_key_the_identifiers_are_the_sites(run, exposures, tmp_path):
    key = tmp_path / "site.key"
    key.write_text("5a" * 32)
    key.chmod(0o600)
    line = run(exposures / "c.dcm", site_key=key)[0]
    assert line["patient_id"] == pseudonym(bytes.fromhex("5a" * 32), IdentifierType.PATIENT, dicom.PATIENT_ID)
    assert line["exposure_id"] == pseudonym(bytes.fromhex("5a" * 32), IdentifierType.EXPOSURE, dicom.SOP_UID)


def test_lines_go_to_standard_output_and_progress_beside_them(run, exposures, capsys):
    run(exposures / "b", out=None, progress=True)
    shown = capsys.readouterr()
    assert len([json.loads(line) for line in shown.out.splitlines()]) == 1
    assert "exposures" in shown.err


def test_a_missing_path_is_named_before_anything_is_classified(run, exposures, tmp_path, capsys):
    assert run(exposures, tmp_path / "absent", code=USAGE) == []
    assert "absent: no such file or folder" in capsys.readouterr().err


def test_a_folder_without_exposures_says_so(run, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    run(tmp_path / "none", code=USAGE)
    assert "no files to classify" in capsys.readouterr().err


def test_an_out_that_cannot_be_written_says_so(run, exposures, tmp_path, capsys):
    run(exposures, out=tmp_path / "absent" / "x.jsonl", code=USAGE)
    assert "cannot be written" in capsys.readouterr().err


def test_an_out_that_is_one_of_the_exposures_is_refused_and_the_exposure_stays(
    tiny_bundle, exposures, tmp_path, capsys
):
    exposure = next(iter(files_of([exposures])))
    before = exposure.read_bytes()
    (tmp_path / "link").hardlink_to(exposure)
    for paths, out in [([exposure], exposure), ([exposures], exposure), ([exposure], tmp_path / "link")]:
        assert exit_code(paths, out=out, **_arguments(tiny_bundle)) == USAGE
        assert "is one of the files to classify" in capsys.readouterr().err
        assert exposure.read_bytes() == before


def test_a_name_too_long_for_any_file_is_named(tiny_bundle, capsys):
    assert exit_code([Path("x" * 300)], out=None, **_arguments(tiny_bundle)) == USAGE
    assert "no such file or folder" in capsys.readouterr().err


def test_an_out_without_space_says_so(tiny_bundle, exposures, capsys):
    assert exit_code([exposures], out=Path("/dev/full"), **_arguments(tiny_bundle)) == FAILED
    assert capsys.readouterr().err.startswith("pneumoflag-device: results cannot be written (No space left on device)")


def _arguments(tiny_bundle: Any) -> dict[str, Any]:
    bundle, key = tiny_bundle
    return {
        "bundle": bundle,
        "progress": False,
        "site_key": None,
        "trusted": [key.where],
        "backend": "cpu",
        "threads": 1,
    }


def test_a_bundle_or_key_that_cannot_be_used_stops_it(run, exposures, tmp_path):
    with pytest.raises(BundleError):
        run(exposures, bundle=exposures / "notes.txt")
    with pytest.raises(BundleError, match="trust"):
        run(exposures, trusted=[])
    with pytest.raises(ContractError, match="site key"):
        run(exposures, site_key=tmp_path / "absent")


def test_links_to_folders_are_not_followed_so_a_loop_ends(exposures):
    (exposures / "b" / "loop").symlink_to(exposures)
    names = [path.relative_to(exposures).as_posix() for path in files_of([exposures])]
    assert "b/lateral.dcm" in names
    assert not [name for name in names if name.startswith("b/loop/")]


def test_names_that_are_not_text_are_written_as_text(tmp_path):
    assert _name(Path(os.fsdecode(b"fil\xffm"))) == "fil\\xffm"


@pytest.fixture
def odd_exposures(shared_data) -> list[Path]:
    return sorted((shared_data / "dicom").glob("*.dcm"))


EXPECTED = {
    "not_chest": ["008", "013", "015", "017", "025"],
    "no_pixels": ["021", "023", "243", "245"],
    None: ["014", "018", "019", "020", "027", "030"],
}


def test_odd_files_of_others_end_classified_or_with_the_right_reason(run, odd_exposures):
    lines = run(*odd_exposures)
    assert [line["source_path"] for line in lines] == [str(path) for path in odd_exposures]
    assert len(lines) == 102
    results: dict[str | None, list[str]] = {}
    for line in lines:
        results.setdefault(line["gate"]["reason"], []).append(Path(line["source_path"]).name[:3])
    # All others say that they are something else: CT, MR, US, NM, XA, SR, RT, or a secondary capture of no modality.
    assert results.pop("wrong_modality")
    assert results == EXPECTED


def test_the_whole_tree_stays_below_600_mb_over_odd_files_and_bombs(tiny_bundle, odd_exposures, tmp_path):
    bundle, key = tiny_bundle
    bombs = [deflate_bomb(tmp_path / "bomb1", 240), deflate_bomb(tmp_path / "bomb2", 2048)]
    bombs.append(make_dx(tmp_path / "wide", dicom.ramp(4300, 4300)))
    program = (
        "import sys; from pathlib import Path; from device.commands.classify_files import classify_paths as c; "
        "sys.exit(c([Path(p) for p in sys.argv[3:]], bundle=Path(sys.argv[1]), out=None, progress=False, site_key=None,"
        "trusted=[Path(sys.argv[2])], backend='cpu', threads=2))"
    )
    command = [sys.executable, "-c", program, str(bundle), str(key.where), *map(str, odd_exposures + bombs)]
    peaks = [0.0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as box:
        watcher = threading.Thread(target=_watch, args=(box, peaks))
        watcher.start()
        out, err = box.communicate()
        watcher.join()
    assert box.returncode == DONE
    assert "Traceback" not in err
    assert len(out.splitlines()) == len(odd_exposures) + len(bombs)
    assert 50 < max(peaks) < MEMORY_BAR_MIB


def _watch(box: subprocess.Popen[str], peaks: list[float]) -> None:
    while box.poll() is None:
        peaks.append(_tree_mib(box.pid))
        time.sleep(0.02)


def _tree_mib(pid: int) -> float:
    """Resident memory of a process and all below it; pages that they share count for each."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        worker_pids = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 + sum(_tree_mib(int(worker)) for worker in worker_pids)
