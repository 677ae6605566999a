"""compare-files: plain case lists, good and bad."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.app import app
from console import program

GOOD_READS = "case_id,label\na,1\nb,0\nc,1\nd,0\n"
GOOD_CALLS = "case_id,label,score\na,1,0.9\nb,0,0.2\nc,0,0.4\nd,0,0.1\n"


def cli(*args: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        program.run(app, extra="collector", args=[str(arg) for arg in args])
    return int(stopped.value.code or 0)


@pytest.fixture
def run(tmp_path: Path):
    def go(reads: str | bytes, *systems: str | bytes) -> tuple[int, dict]:
        def write(name: str, text: str | bytes) -> Path:
            path = tmp_path / name
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            return path

        named = [f"s{i}={write(f's{i}.csv', text)}" for i, text in enumerate(systems)]
        out = tmp_path / "out.json"
        out.unlink(missing_ok=True)
        options = [part for name in named for part in ("--system", name)]
        code = cli("compare-files", "--reads", write("reads.csv", reads), *options, "--json", out)
        return code, json.loads(out.read_text()) if out.exists() else {}

    return go


def test_it_prints_the_studys_table_3_and_that_it_is_not_for_diagnosis(tmp_path, capsys):
    matrices = {"cnn": (138, 93, 3, 297), "vuno": (164, 67, 19, 281), "lunit": (121, 110, 11, 289)}
    reads = tmp_path / "reads.csv"
    reads.write_text("case_id,label\n" + "".join(f"c{i},{int(i >= 231)}\n" for i in range(531)))
    options = []
    for name, (tn, fp, fn, tp) in matrices.items():
        labels = [0] * tn + [1] * fp + [0] * fn + [1] * tp
        path = tmp_path / f"{name}.csv"
        path.write_text("case_id,label\n" + "".join(f"c{i},{v}\n" for i, v in enumerate(labels)))
        options += ["--system", f"{name}={path}"]
    assert cli("compare-files", "--reads", reads, *options) == 0
    printed = capsys.readouterr().out
    cnn, vuno, lunit = (
        "0.8192 0.7615 0.9900 0.8609 0.7937",
        "0.8380 0.8075 0.9367 0.8673 0.8233",
        "0.7721 0.7243 0.9633 0.8269 0.7436",
    )
    for digits in f"{cnn} {vuno} {lunit}".split():
        assert digits in printed
    assert "not for diagnosis" in printed


def test_the_json_has_both_systems_and_their_pair(run):
    code, figures = run(GOOD_READS, GOOD_CALLS, GOOD_CALLS.replace("c,0,0.4", "c,1,0.8"))
    assert code == 0
    assert {k: figures["systems"]["s0"][k] for k in ("n", "tn", "fp", "fn", "tp")} == {
        "n": 4,
        "tn": 2,
        "fp": 0,
        "fn": 1,
        "tp": 1,
    }
    assert figures["systems"]["s0"]["roc_auc"]["value"] == 1.0
    assert [(p["a"], p["b"]) for p in figures["pairs"]] == [("s0", "s1")]
    assert figures["pairs"][0]["sensitivity"]["diff"] == -0.5


def test_a_byte_order_mark_crlf_spaces_and_extra_columns_change_nothing(run):
    wild = b"\xef\xbb\xbf" + GOOD_READS.replace("\n", ",x\r\n").replace(",", " , ").encode()
    code, figures = run(wild, GOOD_CALLS)
    assert code == 0
    assert figures["systems"]["s0"]["n"] == 4


def test_cases_missing_on_either_side_are_counted_and_listed(run):
    code, figures = run(GOOD_READS, "case_id,label\na,1\nzz,0\n")
    assert code == 0
    assert figures["excluded"]["s0"]["missing_in_system"] == {"count": 3, "cases": ["b", "c", "d"]}
    assert figures["excluded"]["s0"]["no_read"] == {"count": 1, "cases": ["zz"]}
    assert figures["systems"]["s0"]["n"] == 1


def test_several_readers_make_a_majority_and_a_tie_is_listed(run):
    reads = "case_id,reader,label\na,r1,1\na,r2,1\na,r3,0\nb,r1,0\nb,r2,1\nc,r1,1\nc,r2,1\nd,r1,0\nd,r2,0\n"
    code, figures = run(reads, GOOD_CALLS)
    assert code == 0
    assert figures["reference"]["ties"] == ["b"]
    assert figures["reference"]["cases"] == 3
    assert figures["excluded"]["s0"]["readers_tied"]["cases"] == ["b"]
    assert figures["reference"]["fleiss_kappa"] is not None


@pytest.mark.parametrize(
    ("reads", "calls", "message"),
    [
        ("", GOOD_CALLS, "reads.csv: empty"),
        ("case_id,label\n", GOOD_CALLS, "no case"),
        ("case,label\na,1\n", GOOD_CALLS, "no column case_id"),
        ("case_id,label\na,2\n", GOOD_CALLS, "line 2: label: expected 0 or 1"),
        ("case_id,label\na,1\n\na,1\n", GOOD_CALLS, "line 4: the same case as in line 2"),
        ("case_id,reader,label\na,r1,1\na,,0\n", GOOD_CALLS, "line 3: reader"),
        (GOOD_READS, "case_id,label\na,\n", "line 2: label"),
        (GOOD_READS, "case_id,label\na,1\na,0\n", "line 3: the same case"),
        (GOOD_READS, "case_id,label,score\na,1,high\n", "line 2: score"),
        (GOOD_READS, "case_id,label,score\na,1,nan\n", "line 2: score"),
        (GOOD_READS, "case_id,label\n,1\n", "line 2: case_id"),
        (GOOD_READS, "case_id,label\na,1,0.2,x\n", "line 2: 4 cells under 2"),
        (GOOD_READS, "case_id,label,label\na,1,1\n", "two columns"),
        (GOOD_READS, 'case_id,label\n"a,1\n', "not CSV"),
        (GOOD_READS, "case_id,label\nM\xfcller,1\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_bad_file_is_one_clear_line_and_exit_code_2(run, capsys, reads, calls, message):
    code, figures = run(reads, calls)
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not figures


@pytest.mark.parametrize("system", ["x", "=f.csv", "x="])
def test_a_system_without_name_or_file_is_a_usage_error(tmp_path, capsys, system):
    (tmp_path / "r.csv").write_text(GOOD_READS)
    assert cli("compare-files", "--reads", tmp_path / "r.csv", "--system", system) == 2
    assert "NAME=FILE" in capsys.readouterr().err


def test_a_system_without_any_read_case_is_noted(run, capsys):
    code, figures = run(GOOD_READS, "case_id,label\nq1,1\n")
    assert code == 0
    assert "do the case_id columns match" in capsys.readouterr().out
    assert figures["systems"]["s0"]["accuracy"] is None


def test_json_alone_goes_to_standard_output(tmp_path, capsys):
    (tmp_path / "r.csv").write_text(GOOD_READS)
    (tmp_path / "s.csv").write_text(GOOD_CALLS)
    assert (
        cli("compare-files", "--reads", tmp_path / "r.csv", "--system", f"x={tmp_path / 's.csv'}", "--json", "-") == 0
    )
    assert json.loads(capsys.readouterr().out)["systems"]["x"]["n"] == 4


def test_the_html_needs_no_network(tmp_path):
    (tmp_path / "r.csv").write_text(GOOD_READS)
    (tmp_path / "s.csv").write_text(GOOD_CALLS)
    page = tmp_path / "p.html"
    files = ("--reads", tmp_path / "r.csv", "--system", f"<b>x={tmp_path / 's.csv'}", "--html", page)
    assert cli("compare-files", *files) == 0
    text = page.read_text()
    assert "<svg" in text
    assert "&lt;b&gt;x" in text
    assert "src=" not in text
    assert 'href="http' not in text
