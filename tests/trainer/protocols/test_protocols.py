"""The protocols: what is learnt from, what decides and what is tested, on logs small enough to read."""

import gzip
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data import Dataset, load
from trainer.errors import DataError, RecipeError
from trainer.evaluation.queries import Profiles, Queries
from trainer.evaluation.rankings import rankings
from trainer.protocols.registry import PROTOCOLS
from trainer.protocols.task import Task
from trainer.recipe import DataRecipe, InteractionsConfig, SplitConfig
from trainer.report.slices import Groups

Row = tuple[str, str, int, float]


def named(dataset: Dataset, rows: NDArray[np.integer]) -> list[str]:
    """The ids of item rows."""
    return [dataset.item_ids[row].decode() for row in rows]


def asked(queries: Queries) -> dict[str, tuple[list[str], list[str]]]:
    """For each user, the history and the relevant items."""
    data, found = queries.dataset, {}
    for user, profile, (start, end) in zip(queries.users, queries.profiles().histories, queries.targets, strict=True):
        relevant = named(data, data.histories.item_rows[start:end])
        found[data.user_ids[user].decode()] = (named(data, profile.rows), relevant)
    return found


def learnt(task: Task, end: int) -> set[tuple[str, str]]:
    """The interactions before an end of a task."""
    users, items = task.dataset.user_ids, task.dataset.item_ids
    pairs = zip(task.dataset.user_rows[:end], task.dataset.item_rows[:end], strict=True)
    return {(users[user].decode(), items[item].decode()) for user, item in pairs}


def test_leave_one_out_keeps_the_last_two(tmp_path: Path) -> None:
    """Proves the split of a published file of sequences: in the order of the line; of two items none is left out."""
    with gzip.open(tmp_path / "sequences.txt.gz", "wt") as file:
        file.write("a x y z w\nb z y\n\nc w x y\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="sequences.txt.gz"))
    task = PROTOCOLS["leave-one-out"](load(tmp_path, recipe), recipe, tmp_path)
    assert asked(task.validation) == {"a": (["x", "y"], ["z"]), "c": (["w"], ["x"])}
    assert asked(task.test) == {"a": (["x", "y", "z"], ["w"]), "c": (["w", "x"], ["y"])}
    assert learnt(task, task.learn_end) == {("a", "x"), ("a", "y"), ("b", "z"), ("b", "y"), ("c", "w")}


def test_leave_one_out_leaves_out_a_time(dataset_of: Callable[[Sequence[Row]], Dataset], tmp_path: Path) -> None:
    """Proves that one event of the last time is to be found, and that no event of that time is known or learnt from."""
    baskets = {"a": ["pq", "rs", "tuv"], "b": ["p", "u"]}
    rows = [(user, item, time, 5.0) for user, of in baskets.items() for time, items in enumerate(of) for item in items]
    tasks = [PROTOCOLS["leave-one-out"](dataset_of(one), DataRecipe(), tmp_path) for one in (rows, rows[::-1])]
    for task in tasks:
        history, [wanted] = asked(task.test)["a"]
        assert (sorted(history), wanted in "tuv") == (["p", "q", "r", "s"], True)
        history, [wanted] = asked(task.validation)["a"]
        assert (sorted(history), wanted in "rs") == (["p", "q"], True)
        assert learnt(task, task.learn_end) == {("a", "p"), ("a", "q"), ("b", "p"), ("b", "u")}
        assert learnt(task, task.known_end) == learnt(task, task.learn_end) | {("a", "r"), ("a", "s")}
        assert len(task.test) == 1
    assert asked(tasks[0].test) == asked(tasks[1].test)


def test_strong_generalisation_cuts_between_times(
    dataset_of: Callable[[Sequence[Row]], Dataset], tmp_path: Path
) -> None:
    """Proves that users are known by whole baskets, and that a user of one basket is never held out."""
    rows = [(f"u{u:02}", f"i{item}", item // 4, 5.0) for u in range(20) for item in range(10)]
    rows += [(f"v{v:02}", f"i{item}", 3, 5.0) for v in range(30) for item in range(10)]
    task = PROTOCOLS["strong-generalisation"](dataset_of(rows), DataRecipe(), tmp_path)
    for queries in (task.validation, task.test):
        assert len(queries) == 2
        for history, wanted in asked(queries).values():
            assert (sorted(history), sorted(wanted)) == ([f"i{n}" for n in range(8)], ["i8", "i9"])


@pytest.fixture
def given(tmp_path: Path) -> DataRecipe:
    """A train and a test file of 20 users with 20 and 5 items, and their recipe."""
    random = np.random.default_rng(3)
    chosen = [random.permutation(60)[:25] for _ in range(20)]
    for name, part in (("train.txt", slice(0, 20)), ("test.txt", slice(20, 25))):
        lines = [" ".join([f"u{user}", *(f"i{item}" for item in items[part])]) for user, items in enumerate(chosen)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return DataRecipe(interactions=InteractionsConfig(file="train.txt"), split=SplitConfig(test_file="test.txt"))


def lines_of(path: Path) -> dict[str, list[str]]:
    """The items of each user."""
    return {line.split()[0]: line.split()[1:] for line in path.read_text().splitlines()}


def test_the_lightgcn_split_carves_its_validation_off_what_is_given(given: DataRecipe, tmp_path: Path) -> None:
    """Proves that a tenth of each user's train items decides, that the test is the one given, and the last training."""
    task = PROTOCOLS["lightgcn-split"](load(tmp_path, given), given, tmp_path)
    train = {(user, item) for user, items in lines_of(tmp_path / "train.txt").items() for item in items}
    assert task.refit
    assert learnt(task, task.known_end) == train
    assert learnt(task, task.learn_end) < train
    for user, (history, relevant) in asked(task.validation).items():
        assert len(relevant) == 2
        assert {(user, item) for item in [*history, *relevant]} == {pair for pair in train if pair[0] == user}
    assert {user: relevant for user, (_, relevant) in asked(task.test).items()} == lines_of(tmp_path / "test.txt")


def test_strong_generalisation_learns_nothing_of_whom_it_asks_about(given: DataRecipe, tmp_path: Path) -> None:
    """Proves that held-out users have no event among those learnt from, and are known by the first 80 %."""
    dataset = load(tmp_path, given)
    task = PROTOCOLS["strong-generalisation"](dataset, given, tmp_path)
    held_out = {*asked(task.validation), *asked(task.test)}
    assert len(held_out) == 4
    assert not held_out & {user for user, _ in learnt(task, task.known_end)}
    assert {len(history) for history, _ in asked(task.test).values()} == {20}
    assert {len(relevant) for _, relevant in asked(task.test).values()} == {5}


def cold(tmp_path: Path, rows: str) -> tuple[Dataset, DataRecipe]:
    """A table with its split in a column, without times."""
    (tmp_path / "log.csv").write_text("user_id,item_id,part\n" + rows)
    recipe = DataRecipe(
        interactions=InteractionsConfig(file="log.csv", rows_in_order=True), split=SplitConfig(column="part")
    )
    return load(tmp_path, recipe), recipe


def test_cold_items_are_ranked_among_themselves(tmp_path: Path) -> None:
    """Proves the candidates: nothing but the items of the part, of which none was learnt from."""
    rows = "a,w1,train\nb,w2,train\na,v1,vali\nb,t1,test\na,t2,test\nc,t1,test\n"
    data, recipe = cold(tmp_path, rows)
    task = PROTOCOLS["cold-items"](data, recipe, tmp_path)
    assert asked(task.test) == {"a": (["w1"], ["t2"]), "b": (["w2"], ["t1"]), "c": ([], ["t1"])}
    lists = rankings(lambda profiles: np.ones((len(profiles), 5)), task.test, 5, task.known_end)
    assert [named(data, line[line >= 0]) for line in lists.rows] == [["t1", "t2"]] * 3
    assert {item for _, item in learnt(task, task.learn_end)} == {"w1", "w2"}


def test_an_item_in_two_parts_is_not_cold(tmp_path: Path) -> None:
    """Proves that a split which is none of cold items is refused and not measured, and that the items are named."""
    rows = [f"a,w{number},train\nb,w{number},test" for number in range(5)]
    data, recipe = cold(tmp_path, "\n".join([*rows, "b,v1,vali\n"]))
    told = (
        "log.csv, column 'item_id': 5 of 6 are in several parts of the split, and so not cold; first 'w0', 'w1', 'w2'"
    )
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        PROTOCOLS["cold-items"](data, recipe, tmp_path)


def test_a_user_in_two_parts_is_not_cold(tmp_path: Path) -> None:
    """Proves the same of users."""
    data, recipe = cold(tmp_path, "a,x,train\nb,y,train\nb,x,test\nc,x,vali\n")
    told = "log.csv, column 'user_id': 1 of 3 are in several parts of the split, and so not cold; first 'b'"
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        PROTOCOLS["cold-users"](data, recipe, tmp_path)


def test_cold_users_ask_without_a_history(tmp_path: Path) -> None:
    """Proves that all a new user did is to be found, and nothing of it is known."""
    data, recipe = cold(tmp_path, "a,x,train\nb,y,train\nc,x,vali\nd,x,test\nd,y,test\n")
    task = PROTOCOLS["cold-users"](data, recipe, tmp_path)
    assert asked(task.test) == {"d": ([], ["x", "y"])}
    assert learnt(task, task.known_end) == {("a", "x"), ("b", "y")}


def test_a_part_of_another_name_is_refused(tmp_path: Path) -> None:
    """Proves that the message has the file, the column, the row and the names there are."""
    data, recipe = cold(tmp_path, "a,x,train\nb,y,train\nc,x,hidden\n")
    with pytest.raises(DataError, match=r"log\.csv, column 'part': none of train, .* row 3: 'hidden'"):
        PROTOCOLS["cold-users"](data, recipe, tmp_path)


def test_a_row_without_a_part_is_refused(tmp_path: Path) -> None:
    """Proves that what nobody assigned is not learnt from in silence."""
    data, recipe = cold(tmp_path, "a,x,train\nb,y,\nc,x,test\n")
    with pytest.raises(DataError, match=r"none of train, .* row 2"):
        PROTOCOLS["cold-users"](data, recipe, tmp_path)


def test_an_interaction_in_both_files_is_refused(given: DataRecipe, tmp_path: Path) -> None:
    """Proves that a test which was given to learn from is no test, and that files, columns and ids are named."""
    train, test = (tmp_path / name for name in ("train.txt", "test.txt"))
    twice = test.read_text().splitlines()[0]
    train.write_text(f"{train.read_text()}{twice}\n")
    user, *items = twice.split()
    first = ", ".join(f"'{user}' and '{item}'" for item in items[:3])
    told = (
        rf"^train\.txt and test\.txt, columns 'user_id' and 'item_id': {len(items)} of \d+ are in several parts of the "
    )
    with pytest.raises(DataError, match=f"{told}split; first {first}$"):
        PROTOCOLS["lightgcn-split"](load(tmp_path, given), given, tmp_path)


def test_ids_may_be_of_any_language(tmp_path: Path) -> None:
    """Proves that a split is found by ids that are not ASCII."""
    data, recipe = cold(tmp_path, "é,x,train\nß,y,train\n名,x,vali\n人,x,test\n")
    assert asked(PROTOCOLS["cold-users"](data, recipe, tmp_path).test) == {"人": ([], ["x"])}


def test_what_is_wanted_twice_is_one_wish(tmp_path: Path) -> None:
    """Proves that a perfect list is perfect where users do the same again."""
    lines = [
        f"u{user} " + " ".join(f"i{(user + step) % 9}" for step in (0, 1, 2, 3, 4, 5, 6, 7, 8, 8)) for user in range(30)
    ]
    (tmp_path / "log.txt").write_text("\n".join(lines) + "\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="log.txt"))
    task = PROTOCOLS["strong-generalisation"](load(tmp_path, recipe), recipe, tmp_path)
    lists = rankings(Oracle(task.test), task.test, 5, task.known_end)
    assert lists.relevant.tolist() == [1] * len(task.test)
    assert lists.hits[:, 0].all()


def test_repeats_are_no_queries_of_leave_one_out(tmp_path: Path) -> None:
    """Proves that users whose last item is one they had are left out and counted, of each part."""
    (tmp_path / "log.txt").write_text("a x y z w\nb x y z x\nc x y y z\nd x y\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="log.txt"))
    task = PROTOCOLS["leave-one-out"](load(tmp_path, recipe), recipe, tmp_path)
    assert asked(task.test) == {"a": (["x", "y", "z"], ["w"]), "c": (["x", "y", "y"], ["z"])}
    assert asked(task.validation) == {"a": (["x", "y"], ["z"]), "b": (["x", "y"], ["z"])}
    told = (
        "1 of 3 events to be found are repeats and cannot be found, because lists leave out what a user has; 1 of 3 "
        "queries were left out, since they have no other"
    )
    little = "hr@10, hr@5 cannot tell models apart, because their lists hold all 4 items"
    assert task.warnings == (
        "1 of 4 users have interactions at fewer than 3 times and are not tested",
        *(f"{name}: {text}" for name in ("validation", "test") for text in (told, little)),
    )


def test_repeats_are_not_to_be_found_in_strong_generalisation(tmp_path: Path) -> None:
    """Proves that only what is new counts as relevant, and that a list of all that is new is perfect."""
    steps = (0, 1, 2, 3, 4, 5, 6, 7, 0, 8)
    lines = [f"u{user} " + " ".join(f"i{(user + step) % 20}" for step in steps) for user in range(30)]
    (tmp_path / "log.txt").write_text("\n".join(lines) + "\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="log.txt"))
    task = PROTOCOLS["strong-generalisation"](load(tmp_path, recipe), recipe, tmp_path)
    lists = rankings(Oracle(task.test), task.test, 5, task.known_end)
    assert lists.relevant.tolist() == [1] * 3
    assert lists.hits[:, 0].all()
    assert any(text.startswith("test: 3 of 6 events to be found are repeats") for text in task.warnings)
    assert Groups.of(task).items.tolist() == task.test.relevant_pairs()[1].tolist()


def test_a_test_of_repeats_alone_is_refused(tmp_path: Path) -> None:
    """Proves that nothing is measured where nothing can be found."""
    (tmp_path / "log.txt").write_text("a x y x x\nb x y x y\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="log.txt"))
    with pytest.raises(DataError, match="the validation has nothing to find"):
        PROTOCOLS["leave-one-out"](load(tmp_path, recipe), recipe, tmp_path)


def test_a_query_without_a_history_is_counted(given: DataRecipe, tmp_path: Path) -> None:
    """Proves it of a user of the test who has no training interaction."""
    with (tmp_path / "test.txt").open("a") as file:
        file.write("new i1 i2\n")
    task = PROTOCOLS["lightgcn-split"](load(tmp_path, given), given, tmp_path)
    assert "test: 1 of 21 queries have no history" in task.warnings


def test_a_protocol_that_needs_a_split_says_so(planted: Dataset, recipe: DataRecipe, tmp_path: Path) -> None:
    """Proves that the keys are named that are missing."""
    with pytest.raises(RecipeError, match=r"\[split\] column, test_file"):
        PROTOCOLS["lightgcn-split"](planted, recipe, tmp_path)


class Oracle:
    """Knows what is to be found, and is asked about the queries in their order."""

    def __init__(self, queries: Queries) -> None:
        self._queries, self._asked = queries, 0

    def __call__(self, profiles: Profiles) -> NDArray[np.float64]:
        """A one for each item to be found."""
        places = slice(self._asked, self._asked + len(profiles))
        self._asked = places.stop
        return self._queries.at(places).relevant().astype(np.float64)


@pytest.mark.parametrize("name", ["next-like", "leave-one-out", "strong-generalisation"])
def test_whoever_knows_the_answers_is_perfect(planted: Dataset, recipe: DataRecipe, name: str, tmp_path: Path) -> None:
    """Proves that each question's answers are among what may be recommended, in the order that they are counted in."""
    task = PROTOCOLS[name](planted, recipe, tmp_path)
    lists = rankings(Oracle(task.test), task.test, 10, task.known_end)
    assert (lists.hits.sum(axis=1) == np.minimum(lists.relevant, 10)).all()
    assert lists.hits[:, 0].all()
