"""A request that does not say what its context is, to a ranker that has never seen one."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from shortlist.inference.context import ContextEncoder
from tests.trainer.commands.test_impression_evaluation import RECIPE, SHOWN, run_of, tables, write
from trainer.data.context import Context
from trainer.jobs.impression_evaluation import RankerRun
from trainer.progress import Reporter

CONTEXTS = RECIPE.replace('["device"]', '["device"]\nnumeric = ["hour"]').replace('position = "position"\n', "")
PHONES, EVENING = 0.8, 20.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, reporter: Reporter) -> RankerRun:
    """A run on a complete log, in which the device and the hour alone decide the clicks.

    Four of five impressions are on the phone; most clicks are there, and late in the evening.
    """
    random, folder = np.random.default_rng(3), tmp_path_factory.mktemp("complete")
    on_phone, hours = random.random(SHOWN) < PHONES, random.normal(EVENING, 2.0, SHOWN)
    odds = np.where(on_phone, 1.5, -2.5) + 0.5 * (hours - EVENING)
    shown = {
        "device": np.where(on_phone, "phone", "tv"),
        "hour": hours,
        "clicked": (random.random(SHOWN) < 1 / (1 + np.exp(-odds))).astype(np.int8),
    }
    frames = dict(tables(random, biased=False))
    frames["impressions"] = frames["impressions"].with_columns(
        **{name: pl.Series(column) for name, column in shown.items()}
    )
    return run_of(folder, write(folder, frames, CONTEXTS), reporter)


def said_of(run: RankerRun, context: Context) -> NDArray[np.float64]:
    """The predicted click probability of each impression of the test, with this context."""
    examples = run.test()
    inputs = replace(examples.inputs, context=context)
    log_odds = run.trained.predict(inputs, np.arange(len(examples.targets)))[:, 0, 0]
    return 1 / (1 + np.exp(-log_odds.astype(np.float64)))


def test_without_its_context_a_request_is_as_likely_as_on_average(run: RankerRun) -> None:
    """Proves that without all or part of the context, the probability lies between those of the contexts.

    On average it is near the click rate, though every impression of the training had its context.
    """
    examples = run.test()
    given, rate = examples.inputs.context, examples.targets[:, 0].mean()
    codes, numbers = np.full_like(given.codes, -1), np.full_like(given.numbers, np.nan)
    assert (run.training.examples.inputs.context.codes >= 0).all()
    assert np.isfinite(run.training.examples.inputs.context.numbers).all()
    for less in (
        replace(given, codes=codes, numbers=numbers),
        replace(given, codes=codes),
        replace(given, numbers=numbers),
    ):
        assert abs(said_of(run, less).mean() - rate) < 0.06
    neither = said_of(run, replace(given, codes=codes, numbers=numbers))
    phone, tv = (said_of(run, replace(given, codes=codes + 1 + place, numbers=numbers)) for place in (0, 1))
    assert (tv < neither).all()
    assert (neither < phone).all()
    assert tv.mean() < rate - 0.2 < rate + 0.1 < phone.mean()


def test_what_a_call_leaves_out_is_what_training_has_shown_on_average(run: RankerRun) -> None:
    """Proves that the services fill in the mean of the training, for a call as for an empty cell of a log."""
    inputs = run.training.examples.inputs
    columns, context = inputs.layout.context, inputs.context.at(run.training.early)
    left_out = ContextEncoder(columns).encode({})
    np.testing.assert_allclose(left_out, context.encoded(columns).mean(axis=0), atol=1e-5)
    assert len(left_out) == 4
    assert left_out[0] == pytest.approx(PHONES, abs=0.02)
    emptied = replace(context, codes=np.full_like(context.codes, -1), numbers=np.full_like(context.numbers, np.nan))
    np.testing.assert_array_equal(emptied.encoded(columns), np.tile(left_out, (len(context.codes), 1)))


def test_the_mean_is_of_the_cells_that_are_filled() -> None:
    """Proves that empty cells do not shift the mean, and that a column without a filled cell is dropped.

    Categories beyond the known ones keep their share.
    """
    codes = np.array([[0], [1], [1], [-1], [1], [-1]])
    numbers = np.array([[3.0, np.nan], [np.nan, np.nan], [5.0, np.nan]] * 2, dtype=np.float32)
    context = Context(
        categorical=("device",), numeric=("hour", "never"), categories=(("phone", "tv"),), codes=codes, numbers=numbers
    )
    device, hour = context.learnt_columns()
    assert device.absent == (0.25, 0.75)
    assert (hour.mean, hour.absent) == (4.0, (0.0, 1.0))
    many = replace(
        context,
        numeric=(),
        categories=(tuple(f"{place:03}" for place in range(300)),),
        codes=np.concatenate([np.arange(300), np.arange(200)])[:, None],
        numbers=np.zeros((500, 0), dtype=np.float32),
    )
    (column,) = many.learnt_columns()
    assert len(column.absent) == len(column.categories) == 256
    assert sum(column.absent) == pytest.approx(456 / 500)
    np.testing.assert_allclose(column.absent, many.encoded([column]).mean(axis=0), rtol=1e-6)
