"""The command line: wrong usage ends with code 2 and one line that says what to do."""

from __future__ import annotations

import cv2
import pytest
from pydicom import dcmread

from sim import app
from sim.demo.phantom_check import PhantomResults, format_table
from sim.phantom import Finding
from sim.site.site import NoBundle, newest_bundle


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["pneumoflag-sim", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
        app.main()
    return exit_info.value.code


def test_a_phantom_is_written_as_a_picture(monkeypatch, tmp_path):
    assert run(monkeypatch, "phantom", "--out", tmp_path, "--count", 1, "--finding", "lobar") == 0
    (path,) = tmp_path.iterdir()
    assert "lobar" in path.name
    assert cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape == (1024, 1024)


def test_a_phantom_is_written_as_dicom(monkeypatch, tmp_path):
    arguments = ("--out", tmp_path, "--count", 1, "--format", "dicom", "--view", "hand")
    assert run(monkeypatch, "phantom", *arguments) == 0
    ds = dcmread(next(tmp_path.iterdir()))
    assert (ds.Rows, ds.Columns, ds.BitsStored, ds.BodyPartExamined) == (3072, 3072, 14, "HAND")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("phantom", "--finding", "broken-leg"), "normal, lobar, patchy, mixed"),
        (("modality",), "--port, --folder or both"),
        (("vendors", "none.csv", "--out", "x"), "none.csv"),
        (("demo", "--images", "/nowhere", "--bundle", "x", "--out", "new"), "/nowhere: contains no image"),
    ],
)
def test_wrong_usage_is_reported_in_one_line(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) in {1, 2}
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_a_folder_with_other_files_is_never_cleared(monkeypatch, capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years")
    assert run(monkeypatch, "demo", "--out", tmp_path, "--bundle", "x") == 2
    assert (tmp_path / "thesis.txt").exists()
    assert "--out" in capsys.readouterr().err


def test_help_names_every_command(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    assert {"phantom", "phantom-check", "modality", "vendors", "demo"} <= set(capsys.readouterr().out.split())


def test_the_newest_bundle_is_the_one_for_adults_with_the_highest_number(tmp_path):
    for name in ("edge-adult-2.bundle", "edge-adult-10.bundle", "edge-adult-9.bundle", "edge-paediatric-11.bundle"):
        (tmp_path / name).touch()
    assert newest_bundle(tmp_path).name == "edge-adult-10.bundle"


def test_without_a_bundle_the_message_says_how_to_name_one(tmp_path):
    with pytest.raises(NoBundle, match="--bundle"):
        newest_bundle(tmp_path)


def test_the_phantom_table_counts_every_flag():
    results = {Finding.NORMAL: PhantomResults(flags={"clear": 3, "review": 1}, probabilities=(0.1, 0.2, 0.3, 0.4))}
    assert "| no consolidation | 4 | 0 | 1 | 3 | 0 | 0.100, 0.250, 0.400 |" in format_table(results)
