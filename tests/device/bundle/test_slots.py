from __future__ import annotations

from pathlib import Path

import pytest

from device.bundle import slots
from device.bundle.loader import BundleError
from device.bundle.slots import UpdateError, install, roll_back
from device.config import ModelConfig
from export.bundle.writer import golden_file
from tests.support.bundle_factory import TINY, make_bundle, tiny_golden

GOLDEN, CARD = "golden.npz", {"model_card.md": b"# Tiny\n"}


class Shelf:
    """Bundles of several versions by one signer, and the box's settings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        _, self.key = make_bundle(root)
        self.model = ModelConfig(
            bundle=root / "models" / "active", trusted_keys=(self.key.where,), backend="cpu", threads=1
        )

    def bundle(self, version: int, **how: object) -> Path:
        return make_bundle(self.root, name=f"v{version}.bundle", key=self.root / "test.key", version=version, **how)[0]

    def slots(self) -> set[str]:
        return {path.name for path in (self.root / "models").iterdir()}

    def active(self) -> str:
        return self.model.bundle.readlink().name


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def short_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that passes at once, where the trial is not what is tried."""
    monkeypatch.setattr(slots, "SELFTEST", ["true"])


@pytest.mark.usefixtures("short_trial")
def test_a_new_model_goes_to_the_free_slot_and_the_previous_one_is_kept(shelf: Shelf) -> None:
    first = install(shelf.bundle(1), shelf.model)
    assert (first.model.version, first.previous, shelf.active()) == (1, None, "slot-a.bundle")
    second = install(shelf.bundle(2), shelf.model)
    assert (second.model.version, second.previous.version, shelf.active()) == (2, 1, "slot-b.bundle")
    assert shelf.slots() == {"active", "slot-a.bundle", "slot-b.bundle"}
    back = roll_back(shelf.model)
    assert (back.model.version, shelf.active()) == (1, "slot-a.bundle")


@pytest.mark.usefixtures("short_trial")
def test_an_older_model_is_installed_only_with_the_option(shelf: Shelf) -> None:
    install(shelf.bundle(2), shelf.model)
    with pytest.raises(UpdateError, match="--allow-older"):
        install(shelf.bundle(1), shelf.model)
    assert install(shelf.bundle(1), shelf.model, allow_older=True).model.version == 1


@pytest.mark.usefixtures("short_trial")
def test_a_bundle_of_an_unknown_signer_changes_nothing(shelf: Shelf, tmp_path: Path) -> None:
    install(shelf.bundle(1), shelf.model)
    foreign, _ = make_bundle(tmp_path, name="foreign.bundle", key=tmp_path / "foreign.key", version=9)
    with pytest.raises(BundleError):
        install(foreign, shelf.model)
    assert shelf.slots() == {"active", "slot-a.bundle"}


def test_a_network_that_fails_its_self_test_changes_nothing(shelf: Shelf) -> None:
    install(shelf.bundle(1), shelf.model)
    images, logits = tiny_golden()
    wrong = {"model.tflite": TINY.read_bytes(), GOLDEN: golden_file(images, logits + 3), **CARD}
    with pytest.raises(UpdateError, match="previous model stays"):
        install(shelf.bundle(2, parts=wrong), shelf.model)
    assert (shelf.active(), shelf.slots()) == ("slot-a.bundle", {"active", "slot-a.bundle"})


def test_a_network_that_takes_too_long_changes_nothing(shelf: Shelf) -> None:
    install(shelf.bundle(1), shelf.model)
    hurried = shelf.model.model_copy(update={"max_infer_ms": 1e-6})
    with pytest.raises(UpdateError, match=r"previous model stays active: .*ms wanted \(model\.max_infer_ms\)"):
        install(shelf.bundle(2), hurried)
    assert (shelf.active(), shelf.slots()) == ("slot-a.bundle", {"active", "slot-a.bundle"})


def test_a_file_that_someone_placed_there_is_not_touched(shelf: Shelf) -> None:
    shelf.model.bundle.parent.mkdir()
    shelf.model.bundle.write_bytes(b"mine")
    with pytest.raises(UpdateError, match="expected a link or nothing, got a file"):
        install(shelf.bundle(1), shelf.model)
    assert shelf.model.bundle.read_bytes() == b"mine"


@pytest.mark.usefixtures("short_trial")
def test_without_an_earlier_model_there_is_no_roll_back(shelf: Shelf) -> None:
    with pytest.raises(UpdateError, match="no earlier model"):
        roll_back(shelf.model)
    install(shelf.bundle(1), shelf.model)
    with pytest.raises(UpdateError, match="no earlier model"):
        roll_back(shelf.model)
    assert shelf.active() == "slot-a.bundle"
