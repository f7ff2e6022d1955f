"""The first queries of a bundle, and the mode of a service that sends them and ends."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shortlist.bundle.bundle import ITEM_ENCODER, USER_ENCODER, Bundle
from shortlist.bundle.history import History
from shortlist.errors import BundleError
from shortlist.inference.new_items import NewItemEncoder
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import IdHistory, UserQuery
from shortlist.observability.logs import configure_logs
from shortlist.serving.loading import is_loading, opened, require_finite, require_shape, warmed_up

EXIT_BUNDLE = 3


def check(directory: Path, public_key: Path | None, load: Callable[[Bundle], object]) -> int:
    """Loads one bundle, and prints the reason where it cannot be served.

    Returns:
        The exit code: 0 when it can be served, 3 when it cannot.
    """
    configure_logs(json=False)
    code, outcome = 0, "can be served"
    try:
        if not directory.is_dir():
            raise BundleError(directory, f"is no bundle of {directory.parent}")
        bundle = opened(directory, public_key)
        load(bundle)
        if not bundle.manifest.new_items_refusal:
            warmed_up(bundle, lambda: check_new_items(bundle, NewItemEncoder(bundle)))
    except BundleError as error:
        code, outcome = EXIT_BUNDLE, f"{error.path.name}: {error.reason}"
    except Exception as error:
        code, outcome = EXIT_BUNDLE, f"{type(error).__name__}: {error}"
    print(" ".join(outcome.split()), flush=True)
    if is_loading():
        # A thread that was left behind, in native code.
        sys.stderr.flush()
        os._exit(code)
    return code


def first_user(bundle: Bundle) -> UserQuery:
    """A user of the most popular item, with and without the last kind of event."""
    item = bundle.most_popular
    last = bundle.manifest.event_names[-1] if bundle.manifest.event_names else ""
    return UserQuery(history=IdHistory(item_ids=(item, item), values=(float("nan"),) * 2, events=(last, "")))


def check_encoder(bundle: Bundle, encoder: UserEncoder) -> None:
    """Encodes the histories of two users at once: one of one item, one with the last kind of event.

    Raises:
        BundleError: the vectors are not finite, or not two of the bundle's dimension.
    """
    row = int(bundle.items.popular[0])
    histories = [_history(row, 0), _history(row, len(bundle.manifest.event_names))]
    features = np.zeros((2, bundle.users.features.shape[1]), dtype=np.float32)
    vectors = encoder.encode(histories, features)
    require_shape(bundle, USER_ENCODER, vectors, 2, bundle.manifest.dimension)
    require_finite(bundle, USER_ENCODER, vectors)


def check_new_items(bundle: Bundle, encoder: NewItemEncoder) -> None:
    """Encodes two items at once: one without any feature, one with a one for each.

    Raises:
        BundleError: the vectors or the inputs are not finite, or have another shape than those of the bundle's items.
    """
    width = encoder.featuriser.width
    features = np.stack([np.zeros(width, dtype=np.float32), np.ones(width, dtype=np.float32)])
    for output, known in zip(encoder.encode(features), (bundle.items.vectors, bundle.items.inputs), strict=True):
        require_shape(bundle, ITEM_ENCODER, output, 2, known.shape[1])
        require_finite(bundle, ITEM_ENCODER, output)


def _history(row: int, event: int) -> History:
    return History(
        rows=np.array([row], dtype=np.int32),
        values=np.full(1, np.nan, dtype=np.float32),
        events=np.array([event], dtype=np.int64),
    )
