"""What `pneumoflag-device` ends with, and what stands on standard error, for wrong usage and for small networks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from console.settings import ConfigError
from device.bundle.loader import PublicKey
from device.config import load_config, require_files
from device.host.stderr import filtered_stderr
from tests.device.test_service import device
from tests.support.box import BoxProcess
from tests.support.mosquitto import free_port

Tiny = tuple[Path, PublicKey]


@pytest.mark.parametrize("command", ["selftest", "classify"])
def test_an_unknown_backend_or_a_bundle_that_is_not_there_is_wrong_usage(tiny_bundle: Tiny, command: str) -> None:
    path, key = tiny_bundle
    images = [path] if command == "classify" else []
    backend = device(command, *images, "--bundle", path, "--trusted-key", key.where, "--backend", "gpu")
    assert (backend.returncode, "auto, cpu, coral, jetson" in backend.stderr) == (2, True)
    absent = device(command, *images, "--bundle", "/nope")
    assert (absent.returncode, absent.stderr.count("\n")) == (2, 1)
    assert absent.stderr.startswith("pneumoflag-device: /nope: bundle cannot be read (No such file or directory); name")


def test_what_is_no_bundle_is_a_failure_and_not_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "text.bundle").write_text("no bundle")
    assert device("selftest", "--bundle", tmp_path / "text.bundle").returncode == 1


def test_nothing_but_errors_stands_on_standard_error(tiny_bundle: Tiny) -> None:
    path, key = tiny_bundle
    passed = device("selftest", "--bundle", path, "--trusted-key", key.where)
    assert (passed.returncode, passed.stderr) == (0, "")


def test_a_selftest_with_a_limit_fails_for_a_network_that_takes_longer(tiny_bundle: Tiny) -> None:
    path, key = tiny_bundle
    slow = device("selftest", "--bundle", path, "--trusted-key", key.where, "--max-ms", "0.000001")
    assert (slow.returncode, "at most 1e-06 ms" in slow.stderr) == (1, True)
    assert device("selftest", "--bundle", path, "--trusted-key", key.where, "--max-ms", "10000").returncode == 0


def test_only_chatter_is_left_out_of_what_a_library_writes(capfd: pytest.CaptureFixture[str]) -> None:
    with filtered_stderr():
        os.write(2, b"INFO: made a delegate\nERROR: a node failed\n")
    assert capfd.readouterr().err == "ERROR: a node failed\n"


def test_a_folder_that_is_not_there_is_named_and_not_made(tmp_path: Path, tiny_bundle: Tiny) -> None:
    typo = tmp_path / "inbx"
    box = BoxProcess(tmp_path, tiny_bundle, broker_port=free_port(), folder={"path": str(typo)})
    with pytest.raises(ConfigError, match=r"folder\.path: .*inbx does not exist; create the folder"):
        require_files(load_config(box.config))
    assert not typo.exists()
    typo.mkdir()
    require_files(load_config(box.config))
