from __future__ import annotations

from pathlib import Path

import pytest

from console.settings import ConfigError, settings_template
from device.config import DeviceConfig, load_config, require_files

GOOD = "site: hospital\ndevice: room-1\nsite_key_file: site.key\nmodel: {bundle: m.bundle}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "device.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert config.site_key_file == tmp_path / "site.key"
    assert config.model.bundle == tmp_path / "m.bundle"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sitee: x", "sitee: unknown setting; `pneumoflag-device config` prints every setting"),
        ("dicom: {port: 70000}", "dicom.port: Input should be less than or equal to 65535"),
        ("dicom: {enabled: false}", "settings: nothing to receive from: enable dicom or name folder.path"),
        ("board: 3", "board: Input should be a valid dictionary or instance of BoardConfig"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, change: str, message: str) -> None:
    path = written(tmp_path, GOOD + change)
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert str(refused.value) == f"{path}: {message}"


def test_the_printed_settings_are_a_configuration_that_loads(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, settings_template(DeviceConfig)))
    assert config.model.bundle == tmp_path / "model.bundle"
    assert config.dicom == DeviceConfig.model_fields["dicom"].default


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\t"])
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"device\.yaml"):
        load_config(written(tmp_path, text))


def test_a_missing_certificate_is_named_and_not_taken_for_an_absent_broker(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD + "broker: {tls: true, ca_file: ca.crt}"))
    with pytest.raises(ConfigError, match=r"broker\.ca_file: .*ca\.crt does not exist"):
        require_files(config)
    (tmp_path / "ca.crt").touch()
    require_files(config)


@pytest.mark.parametrize("profile", ["coral-dev-board", "coral-usb", "generic-x86", "jetson-orin-nano"])
def test_the_shipped_profiles_are_sound(project_root: Path, profile: str) -> None:
    assert isinstance(load_config(project_root / "firmware_config" / f"{profile}.yaml"), DeviceConfig)
