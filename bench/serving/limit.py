"""The limit: one thread calls the same models in one process, one request at a time, without gRPC.

``python -m bench.serving.limit BUNDLES`` answers each line ``encoder SECONDS`` or ``vector SECONDS`` with a line of
JSON: microseconds of CPU time a request and the median latency. ``vector`` starts from user vectors, without encoding.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.harness.planted import CANDIDATES
from bench.harness.requests import LIMIT, user_ids
from ranking_service.options import OptionsReader
from ranking_service.ranker import OnnxRanker
from retrieval_service.index import FaissIndex
from shortlist.bundle import Bundle, BundleStore
from shortlist.inference.selection import best_first
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import ResolvedUser, UserQuery, resolve_user

Work = Callable[[ResolvedUser, NDArray[np.float32] | None], None]


def bare_loop(bundle: Bundle) -> Work:
    """The bare work of one request: vector → candidates → scores → best items."""
    encoder, index, ranker = UserEncoder(bundle), FaissIndex(bundle), OnnxRanker(bundle)
    options = OptionsReader(bundle.manifest).default

    def work(user: ResolvedUser, vector: NDArray[np.float32] | None) -> None:
        if vector is None:
            vector = encoder.encode([user.history], user.features)[0]
        candidates = index.search(vector, CANDIDATES)
        logits = ranker.score([user], [candidates], [vector], [options.context])[0]
        best_first(options.fusion.keys(logits), LIMIT)

    return work


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.limit", description=__doc__)
    parser.add_argument("bundles", type=Path, help="a directory of bundles")
    bundle = Bundle.open(BundleStore(parser.parse_args().bundles).current())
    work, encoder = bare_loop(bundle), UserEncoder(bundle)
    users = [resolve_user(bundle, UserQuery(user_id=person)) for person in user_ids(bundle)]
    vectors = [encoder.encode([user.history], user.features)[0] for user in users]
    nothing = [None] * len(users)
    for line in sys.stdin:
        name, seconds = line.split()
        pairs = list(zip(users, vectors if name == "vector" else nothing, strict=True))
        print(json.dumps(_measure(work, pairs, float(seconds))), flush=True)


def _measure(
    work: Work, pairs: list[tuple[ResolvedUser, NDArray[np.float32] | None]], seconds: float
) -> dict[str, float]:
    latencies = list[float]()
    end, cpu = time.perf_counter() + seconds, time.process_time()
    while (started := time.perf_counter()) < end:
        work(*pairs[len(latencies) % len(pairs)])
        latencies.append(time.perf_counter() - started)
    spent = time.process_time() - cpu
    return {"cpu_us": spent / len(latencies) * 1e6, "p50_ms": float(np.median(latencies)) * 1e3}


if __name__ == "__main__":
    main()
