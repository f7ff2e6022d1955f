"""A bundle that is refused leaves the memory."""

import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shortlist.bundle import BundleStore
from shortlist.errors import BundleError
from shortlist.serving import loading
from shortlist.serving.served_bundles import ServedBundles

_GOOD, _BAD = "20260101T000000-0000", "20260101T000001-0000"


class _Bundle(SimpleNamespace):
    """Stands for a loaded bundle, which a weak reference can watch."""


def _fails(bundle: Any) -> Any:  # noqa: ANN401 - stands for a bundle
    raise ValueError(f"{bundle.bundle_id} has an odd model")


def _is_unusable(bundle: Any) -> Any:  # noqa: ANN401 - stands for a bundle
    raise BundleError(bundle.directory, "is unusable")


def _ends_too_late(bundle: Any) -> Any:  # noqa: ANN401 - stands for a bundle
    time.sleep(0.2)
    raise ValueError(f"the run of {bundle.bundle_id} was stopped")


@pytest.mark.parametrize("warm_up", [_fails, _is_unusable, _ends_too_late])
@pytest.mark.usefixtures("uncollected")
def test_a_refused_bundle_leaves_the_memory(
    warm_up: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that no traceback keeps a bundle alive whose first query failed, or did not end in time."""
    monkeypatch.setattr(loading, "WARM_UP_SECONDS", 0.05)
    refused = list[weakref.ref[_Bundle]]()

    def open_bundle(directory: Path) -> Any:  # noqa: ANN401 - stands for a bundle
        bundle = _Bundle(directory=directory, bundle_id=directory.name, create_time=datetime.now(UTC))
        if directory.name == _GOOD:
            return SimpleNamespace(bundle=bundle)
        refused.append(weakref.ref(bundle))
        return loading.warmed_up(bundle, lambda: warm_up(bundle))  # type: ignore[arg-type]

    (tmp_path / "CURRENT").write_text(_GOOD)
    served = ServedBundles(BundleStore(tmp_path), open_bundle)
    served.load()
    (tmp_path / "CURRENT").write_text(_BAD)
    served.follow()
    assert served.failure is not None
    assert [reference() for reference in refused] == [None]
