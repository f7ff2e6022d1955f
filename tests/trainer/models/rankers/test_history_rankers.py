"""The backbones that look at the history event by event, each on what only it can tell."""

import pytest
import torch
from torch import Tensor

from tests.trainer.configs import ranker_config
from tests.trainer.planted_views import ITEMS, PADDING, accuracy, features_of, spec_of, trained
from trainer.models.rankers import RankerFeatures
from trainer.models.rankers.din import Din
from trainer.models.registry import BACKBONES
from trainer.recipe.rankers import CnnConfig

RECIPE = CnnConfig(hidden=32, dropout=0.0, user_dropout=0.0)
NAMES = ("cnn", "din", "gru")
FIRST, SECOND = 0, 1
USERS, LENGTH = 400, 6


def random_rows(seed: int, *shape: int) -> Tensor:
    """Rows of items, none of them the two that patterns are made of."""
    return torch.randint(2, ITEMS, shape, generator=torch.Generator().manual_seed(seed))


def later_of_two(seed: int) -> tuple[RankerFeatures, Tensor]:
    """Two items are somewhere in each history; right is the one that came later."""
    random = torch.Generator().manual_seed(seed)
    history_BH = random_rows(seed, USERS, LENGTH)
    places_B2 = torch.rand(USERS, LENGTH, generator=random).argsort(1)[:, :2]
    history_BH.scatter_(1, places_B2, torch.tensor([FIRST, SECOND]).expand(USERS, 2))
    # Latest first: a smaller place is later.
    later_B2 = torch.stack([places_B2[:, 0] < places_B2[:, 1], places_B2[:, 0] > places_B2[:, 1]], dim=1)
    return features_of(history_BH, torch.tensor([FIRST, SECOND]).expand(USERS, 2)), later_B2[..., None].float()


def one_right_after_the_other(seed: int, first_place: int) -> tuple[RankerFeatures, Tensor]:
    """Two items are in each history, in the same order, the later at one of three places from the given one on.

    The candidates are right where nothing is between the two.
    """
    random = torch.Generator().manual_seed(seed)
    history_BH, lines = random_rows(seed, USERS, 10), torch.arange(USERS)
    between_B = torch.randint(0, 2, (USERS,), generator=random) * torch.randint(1, 3, (USERS,), generator=random)
    later_B = first_place + torch.randint(0, 3, (USERS,), generator=random)
    history_BH[lines, later_B], history_BH[lines, later_B + between_B + 1] = SECOND, FIRST
    return features_of(history_BH, random_rows(seed, USERS, 2)), (between_B == 0).float()[:, None, None].expand(
        -1, 2, 1
    )


def as_their_own_event_was_valued(seed: int) -> tuple[RankerFeatures, Tensor, Tensor]:
    """Each candidate is in the history once, and right where it was valued there; its place ``[B, C]`` comes along."""
    random = torch.Generator().manual_seed(seed)
    history_BH = torch.rand(USERS, ITEMS, generator=random).argsort(1)[:, :LENGTH]
    values_BH = torch.randint(0, 2, (USERS, LENGTH), generator=random) * 2.0 - 1.0
    places_BC = torch.arange(2).expand(USERS, 2)
    features = features_of(history_BH, history_BH.gather(1, places_BC), values_BH)
    return features, (values_BH.gather(1, places_BC) > 0)[..., None].float(), places_BC


def test_a_candidate_attends_to_the_event_that_is_like_it() -> None:
    """Proves that din, where how it was valued is all that counts, weighs a candidate's own event most of all."""
    features, targets_BC1, places_BC = as_their_own_event_was_valued(0)
    towers = trained(ranker_config(RECIPE, "din"), features, targets_BC1, 150)
    assert accuracy(towers, features, targets_BC1).item() > 0.95
    backbone = towers.get_submodule("backbone")
    assert isinstance(backbone, Din)
    with torch.no_grad():
        items_BCD = backbone.read(features.candidates_BCD, features.items_BCF)
        weights_BCH = backbone.attention(backbone.events(features), items_BCD).abs()
    own_BC = weights_BCH.gather(2, places_BC[..., None])[..., 0]
    others_BC = (weights_BCH.sum(-1) - own_BC) / (LENGTH - 1)
    assert (weights_BCH.argmax(-1) == places_BC).float().mean() > 0.9
    assert (own_BC / others_BC).median() > 2.0


def test_twice_the_interest_is_twice_as_much_to_din() -> None:
    """Proves that the weights are not shares: a history that repeats itself says the same, twice as loud."""
    torch.manual_seed(0)
    backbone = BACKBONES["din"](ranker_config(RECIPE, "din"), spec_of()).eval()
    assert isinstance(backbone, Din)
    once_BH, candidates_BC = random_rows(0, 3, 4), random_rows(1, 3, 5)
    interests = []
    for history_BH in (once_BH, torch.cat([once_BH, once_BH], dim=1)):
        features = features_of(history_BH, candidates_BC)
        items_BCD = backbone.read(features.candidates_BCD, features.items_BCF)
        interests.append(backbone.interest(backbone.events(features), items_BCD, features.mask_BH))
    torch.testing.assert_close(interests[1], 2 * interests[0])


def test_the_attention_equals_its_formula() -> None:
    """Proves w relu(W [e, v, e ⊙ v]), written out for each pair of an event and a candidate."""
    torch.manual_seed(0)
    backbone = BACKBONES["din"](ranker_config(RECIPE, "din"), spec_of())
    assert isinstance(backbone, Din)
    events_BHD, items_BCD = torch.randn(2, 4, 16), torch.randn(2, 3, 16)
    weight = torch.cat([backbone.from_event.weight, backbone.from_item.weight, backbone.from_pair.weight], dim=1)
    found_BCH = backbone.attention(events_BHD, items_BCD)
    for user in range(2):
        for candidate, item_D in enumerate(items_BCD[user]):
            for place, event_D in enumerate(events_BHD[user]):
                units = torch.relu(weight @ torch.cat([event_D, item_D, event_D * item_D]) + backbone.from_event.bias)
                torch.testing.assert_close(found_BCH[user, candidate, place], backbone.weight(units)[0])


@pytest.mark.parametrize(("name", "low", "high"), [("gru", 0.9, 1.0), ("cnn", 0.9, 1.0), ("din", 0.0, 0.65)])
def test_the_order_of_a_history_counts(name: str, low: float, high: float) -> None:
    """Proves that which of two items was later is told by the backbones that know an order, on users they never met,
    and by the one that knows none is not."""
    towers = trained(ranker_config(RECIPE, name), *later_of_two(0), 120)
    assert low <= accuracy(towers, *later_of_two(1)).item() <= high


def test_a_pattern_of_two_in_a_row_is_seen_wherever_it_is() -> None:
    """Proves that the horizontal filters tell two items in a row from the same two apart, where the training never
    had them: what vertical filters learn is of the places they met."""
    towers = trained(RECIPE, *one_right_after_the_other(0, 0), 120)
    assert accuracy(towers, *one_right_after_the_other(1, 4)).item() > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_what_is_masked_is_not_looked_at(name: str) -> None:
    """Proves that junk behind the history changes nothing, however much, and that an empty history is finite."""
    torch.manual_seed(0)
    backbone = BACKBONES[name](ranker_config(RECIPE, name), spec_of()).eval()
    candidates_BC = random_rows(0, 1, 4)
    for length in (0, 1, 2, 9, 10, 11, 30):
        history_BH = random_rows(length, 1, length)
        padded = [torch.cat([history_BH, torch.full((1, padding), PADDING)], dim=1) for padding in (1, 5, 50 - length)]
        first, *others = (backbone(features_of(rows, candidates_BC)) for rows in padded)
        assert first.isfinite().all()
        for other in others:
            torch.testing.assert_close(other, first)
