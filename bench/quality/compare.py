"""``python -m bench.quality.compare OTHER DATA``: the quality of this checkout's models beside another checkout's.

OTHER is another checkout of this repository, such as one that ``git worktree add --detach ../base COMMIT`` makes. Both
train the recipe on the data set in the folder DATA with the same seeds and answer the same test queries. Prints the
mean of one metric of each, and the 95 % interval of the difference. It is a paired bootstrap over the queries, whose
figures are means over the seeds.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FOLDER = Path("build") / "quality" / "compare"
_RESAMPLES = 2_000


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.compare", description=__doc__)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("data", type=Path, help="the folder of a data set, such as ../shared/data/ml-100k")
    parser.add_argument("--recipe", type=Path, required=True, help="a recipe that both checkouts can read")
    parser.add_argument("--protocol", default="next-like", help="how to split the data (default: next-like)")
    parser.add_argument("--metric", default="ndcg@10", help="the metric (default: ndcg@10)")
    parser.add_argument("--model", default="two_stage", help="two_stage or retrieval (default: two_stage)")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 (default: 1)")
    options = parser.parse_args()
    if not (options.other / "trainer").is_dir():
        parser.error(f"{options.other} is no checkout of this repository")
    here, other = (_figures(checkout, options) for checkout in (Path.cwd(), options.other.resolve()))
    if here.shape != other.shape:
        raise SystemExit(f"not the same queries: {len(here):,} here, {len(other):,} in {options.other}")
    low, high = interval(here - other)
    print(f"{options.metric} of {options.model}, {len(here):,} queries, {options.seeds} seeds")
    print(f"this {here.mean():.5f}, other {other.mean():.5f}, difference {(here - other).mean():+.5f}", end="")
    print(f" ({low:+.5f} to {high:+.5f}); the same for {(here == other).mean():.1%} of the queries")


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of the queries' differences ``[Q]``."""
    random = np.random.default_rng(0)
    means = [random.choice(differences, len(differences)).mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _figures(checkout: Path, options: argparse.Namespace) -> NDArray[np.float64]:
    """The metric of each query ``[Q]``, the mean over the seeds."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    of_seeds = []
    for seed in range(options.seeds):
        path = (_FOLDER / "figures.npy").absolute()
        script = Path(__file__).with_name("figures_of_queries.py")
        given = [options.recipe.absolute(), options.data.absolute(), options.protocol, options.metric, options.model]
        command = [sys.executable, str(script), *map(str, given), str(seed), str(path)]
        subprocess.run(command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, check=True)
        of_seeds.append(np.load(path))
    return np.asarray(np.mean(of_seeds, axis=0), dtype=np.float64)


if __name__ == "__main__":
    main()
