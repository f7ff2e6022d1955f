"""``python -m bench.performance``: writes the tables of docs/performance.md from the results in ``build/bench``."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.page import split_at
from bench.harness.planted import BUILD

_PAGE = Path("docs") / "performance.md"
_BEGIN, _END = "<!-- performance: python -m bench.performance -->", "<!-- end of performance -->"
Result = Mapping[str, Any]


def main() -> int:
    """See the module."""
    argparse.ArgumentParser(prog="python -m bench.performance", description=__doc__).parse_args()
    results = {name: _read(name) for name in ("serving", "index", "startup", "scale", "train")}
    missing = [name for name, result in results.items() if result is None]
    if missing:
        print(f"no {', '.join(missing)} in {BUILD}; run make bench bench-scale bench-train first", file=sys.stderr)
        return 1
    before, _, after = split_at(_PAGE.read_text(encoding="utf-8"), _BEGIN, _END)
    _PAGE.write_text("\n".join([before, "", *_lines(results), "", after]), encoding="utf-8")
    return 0


def _read(name: str) -> Result | None:
    path = BUILD / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _lines(results: Mapping[str, Any]) -> list[str]:
    serving, index, startup = results["serving"], results["index"], results["startup"]
    machine = serving["machine"]
    return [
        f"Measured on {machine['cores']} cores of an {machine['processor']}, {machine['memory_gb']} GB.",
        "",
        "| | in flight | CPU µs a request | requests/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|",
        f"| bare loop, one process | 1 | {serving['limit']['cpu_us']:.0f} | | {serving['limit']['p50_ms']:.2f} | |",
        f"| empty call | 16 | {serving['empty']['cpu_us']:.0f} | {serving['empty']['rps']:.0f} | | |",
        *(_load("`Recommend`", in_flight, figures) for in_flight, figures in serving["service"].items()),
        *(_load("`Retrieve`, 500", in_flight, figures) for in_flight, figures in serving["retrieve"].items()),
        "",
        f"Two hops cost {serving['overhead']['16']:.2f} empty calls more than the bare loop with 16 in flight, "
        f"{serving['overhead']['64']:.2f} with 64.",
        "",
        f"The index that export chose, `{index['spec']}` with `{index['parameters']}`, finds {index['recall']:.4f} of "
        f"the nearest 500 in {index['of_hnsw_time']:.2f} of the time of HNSW32 with efSearch 512. A service starts in "
        f"{max(startup[name]['start_seconds'] for name in ('retrieval_service', 'ranking_service')):.1f} s.",
        "",
        *_scale(results["scale"]),
        "",
        *_training(results["train"]),
    ]


def _load(name: str, in_flight: str, figures: Mapping[str, float]) -> str:
    cells = f"{figures['cpu_us']:.0f} | {figures['rps']:.0f} | {figures['p50_ms']:.2f} | {figures['p99_ms']:.2f}"
    return f"| {name} | {in_flight} | {cells} |"


def _scale(scale: Result) -> list[str]:
    rows = sorted((int(items), figures) for items, figures in scale.items() if items.isdecimal())
    return [
        "| items | index | recall@500 | search µs | bytes a vector | build s | `Recommend` p50 ms | resident MB |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {items:,} | `{one['index']}` | {one['recall']:.3f} | {one['search_us']:.0f} "
            f"| {one['bytes_per_vector']:.0f} | {one['build_seconds']:.0f} "
            f"| {one['recommend_p50_ms']:.1f} | {one['serving_rss_mb']:.0f} |"
            for items, one in rows
        ),
    ]


def _training(train: Result) -> list[str]:
    small = train["ml_1m"]
    return [
        f"Training, on one thread: {small['encoder']['examples_a_second']:,.0f} events a second for the encoder and "
        f"{small['ranker']['examples_a_second']:,.0f} examples a second for the ranker at MovieLens-1M's size."
    ]


if __name__ == "__main__":
    sys.exit(main())
