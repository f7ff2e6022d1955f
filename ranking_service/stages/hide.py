"""Hide: leaves out the items that may not be shown, at the last moment before the answer."""

from dataclasses import replace

from ranking_service.stages.score import Scored
from shortlist.inference.hidden_rows import HiddenRows


def without_hidden(scored: Scored, hidden: HiddenRows | None) -> Scored:
    """The items that are not hidden, with their logits.

    Retrieval leaves hidden items out as well. An item may have been hidden since, or retrieval may lag behind.
    """
    if hidden is None or not hidden.count:
        return scored
    is_hidden = hidden.among(scored.items.rows)
    others = hidden.shown_of(scored.others)
    if not is_hidden.any():
        return scored if others is scored.others else replace(scored, others=others)
    logits = None if scored.logits is None else scored.logits[~is_hidden]
    return replace(scored, items=scored.items.keep(~is_hidden), logits=logits, others=others)
