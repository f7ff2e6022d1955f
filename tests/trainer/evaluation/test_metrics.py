"""The metrics, by hand and beside an independent library."""

import numpy as np
import pytest

from trainer.errors import TrainerError
from trainer.evaluation.metrics import Rankings, figures, places_of, report

PLACES = np.array([0, 2, 9, 10, 250])


def rankings(rows: list[list[int]], relevant: list[set[int]], items: int) -> Rankings:
    """Lists of items, and what each should have had."""
    return Rankings(
        hits=np.array([[row in want for row in line] for line, want in zip(rows, relevant, strict=True)]),
        relevant=np.array([len(want) for want in relevant]),
        rows=np.array(rows),
        allowed=np.ones(items, dtype=np.bool_),
        owners=np.linspace(0.1, 0.9, items),
    )


@pytest.fixture
def by_hand() -> Rankings:
    """Three lists of six items: one of three relevant in front, the only one last, and none."""
    return rankings([[0, 1, 2], [3, 0, 1], [3, 0, 2]], [{0, 4, 5}, {1}, {5}], 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recall@2", (1 / 3 + 0 + 0) / 3),
        ("recall@3", (1 / 3 + 1 + 0) / 3),
        ("recall_min@2", (1 / 2 + 0 + 0) / 3),
        ("hr@3", 2 / 3),
        ("mrr@3", (1 + 1 / 3 + 0) / 3),
        ("ndcg@2", (1 / (1 + 1 / np.log2(3))) / 3),
        ("ndcg@3", (1 / (1 + 1 / np.log2(3) + 1 / 2) + 1 / 2) / 3),
        ("coverage@3", 4 / 6),
        ("coverage@1", 2 / 6),
        # Shown 0, 0, 1, 2 times, and 0, 0 for those never shown: (2 i - n - 1) x_i / (n sum x) over ascending x.
        ("gini@1", (3 * 1 + 5 * 2) / (6 * 3)),
        ("novelty@1", -np.mean(np.log2([0.1, 0.58, 0.58]))),
    ],
)
def test_each_metric_is_what_its_definition_says(by_hand: Rankings, name: str, expected: float) -> None:
    """Proves the values calculated by hand."""
    assert figures(by_hand, [name])[name] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:unsafe cast", "ignore:invalid escape sequence")  # of the library's own
def test_the_metrics_are_those_of_an_independent_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves recall, binary nDCG, hit rate and reciprocal rank equal to ranx's, for relevant sets of many sizes."""
    # To compile the library takes two minutes, and its plain Python a second; it reads this when it is imported.
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    from ranx import Qrels, Run
    from ranx import evaluate as ranx_evaluate

    random = np.random.default_rng(5)
    rows = [random.permutation(50)[:20].tolist() for _ in range(200)]
    relevant = [set(random.permutation(50)[: random.integers(1, 30)].tolist()) for _ in range(200)]
    run = Run(
        {f"q{q}": {f"i{row}": 1.0 / (1 + place) for place, row in enumerate(line)} for q, line in enumerate(rows)}
    )
    qrels = Qrels({f"q{q}": {f"i{row}": 1 for row in want} for q, want in enumerate(relevant)})
    named = {"recall@10": "recall@10", "ndcg@20": "ndcg@20", "hr@5": "hit_rate@5", "mrr@10": "mrr@10"}
    expected = ranx_evaluate(qrels, run, list(named.values()))
    found = figures(rankings(rows, relevant, 50), list(named))
    assert found == pytest.approx({ours: expected[theirs] for ours, theirs in named.items()}, abs=1e-9)


def test_a_shorter_list_shows_nothing_behind_its_end() -> None:
    """Proves that -1 is no item: it is neither covered nor novel."""
    short = rankings([[0, -1], [1, -1]], [{0}, {0}], 4)
    assert figures(short, ["coverage@2", "novelty@2"]) == pytest.approx(
        {"coverage@2": 0.5, "novelty@2": -np.mean(np.log2([0.1, 0.1 + 0.8 / 3]))}
    )


@pytest.mark.parametrize("name", ["map@10", "ndcg", "ndcg@x", "ndcg@0", "ndcg@4"])
def test_what_is_no_metric_of_these_lists_is_refused(by_hand: Rankings, name: str) -> None:
    """Proves that a misspelt name, and a cut that the lists do not reach, are errors and no figures."""
    with pytest.raises(TrainerError):
        figures(by_hand, [name])


def test_a_report_is_of_places_in_the_whole_ranking() -> None:
    """Proves the cut, that the place k itself is no hit, and the gains 1, 1/2 and 1/log2(11)."""
    expected = {"hr@10": 3 / 5, "ndcg@10": (1 + 1 / 2 + 1 / np.log2(11)) / 5, "recall@200": 4 / 5}
    assert report(PLACES) == pytest.approx(expected)


def test_of_equal_scores_the_lower_row_is_first() -> None:
    """Proves that a constant scorer gets no credit: the target's place among equals is that of its row."""
    scores = np.array([[1.0, 1.0, 1.0], [0.5, 2.0, 0.5], [3.0, 1.0, 2.0], [0.0, -np.inf, -np.inf]])
    assert places_of(scores, np.array([2, 2, 2, 1])).tolist() == [2, 2, 1, 1]
