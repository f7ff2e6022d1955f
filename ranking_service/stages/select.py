"""Select: the best items by the fused score of their predictions."""

import numpy as np

from ranking_service.answer import Ranked
from ranking_service.request import Request
from ranking_service.stages.score import Scored
from shortlist.inference.selection import best_first


def select(request: Request, scored: Scored) -> Ranked:
    """The best ``limit`` items, scored ones first; the order of retrieval where nothing is scored."""
    fusion = request.options.fusion
    if scored.logits is None:
        return Ranked.unscored(scored.items.first(request.limit), len(fusion.objectives))
    keys = fusion.keys(scored.logits)
    best = best_first(keys, request.limit)
    predictions = fusion.predictions(scored.logits[best])
    ranked = Ranked(
        items=scored.items.take(best),
        scores=fusion.scores(keys[best], predictions),
        predictions=predictions,
        is_scored=np.ones(len(best), dtype=np.bool_),
    )
    others = scored.others.first(request.limit - len(best))
    return ranked.then(Ranked.unscored(others, len(fusion.objectives))) if len(others) else ranked
