"""Which indexes are worth trying for a catalogue, and the parameters to try them with.

The names of parameters are FAISS's, and so is the code that sets them. Its ``ParameterSpace.explore`` is not used: it
tries powers of two, no more than half of the lists, and an efSearch of at most 512. It also times all queries in one
call, while a service sends them one by one.
"""

import math
import re
from dataclasses import dataclass

# Up to here a scan of everything takes less time than any index saves.
SCANNED_ITEMS = 5_000
# Beyond this a graph takes minutes to build and half a gigabyte for a million items, and a scan takes 20 ms.
MOST_IN_GRAPH = 1_000_000
# Beyond this, a scan for the nearest lists takes longer than a scan of these lists. Below, a graph over the lists costs
# recall: with 16,384 lists of ten million items, recall@500 stayed at .939 however many were visited.
_MOST_SCANNED_LISTS = 32_768
_MOST_VISITED = 1024
_WIDEST = 4096
_REFINED = (2, 4, 8)

# With sqrt(items) lists, and with four times as many. FAISS's default for inner products is spherical k-means. Recall
# is the same without it, also for vectors of very different lengths.
_INVERTED = (
    "IVF{few},Flat",
    "IVF{few},SQfp16",
    "IVF{many},Flat",
    "IVF{many},SQfp16",
    "IVF{many},SQ8",
    "IVF{few},PQ{half}x4fs,Refine(SQfp16)",
    "IVF{many},PQ{half}x4fs,Refine(SQfp16)",
    "IVF{many},PQ{half}x4fs,RFlat",
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """An index to try: a FAISS factory string, and the ladders of parameters to climb, cheapest first."""

    spec: str
    ladders: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, spec: str, count: int) -> "Family":
        """With the parameters that FAISS knows for such an index, for ``count`` neighbours."""
        if lists := re.search(r"IVF(\d+)", spec):
            visited = [f"nprobe={number}" for number in _ladder(1, min(int(lists[1]), _MOST_VISITED))]
            if "Refine" not in spec and "RFlat" not in spec:
                return cls(spec=spec, ladders=(tuple(visited),))
            return cls(
                spec=spec,
                ladders=tuple(tuple(f"{step},k_factor_rf={factor}" for step in visited) for factor in _REFINED),
            )
        if "HNSW" in spec:
            return cls(spec=spec, ladders=(tuple(f"efSearch={width}" for width in _ladder(count, _WIDEST)),))
        return cls(spec=spec, ladders=(("",),))


def families(items: int, dimension: int, count: int) -> list[Family]:
    """The indexes that are worth trying for a catalogue of this size."""
    if items <= SCANNED_ITEMS:
        return [Family.of("Flat", count)]
    specs = inverted(items, dimension)
    if items <= MOST_IN_GRAPH:
        specs = ["Flat", *specs, "HNSW32"]
    return [Family.of(spec, count) for spec in specs]


def inverted(items: int, dimension: int) -> list[str]:
    """Specifications with inverted lists, the same kinds in the same order for a catalogue of any size."""
    few, many = (2 ** round(math.log2(factor * math.sqrt(items))) for factor in (1, 4))
    spec = {"few": _lists(few), "many": _lists(many), "half": dimension // 2}
    # A product quantiser splits a vector into pairs.
    return [kind.format(**spec) for kind in _INVERTED if dimension % 2 == 0 or "PQ" not in kind]


def not_tried(items: int) -> dict[str, str]:
    """Why the kinds of index that :func:`families` leaves out are not worth a trial."""
    if items <= SCANNED_ITEMS:
        return {"IVF, HNSW": f"up to {SCANNED_ITEMS:,} items a scan is as good"}
    if items > MOST_IN_GRAPH:
        reason = f"more than {MOST_IN_GRAPH:,} items"
        return {
            "Flat": f"{reason} take too long to scan",
            "HNSW32": f"{reason} take too long to build and too much memory",
        }
    return {}


def _lists(number: int) -> str:
    return f"{number}_HNSW32" if number > _MOST_SCANNED_LISTS else str(number)


def _ladder(low: int, high: int) -> list[int]:
    """Powers of two and the numbers halfway between them, from ``low`` to ``high``, both included."""
    steps, value = list[int](), max(1, low)
    while value <= high:
        steps += [value, value * 3 // 2] if value > 1 else [value]
        value *= 2
    return [*(step for step in dict.fromkeys(steps) if step < high), max(low, high)]
