"""The commands over a store: import, compare, and what they say when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.app import app
from collector.ingest.messages import parse_message, to_batch
from collector.store.store import Store
from console import program


def cli(*args: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        program.run(app, extra="collector", args=[str(arg) for arg in args])
    return int(stopped.value.code or 0)


@pytest.fixture
def config(tmp_path: Path, key_file: Path, a_result, a_message) -> Path:
    path = tmp_path / "collector.yaml"
    path.write_text(f"site_key_file: {key_file}\nstore: {{url: 'sqlite:///c.sqlite'}}\n")
    store = Store(f"sqlite:///{tmp_path}/c.sqlite")
    store.migrate()
    store.commit(to_batch(parse_message(a_message(a_result(n, probability=n / 10))) for n in range(1, 7)))
    store.close()
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    lines = ["reader,label,sop_instance_uid", *(f"R1,{int(n > 3)},1.2.{n}" for n in range(1, 7))]
    (tmp_path / "reads.csv").write_text("\n".join(lines))
    records = [
        {
            "version": "1.1.0",
            "score_scale": "0-1",
            "sop_instance_uid": f"1.2.{n}",
            "results": [{"finding": "consolidation", "score": n / 7}] if n > 1 else [],
        }
        for n in range(1, 7)
    ]
    (tmp_path / "vuno.json").write_text(json.dumps(records))
    return {"reads": tmp_path / "reads.csv", "vuno": tmp_path / "vuno.json"}


def test_import_and_compare_over_the_store(config, files, tmp_path, capsys):
    assert cli("import-vendor", "--vendor", "vuno", "--config", config, files["vuno"]) == 0
    assert cli("import-reads", "--config", config, files["reads"]) == 0
    assert cli("import-reads", "--config", config, files["reads"]) == 0
    printed = capsys.readouterr().out
    assert "6 new, 0 changed, 0 already there" in printed
    assert "0 new, 0 changed, 6 already there" in printed
    assert "1 without a score" in printed
    out, page = tmp_path / "o.json", tmp_path / "o.html"
    assert cli("compare", "--config", config, "--json", out, "--html", page) == 0
    figures = json.loads(out.read_text())
    assert figures["systems"]["pneumoflag"]["n"] == 6
    assert figures["systems"]["vuno"]["n"] == 5
    assert figures["excluded"]["vuno"]["no_score"]["count"] == 1
    assert "Comparison with the readers" in page.read_text()


def test_compare_can_count_unclassified_exposures_as_wrong(config, files, capsys):
    assert cli("import-reads", "--config", config, files["reads"]) == 0
    assert cli("compare", "--config", config, "--unclassified", "wrong") == 0
    assert "counted as errors" in capsys.readouterr().out


def test_migrate_and_config(config, capsys):
    assert cli("migrate", "--config", config) == 0
    assert cli("config") == 0
    assert "site_key_file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["import-reads", "--config", "nowhere.yaml", "x.csv"], 2, "cannot be read"),
        (["compare"], 2, "--config"),
        (["no-such-command"], 2, "no-such-command"),
        (["import-vendor", "--vendor", "acme", "--config", "c", "f"], 2, "acme"),
    ],
)
def test_wrong_usage_is_exit_code_2(args, code, message, capsys):
    assert cli(*args) == code
    assert message in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_exit_code_1(config, capsys, tmp_path):
    assert cli("compare", "--config", config, "--json", tmp_path / "no" / "o.json") == 1
    assert "No such file" in capsys.readouterr().err


def test_a_file_that_is_no_database_is_one_line(config, tmp_path, capsys):
    (tmp_path / "c.sqlite").write_bytes(b"this is not a database at all, not a bit of it" * 100)
    assert cli("compare", "--config", config) == 1
    error = capsys.readouterr().err
    assert "not a database" in error
    assert error.count("\n") == 1
