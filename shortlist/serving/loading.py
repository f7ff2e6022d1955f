"""Opens a bundle and proves with a first query that it works; no bundle can keep a process from its signals."""

import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import Bundle
from shortlist.errors import BundleError
from shortlist.inference.onnx_session import Runs, stoppable

_LOG = logging.getLogger(__name__)
WARM_UP_SECONDS = 60.0
"""The limit of loading the models and the index and of a first query. The time of the digests before is not limited."""
_STOP_SECONDS = 2.0
_THREADS: "weakref.WeakSet[threading.Thread]" = weakref.WeakSet()
T = TypeVar("T")


def opened(directory: Path, public_key: Path | None) -> Bundle:
    """Opens a bundle: verifies the signature when there is a key, then the files.

    Raises:
        BundleError: the bundle cannot be used, or is not signed with that key.
    """
    if public_key is not None:
        # Not at the top: most installations lack the library that it needs.
        from shortlist.bundle.signature import verify_signature

        verify_signature(directory, public_key)
    return Bundle.open(directory)


def warmed_up(bundle: Bundle, make: Callable[[], T]) -> T:
    """The result of ``make``, which loads models and sends a first query through them, in a thread of its own.

    Raises:
        BundleError: it raised, or did not end within ``WARM_UP_SECONDS``. Its run of a model is then stopped. A thread
            that does not end nevertheless is left behind.
    """
    runs = Runs()

    def run() -> T:
        with stoppable(runs):
            return make()

    thread, made = in_thread("warm-up", run)
    try:
        return made.result(WARM_UP_SECONDS)
    except BundleError:
        raise
    except TimeoutError as error:
        if made.done():
            raise BundleError(bundle.directory, _described(error)) from error
        runs.stop()
        thread.join(_STOP_SECONDS)
        if thread.is_alive():
            _LOG.error("a thread still works on bundle %s, and is left behind", bundle.bundle_id)
        reason = f"did not answer a first query within {WARM_UP_SECONDS:g} s"
        raise BundleError(bundle.directory, reason, "timeout") from error
    except Exception as error:
        raise BundleError(bundle.directory, _described(error)) from error
    finally:
        # The future has the error, whose traceback has this frame: a circle that would keep the bundle mapped.
        del made


def in_thread(name: str, run: Callable[[], T]) -> "tuple[threading.Thread, Future[T]]":
    """Starts ``run`` in a thread that :func:`is_loading` knows of; also the future of its result."""
    result: Future[T] = Future()

    thread = threading.Thread(target=_resolve, args=(result, run), name=name, daemon=True)
    _THREADS.add(thread)
    thread.start()
    return thread, result


def _resolve(result: "Future[T]", run: Callable[[], T]) -> None:
    try:
        result.set_result(run())
    except BaseException as error:
        result.set_exception(error)
        # The same circle, by way of this frame.
        del result


def is_loading() -> bool:
    """Whether a thread of this module still runs. Python must not be finalised then, for native code may crash."""
    return any(thread.is_alive() for thread in _THREADS)


def require_finite(bundle: Bundle, name: str, scores: NDArray[np.float32]) -> None:
    """Refuses a bundle whose model, the file ``name``, returns NaN or infinity for its first query.

    Raises:
        BundleError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise BundleError(bundle.directory / name, "answers a first query with a score that is not finite")


def require_shape(bundle: Bundle, name: str, output: NDArray[Any], *shape: int) -> None:
    """Refuses a bundle whose model, the file ``name``, does not return an array of 32-bit numbers of this shape.

    Raises:
        BundleError: the output has another type or shape.
    """
    if output.dtype != np.float32 or output.shape != shape:
        found = f"{output.dtype} {list(output.shape)}"
        raise BundleError(bundle.directory / name, f"answers a first query with {found}, not float32 {list(shape)}")


def _described(error: BaseException) -> str:
    return f"does not answer a first query: {type(error).__name__}: {error}"
