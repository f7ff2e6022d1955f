"""The manifest is input: anybody with write access to the volume or the bucket can write it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shortlist.bundle import Bundle, Manifest
from shortlist.bundle.manifest import format_version
from shortlist.errors import BundleError
from shortlist.inference.context import ContextEncoder
from tests.shortlist.bundle.fake import NEWEST, manifest_of, publish, write_files

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# The directory is the same for all examples, and each overwrites it.
_many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def valid(tmp_path: Path) -> dict[str, Any]:
    """A valid manifest as JSON, next to the files that it lists."""
    write_files(tmp_path, NEWEST)
    manifest_of(tmp_path, NEWEST).write(tmp_path)
    read: dict[str, Any] = json.loads((tmp_path / "manifest.json").read_text())
    return read


def read(directory: Path, raw: object) -> Manifest:
    (directory / "manifest.json").write_text(json.dumps(raw))
    return Manifest.read(directory)


def test_a_written_manifest_is_read_back(tmp_path: Path) -> None:
    """The checks accept an intact bundle, tables included."""
    publish(tmp_path, NEWEST)
    written = manifest_of(tmp_path / NEWEST, NEWEST)
    opened = Bundle.open(tmp_path / NEWEST).manifest
    for name in ("index", "recipe", "objectives", "context"):
        assert getattr(opened, name) == getattr(written, name)


def test_a_manifest_that_does_not_say_what_an_absent_context_is_can_be_read(
    tmp_path: Path, valid: dict[str, Any]
) -> None:
    """Bundles of releases that did not store it are served as before, with zeros."""
    del valid["context"][0]["absent"]
    assert ContextEncoder(read(tmp_path, valid).context).encode({}).tolist() == [0.0, 0.0]


def test_only_a_bundle_whose_lists_keep_some_events_needs_the_newest_readers(
    tmp_path: Path, valid: dict[str, Any]
) -> None:
    """Proves that bundles without seen events keep the version before, and that both versions are read."""
    assert (format_version(()), format_version(("buy",))) == (4, 5)
    assert read(tmp_path, valid | {"format_version": 4}).seen_events == ()
    chosen = valid | {"event_names": ["buy", "view"], "seen_events": ["buy"], "format_version": 5}
    assert read(tmp_path, chosen).seen_events == ("buy",)


@_many
@given(raw=_JSON)
def test_any_json_is_a_manifest_or_a_bundle_error(tmp_path: Path, raw: object) -> None:
    """No JSON document ends in another exception."""
    with pytest.raises(BundleError):
        read(tmp_path, raw)


@_many
@given(data=st.data(), value=_JSON)
def test_any_value_in_any_place_is_read_or_refused(
    tmp_path: Path, valid: dict[str, Any], data: st.DataObject, value: object
) -> None:
    """The same holds for a valid manifest with one value replaced, at any depth or under any name."""
    changed = json.loads(json.dumps(valid))
    inside: Any = changed
    while True:
        key = data.draw(st.sampled_from(sorted(inside)) | st.text() if isinstance(inside, dict) else st.just(0))
        deeper = inside.get(key) if isinstance(inside, dict) else None
        if not (isinstance(deeper, dict) and deeper and data.draw(st.booleans())):
            break
        inside = deeper
    inside[key] = value
    try:
        manifest = read(tmp_path, changed)
        manifest.verify(tmp_path)
    except BundleError:
        return
    assert isinstance(manifest, Manifest)


@_many
@given(content=st.binary())
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    """The same holds for bytes that are neither JSON nor text."""
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda raw: raw["files"]["index.faiss"].update(size=-1),
            r"<= 1125899906842624|>= 0 - at `\$.files\['index.faiss'\].size`",
        ),
        (lambda raw: raw["files"]["index.faiss"].update(size=2**60), r"at `\$.files\['index.faiss'\].size`"),
        (
            lambda raw: raw["files"]["index.faiss"].update(size=True),
            r"Expected `int`, got `bool` - at `\$.files\['index.faiss'\]",
        ),
        (lambda raw: raw["files"]["index.faiss"].update(sha256="A" * 64), r"at `\$.files\['index.faiss'\].sha256`"),
        (lambda raw: raw["files"]["index.faiss"].update(sha256="../" * 20), r"\['index.faiss'\].sha256`"),
        (lambda raw: raw["files"].update({"../../etc/passwd": raw["files"]["index.faiss"]}), "not a file inside"),
        (lambda raw: raw["files"].update({"manifest.json": raw["files"]["index.faiss"]}), "not a file inside"),
        (lambda raw: raw["files"].update({"x" * 300: raw["files"]["index.faiss"]}), "not a file inside"),
        (lambda raw: raw.update(files=[]), r"Expected `object`, got `array` - at `\$.files`"),
        (lambda raw: raw.update(objectives=[]), "objectives: weight of all of them is out of range"),
        (lambda raw: raw.update(objectives=["like"]), r"Expected `object`, got `str` - at `\$.objectives\[0\]`"),
        (lambda raw: raw.update(objectives=raw["objectives"] * 2), "objectives: name is out of range"),
        (lambda raw: raw["objectives"][0].update(name=""), "objectives: name is out of range"),
        (lambda raw: raw["objectives"][0].update(kind="wish"), "objective 'like': kind is out of range"),
        (lambda raw: raw["objectives"][0].update(weight=5), "objective 'like': weight is out of range"),
        (lambda raw: raw["objectives"][0].update(weight=float("nan")), "objective 'like': weight is out of range"),
        (lambda raw: raw["objectives"][0].update(max_weight=float("inf")), "objective 'like': weight is out of range"),
        (lambda raw: raw["objectives"][0].update(weight=0), "objectives: weight of all of them is out of range"),
        (lambda raw: raw.update(context=raw["context"] * 2), "context: name is out of range"),
        (lambda raw: raw["context"][0].update(kind="text"), "context 'device': kind is out of range"),
        (lambda raw: raw["context"][0].update(kind="numeric"), "context 'device': categories is out of range"),
        (lambda raw: raw["context"][0].update(categories=[]), "context 'device': categories is out of range"),
        (lambda raw: raw["context"][0].update(categories=["tv", "tv"]), "context 'device': categories is"),
        (lambda raw: raw["context"][0].update(mean=float("nan")), "context 'device': mean is out of range"),
        (lambda raw: raw["context"][0].update(std=0), "context 'device': std is out of range"),
        (lambda raw: raw["context"][0].update(absent=[1.0]), "context 'device': absent is out of range"),
        (lambda raw: raw["context"][0].update(absent=[1.5, 0.0]), "context 'device': absent is out of range"),
        (lambda raw: raw["context"][0].update(absent=[float("nan"), 0.0]), "context 'device': absent is out of range"),
        (lambda raw: raw.update(dimension=0), "dimension"),
        (lambda raw: raw.update(dimension=10**400), "dimension"),
        (lambda raw: raw.update(item_count=2**31), "item_count"),
        (lambda raw: raw.update(user_count="1"), r"Expected `int`, got `str` - at `\$.user_count`"),
        (lambda raw: raw.update(value_std=0), "value_std"),
        (lambda raw: raw.update(value_std=10**400), r"Number out of range - at `\$.value_std`"),
        (lambda raw: raw.update(value_mean=float("nan")), "value_mean"),
        (lambda raw: raw.update(value_mean=1e300), r"at `\$.value_mean`"),
        (lambda raw: raw.update(value_std=1e-320), r"at `\$.value_std`"),
        (lambda raw: raw.update(candidate_count=0), r"at `\$.candidate_count`"),
        (lambda raw: raw.update(candidate_count=2**31 - 1), r"at `\$.candidate_count`"),
        (lambda raw: raw.update(encoder_history=0), r"at `\$.encoder_history`"),
        (lambda raw: raw.update(ranker_history=0), r"at `\$.ranker_history`"),
        (lambda raw: raw["index"].update(recall_at=0), r"at `\$.index.recall_at`"),
        (lambda raw: raw["index"].update(recall_at=-5), r"at `\$.index.recall_at`"),
        (lambda raw: raw.update(create_time="yesterday"), "create_time"),
        (lambda raw: raw.update(create_time="0001-01-01T00:00:00+23:00"), "create_time"),
        (lambda raw: raw.update(bundle_id="../other"), "bundle_id"),
        (lambda raw: raw.update(format_version=2), "format version 2; this release reads versions 4 and 5"),
        (lambda raw: raw.update(format_version=5.0), r"got `float` - at `\$.format_version`"),
        (lambda raw: raw.update(format_version=6), "format version 6; this release reads versions 4 and 5"),
        (lambda raw: raw.update(seen_events=["buy"]), "seen_events has 'buy', which is not among event_names"),
        (lambda raw: raw.pop("index"), "missing required field `index`"),
        (lambda raw: raw["index"].update(trials=[{}]), r"missing required field `spec` - at `\$.index.trials\[0\]`"),
        (lambda raw: raw["metrics"].update({"hr@10": "high"}), r"got `str` - at `\$.metrics\['hr@10'\]`"),
        (lambda raw: raw["objectives"][0].pop("weight"), r"missing required field `weight` - at `\$.objectives\[0\]`"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, valid: dict[str, Any], change: Callable[[dict[str, Any]], object], told: str
) -> None:
    """Each wrong value is refused before a file is opened, and the message names its place."""
    change(valid)
    with pytest.raises(BundleError, match=told):
        read(tmp_path, valid)


def test_fields_of_a_later_release_are_ignored(tmp_path: Path, valid: dict[str, Any]) -> None:
    """Proves that a service reads the bundles of a trainer one release ahead, whatever that adds at any depth."""
    before = read(tmp_path, valid)
    trial = {"spec": "Flat", "parameters": "", "recall": 1.0, "search_us": 1.0, "search_us_batch": 1.0}
    valid["index"]["trials"] = [{**trial, "bytes_per_vector": 4.0, "build_seconds": 0.1}]
    known = read(tmp_path, valid)
    for part in (valid, valid["index"], valid["index"]["trials"][0], valid["objectives"][0], valid["context"][0]):
        part["surprise"] = {"of": ["a", "later", "release"]}
    valid["files"]["index.faiss"]["surprise"] = None
    valid["recipe"]["surprise"] = {"key": 1}
    found = read(tmp_path, valid)
    assert replace(found, recipe=known.recipe, metrics=known.metrics) == known
    assert replace(known, index=before.index, metrics=before.metrics) == before
    assert found.recipe["surprise"] == {"key": 1}


def test_lists_within_lists_are_refused(tmp_path: Path) -> None:
    """Deep nesting does not overflow the parser's stack."""
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match="cannot be read"):
        Manifest.read(tmp_path)


def test_a_manifest_of_more_than_all_memory_is_not_read(tmp_path: Path) -> None:
    """The size is checked first."""
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BundleError, match="which no manifest has"):
        Manifest.read(tmp_path)


def test_a_file_that_is_a_symbolic_link_is_refused(tmp_path: Path, valid: dict[str, Any]) -> None:
    """A bundle cannot make a service read another file of the machine."""
    (tmp_path / "index.faiss").rename(tmp_path.parent / "elsewhere")
    (tmp_path / "index.faiss").symlink_to(tmp_path.parent / "elsewhere")
    with pytest.raises(BundleError, match="symbolic link"):
        read(tmp_path, valid)


@pytest.mark.parametrize(
    ("change", "kind"),
    [(Path.unlink, "missing"), (lambda path: path.write_bytes(b""), "damaged")],
)
def test_an_error_has_a_kind_for_the_metric(
    tmp_path: Path, valid: dict[str, Any], change: Callable[[Path], object], kind: str
) -> None:
    """The metric tells a missing file from a changed one."""
    change(tmp_path / "index.faiss")
    with pytest.raises(BundleError) as caught:
        Manifest.read(tmp_path).verify(tmp_path)
    assert (caught.value.kind, caught.value.path.name) == (kind, "index.faiss")
