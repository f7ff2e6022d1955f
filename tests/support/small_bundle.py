"""A bundle made by hand, whose every answer is known: two ONNX graphs of a few nodes, twelve items, four users.

Item row ``r`` is "a", "b", … in order; its vector points along axis ``r % 3``, the more so the higher its row. The user
vector is the sum of the history's vectors, plus the first user feature on the fourth axis. The popular items are the
rows from the last to the first. The ranker predicts two objectives: "like", whose log-odds are the retrieval score, and
minus that on a tv; and "value", the position among the candidates plus how many deviations late the hour is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from shortlist.bundle import FORMAT_VERSION, BundleStore, IndexInfo, ItemItemTables, ItemTables, Manifest, UserTables
from shortlist.bundle.bundle import INDEX, ITEM_ENCODER, RANKER, USER_ENCODER, save_tables
from shortlist.bundle.item_columns import CategoricalColumn, ItemColumns
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.manifest import MANIFEST, FileDigest
from shortlist.bundle.ranker_columns import ContextColumn, Objective

BUNDLE_ID = "20260101T000000-0001"
ITEMS, GENRES, DIMENSION = 12, 3, 4
HISTORIES: Mapping[str, Sequence[int]] = {"described": [], "fan": [0, 3], "mixed": [1, 2, 4], "unknown": []}
_CONTEXT = (
    ContextColumn(name="device", kind="categorical", categories=("phone", "tv")),
    ContextColumn(name="hour", kind="numeric", mean=12.0, std=6.0),
)
_OBJECTIVES = (
    Objective(name="like", kind="event", weight=1.0, min_weight=0.0, max_weight=4.0),
    Objective(name="value", kind="value", weight=0.0, min_weight=0.0, max_weight=4.0),
)


def publish_small_bundle(
    root: Path,
    bundle_id: str = BUNDLE_ID,
    *,
    encoder: bytes | None = None,
    ranker: bytes | None = None,
    vectors: Mapping[int, Sequence[float]] | None = None,
    ids: Sequence[str] | None = None,
    objectives: int = 2,
    listed: Sequence[int] | None = None,
) -> Path:
    """Publishes the bundle in a directory of bundles; with another encoder, ranker, vectors or ids where given.

    ``vectors`` are those of some rows, ``ids`` those of all, in the order of their bytes. The manifest describes as
    many ``objectives``. Lists hold the rows ``listed``, by default all.
    """
    with BundleStore(root).publishing(bundle_id) as directory:
        items = _items(
            _vectors() if vectors is None else _replaced(_vectors(), vectors), ids or [*map(id_of, range(ITEMS))]
        )
        items = items if listed is None else _listing(items, listed)
        save_tables(directory, items, _users())
        index = faiss.IndexFlatIP(DIMENSION)
        index.add(items.vectors if items.listed is None else items.vectors[items.listed])
        faiss.write_index(index, str(directory / INDEX))
        (directory / USER_ENCODER).write_bytes(_encoder() if encoder is None else encoder)
        (directory / RANKER).write_bytes(_ranker() if ranker is None else ranker)
        described = (*_OBJECTIVES, replace(_OBJECTIVES[0], name="other"))[:objectives]
        replace(_manifest(directory, bundle_id), objectives=described).write(directory)
    return root / bundle_id


_GENRES = ItemColumns(categorical=(CategoricalColumn(name="genre", values=("x", "y", "z")),))


def add_new_items(directory: Path, encoder: bytes | None = None, columns: ItemColumns = _GENRES) -> None:
    """Lets a published bundle describe new items, by another item encoder or other ``columns`` where given.

    The columns have three features, which are the first three axes of the items' vectors. By default they are those of
    the column "genre", with the values "x", "y" and "z".
    """
    columns.save(directory)
    np.save(directory / "unseen_features.npy", np.full(1, -0.5, dtype=np.float32))
    np.save(directory / "item_features.npy", np.zeros((ITEMS, 4), dtype=np.float32))
    (directory / ITEM_ENCODER).write_bytes(item_encoder() if encoder is None else encoder)
    manifest = replace(
        Manifest.read(directory),
        item_features=("count", *columns.names),
        new_items_refusal="",
        files={path.name: FileDigest.of(path) for path in directory.iterdir() if path.name != MANIFEST},
    )
    manifest.write(directory)


def item_encoder(width: int = DIMENSION, then: str = "Identity") -> bytes:
    """An item encoder whose vectors have a width; ``then`` is the operator at its end, such as ``Log``."""
    weights = [numpy_helper.from_array(np.eye(GENRES, width, dtype=np.float32), "axes")]
    nodes = [
        helper.make_node("MatMul", ["item_features", "axes"], ["vectors"]),
        helper.make_node(then, ["vectors"], ["output"]),
    ]
    return _model(nodes, {"item_features": ["items", GENRES]}, ["items", width], weights)


def encoder_of_histories(then: str = "Identity") -> bytes:
    """An encoder that reads no user features; ``then`` is the operator at its end, such as ``Exp``."""
    weights = [numpy_helper.from_array(np.array([1]), "steps")]
    nodes = [
        helper.make_node("ReduceSum", ["history_vectors", "steps"], ["sum"], keepdims=0),
        helper.make_node(then, ["sum"], ["output"]),
    ]
    return _model(nodes, {"history_vectors": ["users", "length", DIMENSION]}, ["users", DIMENSION], weights)


def endless_encoder() -> bytes:
    """An encoder whose runs never end."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    weights = [
        numpy_helper.from_array(np.array([1]), "steps"),
        numpy_helper.from_array(np.array(2**62), "most"),
        numpy_helper.from_array(np.array(True), "yes"),
    ]
    nodes = [
        helper.make_node("ReduceSum", ["history_vectors", "steps"], ["sum"], keepdims=0),
        helper.make_node("Loop", ["most", "yes", "sum"], ["output"], body=body),
    ]
    return _model(nodes, {"history_vectors": ["users", "length", DIMENSION]}, ["users", DIMENSION], weights)


def encoder_of_one_user() -> bytes:
    """An encoder that returns one vector, however many users it is asked for."""
    vector = numpy_helper.from_array(np.ones((1, DIMENSION), dtype=np.float32), "vector")
    nodes = [helper.make_node("Identity", ["vector"], ["output"])]
    return _model(nodes, {"history_vectors": ["users", "length", DIMENSION]}, [1, DIMENSION], [vector])


def encoder_of_events(count: int) -> bytes:
    """An encoder that fails for events beyond the first ``count``."""
    weights = [
        numpy_helper.from_array(np.ones((count + 1, DIMENSION), dtype=np.float32), "events"),
        numpy_helper.from_array(np.array([1]), "steps"),
    ]
    nodes = [
        helper.make_node("Gather", ["events", "history_events"], ["known"]),
        helper.make_node("ReduceSum", ["known", "steps"], ["output"], keepdims=0),
    ]
    inputs: Mapping[str, Sequence[str | int]] = {"history_events": ["users", "length"]}
    return _model(nodes, inputs, ["users", DIMENSION], weights, kind=TensorProto.INT64)


def broken_ranker() -> bytes:
    """A ranker that loads, and fails when it runs."""
    weights = [numpy_helper.from_array(np.zeros((DIMENSION + 1, 2), dtype=np.float32), "wrong")]
    nodes = [helper.make_node("MatMul", ["candidate_vectors", "wrong"], ["output"])]
    return _model(nodes, {"candidate_vectors": ["users", "candidates", "width"]}, ["users", "candidates", 2], weights)


def ranker_of_genres() -> bytes:
    """A ranker of a bundle that describes new items: it adds ten for the genre "y" to the retrieval score."""
    weights = [
        numpy_helper.from_array(np.array([[0], [0], [10], [0]], dtype=np.float32), "y"),
        numpy_helper.from_array(np.array([-1]), "last"),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["candidate_scores", "last"], ["score"]),
        helper.make_node("MatMul", ["candidate_features", "y"], ["ten"]),
        helper.make_node("Add", ["score", "ten"], ["like"]),
        helper.make_node("Concat", ["like", "like"], ["output"], axis=-1),
    ]
    by_candidate: list[str | int] = ["users", "candidates"]
    inputs: Mapping[str, Sequence[str | int]] = {
        "candidate_features": [*by_candidate, 4],
        "candidate_scores": by_candidate,
    }
    return _model(nodes, inputs, [*by_candidate, 2], weights)


def ranker_of_early_hours() -> bytes:
    """A ranker that fails when the hour of one request is three deviations late, or more."""
    weights = [
        numpy_helper.from_array(np.array([[0], [0], [1], [0]], dtype=np.float32), "late"),
        numpy_helper.from_array(np.zeros(3, dtype=np.float32), "early"),
        numpy_helper.from_array(np.array([-1]), "last"),
    ]
    nodes = [
        helper.make_node("MatMul", ["context", "late"], ["lateness"]),
        helper.make_node("Cast", ["lateness"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["early", "place"], ["zero"]),
        helper.make_node("Add", ["candidate_scores", "zero"], ["like"]),
        helper.make_node("Unsqueeze", ["like", "last"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["output"], axis=-1),
    ]
    by_candidate: list[str | int] = ["users", "candidates"]
    inputs: Mapping[str, Sequence[str | int]] = {"context": ["users", 4], "candidate_scores": by_candidate}
    return _model(nodes, inputs, [*by_candidate, 2], weights)


def ranker_without_late_scores() -> bytes:
    """A ranker whose scores are NaN when the hour of the request is more than three deviations late."""
    weights = [
        numpy_helper.from_array(np.array([[0], [0], [1], [0]], dtype=np.float32), "late"),
        numpy_helper.from_array(np.array([3], dtype=np.float32), "three"),
        numpy_helper.from_array(np.array([-1]), "last"),
    ]
    nodes = [
        helper.make_node("MatMul", ["context", "late"], ["lateness"]),
        helper.make_node("Sub", ["three", "lateness"], ["left"]),
        helper.make_node("Log", ["left"], ["logarithm"]),
        helper.make_node("Add", ["candidate_scores", "logarithm"], ["like"]),
        helper.make_node("Unsqueeze", ["like", "last"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["output"], axis=-1),
    ]
    by_candidate: list[str | int] = ["users", "candidates"]
    inputs: Mapping[str, Sequence[str | int]] = {"context": ["users", 4], "candidate_scores": by_candidate}
    return _model(nodes, inputs, [*by_candidate, 2], weights)


def ranker_of_squared_values() -> bytes:
    """A ranker that adds the square of the sum of the history's values, which may be more than a number can hold."""
    weights = [numpy_helper.from_array(np.array([-1]), "last")]
    nodes = [
        helper.make_node("ReduceSum", ["history_values", "last"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "sum"], ["square"]),
        helper.make_node("Add", ["candidate_scores", "square"], ["like"]),
        helper.make_node("Unsqueeze", ["like", "last"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["output"], axis=-1),
    ]
    by_candidate: list[str | int] = ["users", "candidates"]
    inputs: Mapping[str, Sequence[str | int]] = {
        "history_values": ["users", "length"],
        "candidate_scores": by_candidate,
    }
    return _model(nodes, inputs, [*by_candidate, 2], weights)


def id_of(row: int) -> str:
    """The id of an item row."""
    return chr(ord("a") + row)


def _vectors() -> np.ndarray:
    rows = np.arange(ITEMS)
    vectors = np.zeros((ITEMS, DIMENSION), dtype=np.float32)
    vectors[:] = rows[:, None] / 1000
    vectors[rows, rows % GENRES] = 1 + rows / 100
    return vectors


def _replaced(vectors: np.ndarray, others: Mapping[int, Sequence[float]]) -> np.ndarray:
    vectors[[*others]] = [*others.values()]
    return vectors


def _items(vectors: np.ndarray, ids: Sequence[str]) -> ItemTables:
    pairs = ItemItemTable(
        offsets=np.zeros(ITEMS + 1, dtype=np.int64),
        rows=np.zeros(0, dtype=np.int32),
        weights=np.zeros((0, 2), dtype=np.float32),
    )
    return ItemTables(
        ids=np.array([one.encode() for one in ids], dtype=np.bytes_),
        vectors=vectors,
        inputs=vectors,
        features=np.zeros((ITEMS, 1), dtype=np.float32),
        popular=np.arange(ITEMS, dtype=np.int32)[::-1].copy(),
        item_item=ItemItemTables(cooccurrence=pairs, slim=pairs),
        value_mean=0.0,
        value_std=1.0,
    )


def _listing(items: ItemTables, listed: Sequence[int]) -> ItemTables:
    rows = np.array(listed, dtype=np.int32)
    first = np.isin(items.popular, rows)
    return replace(items, listed=rows, popular=np.concatenate([items.popular[first], items.popular[~first]]))


def _users() -> UserTables:
    rows = np.concatenate([np.array(history, dtype=np.int32) for history in HISTORIES.values()])
    return UserTables(
        ids=np.array(list(HISTORIES), dtype=np.bytes_),
        # The encoder reads the first column alone; the ranker has both.
        features=np.array([[1, 0.5], [0, 0.5], [0, 0.5], [0, 0]], dtype=np.float32),
        offsets=np.cumsum([0, *map(len, HISTORIES.values())], dtype=np.int64),
        rows=rows,
        values=np.full(len(rows), np.nan, dtype=np.float32),
        events=np.zeros(len(rows), dtype=np.uint8),
    )


def _manifest(directory: Path, bundle_id: str) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        bundle_id=bundle_id,
        create_time="2026-01-01T00:00:00+00:00",
        libraries={"numpy": np.__version__},
        dimension=DIMENSION,
        metric="inner_product",
        item_count=ITEMS,
        user_count=len(HISTORIES),
        item_features=("count",),
        user_features=("known", "affinity"),
        event_names=("view", "buy"),
        encoder_history=10,
        ranker_history=10,
        value_mean=0.0,
        value_std=1.0,
        objectives=_OBJECTIVES,
        candidate_count=5,
        index=IndexInfo(spec="Flat", parameters="", recall=1.0, recall_at=4, target=0.99, trials=()),
        metrics={},
        recipe={},
        files={path.name: FileDigest.of(path) for path in sorted(directory.iterdir())},
        context=_CONTEXT,
    )


def _encoder() -> bytes:
    feature_axis = np.zeros((1, DIMENSION), dtype=np.float32)
    feature_axis[0, -1] = 1
    weights = [numpy_helper.from_array(feature_axis, "axis"), numpy_helper.from_array(np.array([1]), "steps")]
    nodes = [
        helper.make_node("ReduceSum", ["history_vectors", "steps"], ["history"], keepdims=0),
        helper.make_node("MatMul", ["user_features", "axis"], ["described"]),
        helper.make_node("Add", ["history", "described"], ["output"]),
    ]
    inputs: Mapping[str, Sequence[str | int]] = {
        "history_vectors": ["users", "length", DIMENSION],
        "user_features": ["users", 1],
    }
    return _model(nodes, inputs, ["users", DIMENSION], weights)


def _ranker() -> bytes:
    weights = [
        numpy_helper.from_array(np.array([[0], [-2], [0], [0]], dtype=np.float32), "tv"),
        numpy_helper.from_array(np.array([[0], [0], [1], [0]], dtype=np.float32), "late"),
        numpy_helper.from_array(np.ones(1, dtype=np.float32), "one"),
        numpy_helper.from_array(np.array([-1]), "last"),
    ]
    nodes = [
        helper.make_node("MatMul", ["context", "tv"], ["minus_two"]),
        helper.make_node("Add", ["minus_two", "one"], ["sign"]),
        helper.make_node("Mul", ["candidate_scores", "sign"], ["like"]),
        helper.make_node("MatMul", ["context", "late"], ["lateness"]),
        helper.make_node("Add", ["candidate_places", "lateness"], ["value"]),
        helper.make_node("Unsqueeze", ["like", "last"], ["like_column"]),
        helper.make_node("Unsqueeze", ["value", "last"], ["value_column"]),
        helper.make_node("Concat", ["like_column", "value_column"], ["output"], axis=-1),
    ]
    by_candidate: list[str | int] = ["users", "candidates"]
    inputs: Mapping[str, Sequence[str | int]] = {
        "context": ["users", 4],
        "candidate_scores": by_candidate,
        "candidate_places": by_candidate,
    }
    return _model(nodes, inputs, [*by_candidate, 2], weights)


def _model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[str | int]],
    output: Sequence[str | int],
    weights: Sequence[TensorProto],
    kind: int = TensorProto.FLOAT,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content
