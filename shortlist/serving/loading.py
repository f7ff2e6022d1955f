"""Opens a bundle and proves with a first query that it works."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import Bundle
from shortlist.errors import BundleError
from shortlist.serving.settings import ServerSettings

WARM_UP_SECONDS = 60.0


def opened(directory: Path, settings: ServerSettings) -> Bundle:
    """Opens a bundle: verifies the signature when a key is configured, then the files.

    Raises:
        BundleError: the bundle cannot be used, or is not signed with that key.
    """
    if settings.bundle_public_key is not None:
        # Not at the top: most installations lack the library that it needs.
        from shortlist.bundle.signature import verify_signature

        verify_signature(directory, settings.bundle_public_key)
    return Bundle.open(directory)


@contextlib.contextmanager
def warming(bundle: Bundle) -> Iterator[None]:
    """Wraps a first query through the models: every exception of the block becomes the bundle's error.

    Raises:
        BundleError: the block raised.
    """
    try:
        yield
    except BundleError:
        raise
    except Exception as error:
        reason = f"does not answer a first query: {type(error).__name__}: {error}"
        raise BundleError(bundle.directory, reason) from error


def require_finite(bundle: Bundle, name: str, scores: NDArray[np.float32]) -> None:
    """Refuses a bundle whose model, the file ``name``, returns NaN or infinity for its first query.

    Raises:
        BundleError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise BundleError(bundle.directory / name, "answers a first query with a score that is not finite")
