"""Which indexes are worth trying for a catalogue, and the parameters to try them with."""

import math
from dataclasses import dataclass

# Up to here a scan of everything takes less time than any index saves.
_SCANNED_ITEMS = 5_000
# Beyond this a graph takes minutes to build and half a gigabyte for a million items.
_MOST_IN_GRAPH = 1_000_000
_MOST_VISITED = 1024
_WIDEST = 4096


@dataclass(frozen=True, kw_only=True)
class Family:
    """An index to try: a FAISS factory string, and the ladders of parameters to climb, cheapest first."""

    spec: str
    ladders: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, spec: str, count: int, items: int) -> "Family":
        """With the parameters that FAISS knows for such an index, for ``count`` neighbours of so many items."""
        if "IVF" in spec:
            visited = _ladder(1, min(items, _MOST_VISITED))
            factors = (2, 4, 8) if "Refine" in spec or "RFlat" in spec else (0,)
            ladders = [
                tuple(f"nprobe={lists}" + (f",k_factor_rf={factor}" if factor else "") for lists in visited)
                for factor in factors
            ]
            return cls(spec=spec, ladders=tuple(ladders))
        if "HNSW" in spec:
            return cls(spec=spec, ladders=(tuple(f"efSearch={width}" for width in _ladder(count, _WIDEST)),))
        return cls(spec=spec, ladders=(("",),))


def families(items: int, dimension: int, count: int) -> list[Family]:
    """What is worth trying for a catalogue of this size."""
    if items <= _SCANNED_ITEMS:
        return [Family.of("Flat", count, items)]
    few, many = (2 ** round(math.log2(factor * math.sqrt(items))) for factor in (1, 4))
    quarter = f"PQ{dimension // 2}x4fs"
    specs = [
        *(["Flat"] if items <= _MOST_IN_GRAPH else []),
        f"IVF{few},SQfp16",
        f"IVF{many},Flat",
        f"IVF{many},SQfp16",
        f"IVF{many},SQ8",
        f"IVF{few},{quarter},Refine(SQfp16)",
        f"IVF{many},{quarter},Refine(SQfp16)",
        *(["HNSW32"] if items <= _MOST_IN_GRAPH else []),
    ]
    # A product quantiser splits a vector into pairs.
    return [Family.of(spec, count, items) for spec in specs if dimension % 2 == 0 or "PQ" not in spec]


def _ladder(low: int, high: int) -> list[int]:
    """Powers of two and what lies halfway between them, from ``low``."""
    steps, value = list[int](), max(1, low)
    while value <= high:
        steps += [value, value * 3 // 2] if value > 1 else [value]
        value *= 2
    return [step for step in dict.fromkeys(steps) if step <= high]
