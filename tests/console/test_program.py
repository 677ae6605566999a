"""What all five programs have in common at the command line."""

from __future__ import annotations

import importlib
import logging
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

from console.errors import ExpectedError, UsageError
from console.program import new_app, run

PROGRAMS = ("device", "collector", "train", "export", "sim")
SLOW_MODULES = {"cv2", "keras", "numpy", "pandas", "pydantic", "rich.console", "sqlalchemy", "tensorflow", "uvicorn"}


def started(role: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program as its console script does, and print the modules that it imported after its own output."""
    script = (
        "import sys, atexit; atexit.register(lambda: print('MODULES', *sys.modules)); "
        f"sys.argv = ['pneumoflag-{role}', *sys.argv[1:]]; from {role}.app import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def raising(error: BaseException) -> typer.Typer:
    app = new_app("pneumoflag-x", "Does something.")

    @app.command()
    def fail() -> None:
        raise error

    return app


def failed(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as stopped:
        run(raising(error), extra="device", args=["fail"])
    return stopped.value.code, capsys.readouterr().err


@pytest.mark.parametrize("role", PROGRAMS)
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_start_without_slow_imports(role: str, option: str) -> None:
    ended = started(role, option)
    output, _, modules = ended.stdout.partition("MODULES")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not SLOW_MODULES & set(modules.split())
    if option == "--version":
        assert output.strip() == f"pneumoflag-{role} {metadata.version('pneumoflag')}"
    else:
        for part in ("Exit codes", "--version", "--install-completion", "Example: pneumoflag-"):
            assert part in output


@pytest.mark.parametrize("role", PROGRAMS)
def test_a_wrong_option_or_command_is_wrong_usage(role: str) -> None:
    for wrong in ("--no-such-option", "no-such-command"):
        ended = started(role, wrong)
        assert (ended.returncode, wrong in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)


@pytest.mark.parametrize("role", PROGRAMS)
def test_the_shell_completes_commands(role: str) -> None:
    first = importlib.import_module(f"{role}.app").app.registered_commands[0]
    name = first.name or first.callback.__name__.replace("_", "-")
    variable = f"_PNEUMOFLAG_{role.upper()}_COMPLETE"
    variables = {"COMP_WORDS": f"pneumoflag-{role} {name[:2]}", "COMP_CWORD": "1"}
    ended = started(role, **{variable: "complete_bash", **variables})
    assert name in ended.stdout.partition("MODULES")[0].split()


@pytest.mark.parametrize("role", PROGRAMS)
def test_every_command_and_option_has_a_help_text(role: str) -> None:
    command = typer.main.get_command(importlib.import_module(f"{role}.app").app)
    for name, inner in command.commands.items():
        assert inner.help, name
        assert [option.name for option in inner.params if not option.help] == [], name
        assert f"Example: pneumoflag-{role} {name}" in " ".join(inner.help.split()), name


@pytest.mark.parametrize("role", PROGRAMS)
def test_the_help_of_an_option_names_no_type_of_the_language(role: str) -> None:
    command = typer.main.get_command(importlib.import_module(f"{role}.app").app)
    for inner in command.commands.values():
        options = inner.get_help(typer.Context(inner)).partition("Options:")[2]
        assert not [text for text in ("<list", " range>", "<%") if text in options], options


def test_an_option_of_one_name_has_one_meaning_in_all_programs() -> None:
    texts: dict[str, set[str]] = {}
    for role in PROGRAMS:
        for inner in typer.main.get_command(importlib.import_module(f"{role}.app").app).commands.values():
            for option in inner.params:
                texts.setdefault(option.opts[0], set()).add(option.help)
    for name in ("--trusted-key", "--backend", "--threads", "--key", "--json", "--stay"):
        assert len(texts[name]) == 1, texts[name]


def test_the_documents_show_only_options_that_exist(project_root: Path, tracked: list[str]) -> None:
    apps = {role: typer.main.get_command(importlib.import_module(f"{role}.app").app).commands for role in PROGRAMS}
    shown = re.compile(rf"pneumoflag-({'|'.join(PROGRAMS)}) ([a-z][a-z-]+)([^\n`#|]*)")
    for name in (name for name in tracked if name.endswith(".md") and name != "CHANGELOG.md"):
        for role, command, rest in shown.findall((project_root / name).read_text(encoding="utf-8")):
            options = {option for each in apps[role][command].params for option in each.opts + each.secondary_opts}
            assert set(re.findall(r"(?<!\w)--[a-z][a-z-]+", rest)) <= options | {"--help"}, f"{name}: {command}{rest}"


def test_an_expected_error_is_one_line_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(UsageError("a: is wrong; use b"), capsys) == (2, "pneumoflag-x: a: is wrong; use b\n")
    assert failed(ExpectedError("a failed; try b"), capsys) == (1, "pneumoflag-x: a failed; try b\n")


def test_a_missing_package_names_the_extra_that_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = failed(ModuleNotFoundError("No module named 'cv2.x'", name="cv2.x"), capsys)
    assert code == 1
    assert text == ("pneumoflag-x: cv2 is not installed in this environment; run: pip install 'pneumoflag[device]'\n")


def test_a_missing_module_of_the_project_is_an_unexpected_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = ModuleNotFoundError("No module named 'device.nothing'", name="device.nothing")
    assert "pip install" not in failed(error, capsys)[1]


def test_an_operating_system_error_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    error = FileNotFoundError(2, "No such file or directory", "/no/where")
    assert failed(error, capsys) == (1, "pneumoflag-x: /no/where: No such file or directory\n")


def test_an_unexpected_error_is_one_line_for_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    code, text = failed(ZeroDivisionError("division by zero"), capsys)
    assert code == 1
    assert text == "pneumoflag-x: ZeroDivisionError: division by zero (set PNEUMOFLAG_TRACEBACK=1 to see where)\n"


def test_an_unexpected_error_is_logged_with_its_traceback_by_a_service(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert failed(ZeroDivisionError("division by zero"), capsys) == (1, "")
    (record,) = caplog.records
    assert (record.message, record.exc_info and record.exc_info[0]) == ("unexpected_error", ZeroDivisionError)


def test_the_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMOFLAG_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()), extra="device", args=["fail"])
