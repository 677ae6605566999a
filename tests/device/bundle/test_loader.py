from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.bundle.loader import (
    GOLDEN,
    MANIFEST,
    MAX_FILE_BYTES,
    MODEL,
    SIGNATURE,
    BadGolden,
    BadManifest,
    BadSignature,
    BundleError,
    DigestMismatch,
    Expired,
    NotABundle,
    PublicKey,
    UntrustedKey,
    load_bundle,
    read_members,
)
from export.bundle.writer import golden_file, read_signing_key, write_bundle
from tests.support.bundle_factory import TINY, make_bundle, tiny_golden

Tiny = tuple[Path, PublicKey]


def rewritten(bundle: Path, out: Path, **changes: bytes | None) -> Path:
    """The same archive with files replaced, added or (None) left out, and no new signature."""
    parts = dict(read_members(bundle))
    named = {name.replace("__", "."): content for name, content in changes.items()}
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**parts, **named}.items():
            if content is not None:
                archive.writestr(name, content)
    return out


def archive_of(path: Path, names: list[str], content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def test_it_loads_a_signed_bundle_with_everything_the_box_needs(tiny_bundle: Tiny) -> None:
    path, key = tiny_bundle
    bundle = load_bundle(path, [key])
    assert bundle.tflite == TINY.read_bytes()
    assert bundle.model.name == "tiny"
    assert bundle.model.digest == bundle.manifest.files[MODEL]
    assert (bundle.thresholds.flag_at, bundle.thresholds.clear_below) == (0.7, 0.3)
    assert bundle.ages.min_years == 20
    assert bundle.golden_inputs.dtype == np.uint8
    assert bundle.golden_logits.shape == (4,)
    assert bundle.edgetpu is None


def test_a_folder_holds_the_same_bundle_as_the_file(tiny_bundle: Tiny, tmp_path: Path) -> None:
    path, key = tiny_bundle
    write_bundle(tmp_path / "folder", dict(read_members(path)))
    assert load_bundle(tmp_path / "folder", [key]).manifest == load_bundle(path, [key]).manifest


def test_the_same_parts_make_the_same_file(tmp_path: Path) -> None:
    first, _ = make_bundle(tmp_path, name="a.bundle")
    second, _ = make_bundle(tmp_path, name="b.bundle")
    assert first.read_bytes() == second.read_bytes()


def test_it_refuses_an_untrusted_signer_and_names_key_and_remedy(tiny_bundle: Tiny, tmp_path: Path) -> None:
    path, key = tiny_bundle
    (tmp_path / "other").mkdir()
    _, other = make_bundle(tmp_path / "other")
    with pytest.raises(UntrustedKey, match=rf"{key.key_id}.*--trusted-key"):
        load_bundle(path, [other])
    with pytest.raises(UntrustedKey):
        load_bundle(path, [])


def test_it_refuses_a_manifest_changed_after_signing(tiny_bundle: Tiny, tmp_path: Path) -> None:
    path, key = tiny_bundle
    text = dict(read_members(path))[MANIFEST].replace(b'"flag_at": 0.7', b'"flag_at": 0.9')
    changed = rewritten(path, tmp_path / "changed.bundle", manifest__json=text)
    with pytest.raises(BadSignature, match="fetch the bundle again"):
        load_bundle(changed, [key])


@pytest.mark.parametrize("name", [MODEL, GOLDEN, "model_card.md"])
def test_it_refuses_a_file_that_was_not_signed(tiny_bundle: Tiny, tmp_path: Path, name: str) -> None:
    path, key = tiny_bundle
    content = bytearray(dict(read_members(path))[name])
    content[len(content) // 2] ^= 1
    changed = rewritten(path, tmp_path / "changed.bundle", **{name.replace(".", "__"): bytes(content)})
    with pytest.raises(DigestMismatch, match=name):
        load_bundle(changed, [key])


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE, MODEL, GOLDEN])
def test_it_refuses_a_bundle_with_a_part_missing(tiny_bundle: Tiny, tmp_path: Path, name: str) -> None:
    path, key = tiny_bundle
    parts = {part: content for part, content in read_members(path) if part != name}
    with zipfile.ZipFile(tmp_path / "less.bundle", "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    with pytest.raises(NotABundle, match=name):
        load_bundle(tmp_path / "less.bundle", [key])


def test_it_refuses_a_part_nobody_signed_for(tiny_bundle: Tiny, tmp_path: Path) -> None:
    path, key = tiny_bundle
    with pytest.raises(NotABundle, match=r"extra\.bin"):
        load_bundle(rewritten(path, tmp_path / "more.bundle", extra__bin=b"?"), [key])


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/b", "a\\b", ".hidden", "dir/"])
def test_it_refuses_parts_with_paths_for_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotABundle):
        load_bundle(archive_of(tmp_path / "x.bundle", [MANIFEST, SIGNATURE, name]), [])


def test_it_refuses_two_parts_of_one_name(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = archive_of(tmp_path / "x.bundle", [MANIFEST, SIGNATURE, MODEL, MODEL])
    with pytest.raises(NotABundle, match="different"):
        load_bundle(archive, [])


def test_it_reads_no_more_than_the_cap_of_a_part_that_unpacks_to_much(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.bundle"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in ((MANIFEST, 1), (SIGNATURE, 1), (MODEL, MAX_FILE_BYTES + 1)):
            archive.writestr(name, bytes(size))
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(NotABundle, match=r"model\.tflite has more than 67108864 bytes"):
        load_bundle(bomb, [])


def test_it_refuses_a_link_in_a_folder(tiny_bundle: Tiny, tmp_path: Path) -> None:
    path, key = tiny_bundle
    folder = tmp_path / "folder"
    write_bundle(folder, dict(read_members(path)))
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(TINY)
    with pytest.raises(NotABundle, match="not a plain file"):
        load_bundle(folder, [key])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_it_says_what_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bundle").write_bytes(content)
    with pytest.raises(NotABundle, match="pneumoflag-export build"):
        load_bundle(tmp_path / "x.bundle", [])


def test_it_says_when_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotABundle, match="cannot be read"):
        load_bundle(tmp_path / "absent.bundle", [])


def test_it_refuses_an_expired_bundle_from_that_moment_on(tmp_path: Path) -> None:
    expires = datetime(2027, 1, 1, tzinfo=UTC)
    path, key = make_bundle(tmp_path, expires=expires)
    load_bundle(path, [key], now=expires - timedelta(seconds=1))
    with pytest.raises(Expired, match="2027-01-01"):
        load_bundle(path, [key], now=expires)


def test_it_refuses_a_signed_manifest_that_it_does_not_understand(tiny_bundle: Tiny, tmp_path: Path) -> None:
    path, key = tiny_bundle
    text = dict(read_members(path))[MANIFEST].replace(b'"schema": 1', b'"schema": 2')
    signature = read_signing_key(tmp_path / "test.key").private.sign(text).hex().encode()
    newer = rewritten(path, tmp_path / "newer.bundle", manifest__json=text, manifest__json__sig=signature)
    with pytest.raises(BadManifest, match="schema"):
        load_bundle(newer, [key])


@pytest.mark.parametrize(
    "golden",
    [
        b"not an archive",
        golden_file(np.zeros((2, 10, 10), np.uint8), np.zeros(2, np.float32)),
        golden_file(np.zeros((2, 224, 224), np.uint8), np.zeros(3, np.float32)),
        golden_file(np.zeros((1, 224, 224), np.uint8), np.array([np.nan], np.float32)),
        golden_file(np.zeros((0, 224, 224), np.uint8), np.zeros(0, np.float32)),
    ],
)
def test_it_refuses_golden_images_that_prove_nothing(tmp_path: Path, golden: bytes) -> None:
    path, key = make_bundle(tmp_path, parts={MODEL: TINY.read_bytes(), GOLDEN: golden})
    with pytest.raises(BadGolden):
        load_bundle(path, [key])


def test_golden_images_with_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, inputs=np.array([{}], dtype=object), logits=np.zeros(1, np.float32))
    path, key = make_bundle(tmp_path, parts={MODEL: TINY.read_bytes(), GOLDEN: stream.getvalue()})
    with pytest.raises(BadGolden):
        load_bundle(path, [key])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_bundle(tmp_path_factory.mktemp("whole"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_never_passes_for_another_network(whole: Tiny, tmp_path: Path, data: st.DataObject) -> None:
    path, key = whole
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = tmp_path / "damaged.bundle"
    damaged.write_bytes(content)
    try:
        loaded = load_bundle(damaged, [key])
    except BundleError:
        return
    assert loaded.tflite == TINY.read_bytes()  # the damage hit a byte that says nothing, such as a time
    assert np.array_equal(loaded.golden_logits, tiny_golden()[1])
