"""``python -m bench.serving.index``: every kind of index on the benchmark's items, and the choice of the export.

HNSW32 with efSearch 512 is the reference that the chosen index has to beat. Writes ``build/bench/index.json``.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from bench.harness.machine import machine
from bench.harness.planted import BUILD, CANDIDATES, HISTORY
from bench.harness.planted_bundle import RECIPE, planted_bundle
from bench.harness.processes import write_json
from bench.harness.requests import user_ids
from shortlist.bundle import Bundle
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import UserQuery, resolve_user
from trainer.analysis.tables import index_table
from trainer.export.index.choice import choose
from trainer.export.index.families import Family, families

_USERS = 1000
_REFERENCE = Family(spec="HNSW32", ladders=(("efSearch=512",),))


def main() -> None:
    """See the module."""
    argparse.ArgumentParser(prog="python -m bench.serving.index", description=__doc__).parse_args()
    bundle = Bundle.open(planted_bundle())
    items = bundle.items.vectors
    users = [resolve_user(bundle, UserQuery(user_id=person)) for person in user_ids(bundle)[:_USERS]]
    histories = [user.history.last(HISTORY) for user in users]
    vectors = UserEncoder(bundle).encode(histories, np.concatenate([user.features for user in users]))
    tried = [*families(len(items), items.shape[1], CANDIDATES), _REFERENCE]
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        target = RECIPE.index.recall
        info = choose(items, np.ascontiguousarray(vectors), CANDIDATES, target, tried, Path(folder) / "index.faiss")
    reference = info.trials[-1]
    chosen = next(trial for trial in info.trials if trial.chosen)
    result = {"machine": machine(), **dataclasses.asdict(info)}
    result["of_hnsw_time"] = chosen.search_us / reference.search_us
    write_json(BUILD / "index.json", result)
    print(index_table(info))
    print(f"{info.spec} takes {result['of_hnsw_time']:.2f} of the time of HNSW32 with efSearch 512")


if __name__ == "__main__":
    main()
