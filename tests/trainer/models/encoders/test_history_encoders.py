"""The encoders that learn from whole histories, on planted data and against their definitions written out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from shortlist.inference.onnx_runtime import onnxruntime
from trainer.data import Dataset
from trainer.data.history_slices import history_counts
from trainer.data.split import Split
from trainer.models.encoders.autoencoder import AutoencoderEncoder
from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.models.encoders.content_ridge import ContentRidgeEncoder, ridge
from trainer.models.encoders.gfcf import GfcfEncoder
from trainer.models.encoders.history import product
from trainer.models.encoders.ials import IalsEncoder, conjugate_gradients
from trainer.models.encoders.lightgcn import LightGCNEncoder
from trainer.progress import Reporter
from trainer.recipe import EncoderConfig
from trainer.recipe.encoders import AutoencoderConfig, ContentRidgeConfig, GfcfConfig, IalsConfig, LightGCNConfig
from trainer.training.encoder.fit import fit_encoder

AUTOENCODER = AutoencoderConfig(
    dimension=16, history=50, dropout=0.3, epochs=12, learning_rate=0.05, weight_decay=0.0, batch_size=40
)
LIGHTGCN = LightGCNConfig(
    dimension=16, layers=2, history=50, epochs=12, learning_rate=0.05, weight_decay=0.0, batch_size=40
)
IALS = IalsConfig(dimension=16, history=50, epochs=12, unobserved_weight=0.3, regularisation=0.1)
GFCF = GfcfConfig(dimension=16, history=50)
CONTENT_RIDGE = ContentRidgeConfig(dimension=16, history=50, regularisation=0.1)
CONFIGS = (AUTOENCODER, LIGHTGCN, IALS, GFCF, CONTENT_RIDGE)
CLOSED_FORM = ("gfcf", "content_ridge")
CHAIN = 15


def spec_of(items: int) -> EncoderDataSpec:
    """Items without a feature."""
    edges = np.zeros(0, dtype=np.float32)
    return EncoderDataSpec(
        items=items,
        item_features=np.zeros((items, 1), dtype=np.float32),
        learnt=np.ones(items, dtype=np.bool_),
        user_features=0,
        value_edges=edges,
        events=1,
    )


def trained(config: EncoderConfig, dataset: Dataset, end: int, reporter: Reporter) -> Encoder:
    """An encoder after its epochs, in evaluation mode."""
    found = fit_encoder(dataset, end, config, 0, reporter, None)
    assert found.curve[-1]["loss"] < found.curve[0]["loss"] or config.name in CLOSED_FORM
    return found.encoder


def inputs_of(encoder: Encoder, rows: list[list[int]]) -> dict[str, Tensor]:
    """Histories as serving gathers them, padded on the left."""
    inputs = encoder.item_inputs()
    table = (encoder.item_vectors() if inputs is None else inputs).detach()
    length = max(map(len, rows))
    mask = torch.tensor([[0.0] * (length - len(line)) + [1.0] * len(line) for line in rows])
    padded = torch.tensor([[0] * (length - len(line)) + line for line in rows])
    return {
        "history_vectors": table[padded] * mask[..., None],
        "history_values": torch.full(mask.shape, torch.nan),
        "history_events": torch.zeros(mask.shape, dtype=torch.int64),
        "history_mask": mask,
    }


@torch.no_grad()
def scores(encoder: Encoder, rows: list[list[int]]) -> Tensor:
    """Inner products with every item."""
    users: Tensor = encoder(**inputs_of(encoder, rows))
    return users @ encoder.item_vectors().T


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: config.name)
def encoder(request: pytest.FixtureRequest, planted: Dataset, split: Split, reporter: Reporter) -> Encoder:
    """Each of them, trained; a filter with as many components as there are genres."""
    config = replace(request.param, dimension=4) if request.param.name in CLOSED_FORM else request.param
    return trained(config, planted, split.encoder_end, reporter)


def test_a_stranger_is_offered_more_of_what_they_like(encoder: Encoder) -> None:
    """Proves that a user of no table is understood: of the ten first new items, nearly all are of the history's genre,
    where chance is a quarter.
    """
    strangers = [[genre * CHAIN + place for place in range(start, start + 4)] for genre in range(4) for start in (0, 7)]
    found = scores(encoder, strangers)
    for line, rows in enumerate(strangers):
        found[line, rows] = -torch.inf
    genres = found.topk(10, dim=1).indices // CHAIN
    assert (genres == torch.tensor([[rows[0] // CHAIN] for rows in strangers])).float().mean() > 0.9


def test_padding_and_company_change_no_vector(encoder: Encoder) -> None:
    """Proves that one history at a time, unpadded, gives the vectors of the batch; and that histories do differ."""
    rows = [[3, 17], [40, 41, 42, 3, 8], [59]]
    together = scores(encoder, rows)
    alone = torch.cat([scores(encoder, [line]) for line in rows])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    assert together.std(dim=0).min() > 1e-4


@pytest.mark.filterwarnings("ignore")
def test_the_graph_of_onnx_says_the_same(encoder: Encoder, tmp_path: Path) -> None:
    """Proves that the user vector can be exported with any number of users and interactions, fold-in and all."""
    by_place = {0: torch.export.Dim("users"), 1: torch.export.Dim("length", max=50)}
    sample = inputs_of(encoder, [[3, 17, 20], [40, 41, 2]])
    shapes = dict.fromkeys(sample, by_place)
    program = torch.onnx.export(encoder, kwargs=sample, dynamic_shapes=shapes, dynamo=True, verbose=False)
    assert program is not None
    path = tmp_path / "encoder.onnx"
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = {one.name for one in session.get_inputs()}
    for rows in ([[7]], [[1, 2, 3, 4, 5], [9, 30], [59]]):
        given = inputs_of(encoder, rows)
        found = session.run(None, {name: tensor.numpy() for name, tensor in given.items() if name in names})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, encoder(**given).numpy(), rtol=1e-4, atol=1e-5)


GRAPH = sparse.csr_array(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=np.float32))


def test_a_new_user_gets_the_vector_that_the_graph_gives_a_known_one() -> None:
    """Proves it against LightGCN's own propagation over the graph of users and items, with users that start at zero:
    user and item vectors point where its do.
    """
    model = LightGCNEncoder(LIGHTGCN, spec_of(4))
    model.begin(GRAPH)
    adjacency = np.block([[np.zeros((3, 3)), GRAPH.toarray()], [GRAPH.toarray().T, np.zeros((4, 4))]])
    root = np.sqrt(adjacency.sum(axis=1))
    adjacency /= np.outer(root, root)
    layer = np.vstack([np.zeros((3, LIGHTGCN.dimension)), model.ids.detach().numpy()])
    total = layer.copy()
    for _ in range(2 * LIGHTGCN.layers + 1):
        layer = adjacency @ layer
        total += layer
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    rows = [np.flatnonzero(line).tolist() for line in GRAPH.toarray()]
    with torch.no_grad():
        users = model(**inputs_of(model, rows)).numpy() * LIGHTGCN.temperature
        np.testing.assert_allclose(users, total[:3], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(model.item_vectors().numpy(), total[3:], rtol=1e-4, atol=1e-5)


def test_noise_moves_what_is_learnt_from_and_nothing_that_is_served() -> None:
    """Proves that training's layers are perturbed and contrasted, and that the item vectors stay what they were."""
    model = LightGCNEncoder(replace(LIGHTGCN, noise=0.5), spec_of(4))
    model.begin(GRAPH)
    before = model.item_vectors().clone()
    first, second = (model.train().represent(GRAPH) for _ in range(2))
    assert (first.items - second.items).abs().max() > 0.01
    assert first.penalty > 0
    model.settle()
    torch.testing.assert_close(model.item_vectors(), before)
    assert model.eval().represent(GRAPH).penalty == 0


def test_a_history_is_read_in_serving_as_in_training() -> None:
    """Proves that the user vectors learnt from are those served, where nothing is dropped or drawn."""
    rows = [np.flatnonzero(line).tolist() for line in GRAPH.toarray()]
    auto = AutoencoderEncoder(replace(AUTOENCODER, dropout=0.0, kl_weight=0.0), spec_of(4)).eval()
    graph = LightGCNEncoder(LIGHTGCN, spec_of(4)).eval()
    graph.begin(GRAPH)
    with torch.no_grad():
        torch.testing.assert_close(auto(**inputs_of(auto, rows)), auto.represent(GRAPH).users)
        torch.testing.assert_close(graph(**inputs_of(graph, rows)), graph.represent(GRAPH).users)


def test_the_divergence_draws_histories_to_the_prior() -> None:
    """Proves that with a weight users are drawn around their mean, at the price of the divergence; else neither."""
    model = AutoencoderEncoder(replace(AUTOENCODER, dropout=0.0), spec_of(4))
    assert model.represent(GRAPH).penalty > 0
    assert not torch.equal(model.represent(GRAPH).users, model.represent(GRAPH).users)
    plain = AutoencoderEncoder(replace(AUTOENCODER, dropout=0.0, kl_weight=0.0), spec_of(4))
    assert plain.represent(GRAPH).penalty == 0
    assert torch.equal(plain.represent(GRAPH).users, plain.represent(GRAPH).users)


def test_folding_in_solves_the_least_squares_of_the_history() -> None:
    """Proves the user vector against the closed form, with an item done twice counting twice."""
    torch.manual_seed(1)
    model = IalsEncoder(replace(IALS, dimension=4, unobserved_weight=0.1, regularisation=0.05), spec_of(6))
    model.items_ND = torch.randn(6, 4)
    model.gram_DD = model._gram(model.items_ND)
    items, counts = model.items_ND.numpy(), np.array([1.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    left = (items.T * counts) @ items + 0.1 * items.T @ items + 0.05 * (3 + 0.1 * 6) * np.eye(4)
    expected = np.linalg.solve(left, items.T @ counts)
    with torch.no_grad():
        np.testing.assert_allclose(model(**inputs_of(model, [[0, 2, 2]]))[0].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_conjugate_gradients_solve_a_system_in_as_many_steps_as_it_has_unknowns() -> None:
    """Proves exactness against numpy, for systems solved together."""
    random = np.random.default_rng(0)
    roots = random.normal(size=(2, 3, 3))
    systems, right = roots @ roots.transpose(0, 2, 1) + np.eye(3), random.normal(size=(2, 3))
    matrices, rights = torch.from_numpy(systems), torch.from_numpy(right)
    found = conjugate_gradients(
        lambda x: (matrices @ x[..., None])[..., 0],
        matrices.diagonal(dim1=1, dim2=2),
        rights,
        torch.zeros_like(rights),
        3,
    )
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(systems, right[..., None])[..., 0], rtol=1e-6)


def test_the_filter_is_the_projection_on_the_first_singular_vectors() -> None:
    """Proves the scores against numpy's decomposition of the normalised graph, and the energy that is left out."""
    model = GfcfEncoder(replace(GFCF, dimension=2), spec_of(4))
    left_out = model.solve(GRAPH, np.random.default_rng(0))
    dense = GRAPH.toarray()
    root_U, root_N = np.sqrt(dense.sum(axis=1)), np.sqrt(dense.sum(axis=0))
    _, values, vectors = np.linalg.svd(dense / np.outer(root_U, root_N))
    expected = (dense / root_N) @ vectors[:2].T @ vectors[:2] * root_N
    rows = [np.flatnonzero(line).tolist() for line in dense]
    np.testing.assert_allclose(scores(model, rows).numpy(), expected, rtol=1e-3, atol=1e-4)
    assert left_out == pytest.approx(values[2] ** 2 / np.square(values).sum(), abs=1e-4)


def test_an_item_without_an_interaction_is_placed_by_its_content() -> None:
    """Proves that a new item is recommended, and read in a history, like those that have its content; and that one
    with neither content nor interaction says nothing.
    """
    histories = sparse.csr_array(np.array([[1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0]] * 3, dtype=np.float32))
    content = np.array([[3, 0], [1, 0], [0, 2], [0, 1], [5, 0], [0, 1], [0, 0]], dtype=np.float32)
    model = ContentRidgeEncoder(replace(CONTENT_RIDGE, dimension=2), replace(spec_of(7), item_features=content))
    model.solve(histories, np.random.default_rng(0))
    found = scores(model, [[0, 1], [2, 3], [4], [6]]).numpy()
    assert found[0, 4] > 0.5 > abs(found[0, 5]) + 0.4
    assert found[1, 5] > 0.5 > abs(found[1, 4]) + 0.4
    assert found[2, :2].min() > np.abs(found[2, 2:4]).max()
    assert not found[3].any()
    assert not found[:, 6].any()


def test_ridge_is_least_squares_with_rows_for_the_penalty() -> None:
    """Proves the weights against numpy's least squares, with a row more for each feature."""
    random = np.random.default_rng(0)
    features, wanted = (random.normal(size=(8, width)).astype(np.float32) for width in (3, 2))
    rows = np.vstack([features, np.sqrt(0.1 * 8) * np.eye(3)])
    expected = np.linalg.lstsq(rows, np.vstack([wanted, np.zeros((3, 2))]))[0]
    np.testing.assert_allclose(ridge(features, wanted, 0.1), expected, rtol=1e-4, atol=1e-5)


def test_more_components_than_items_are_zeros() -> None:
    """Proves that a small catalogue is no error: everything is kept, and the rest of the components say nothing."""
    model = GfcfEncoder(GFCF, spec_of(4))
    assert model.solve(GRAPH, np.random.default_rng(0)) == pytest.approx(0.0, abs=1e-5)
    assert model.item_vectors().shape == (4, GFCF.dimension)
    assert not model.item_vectors()[:, 4:].any()


def test_a_product_has_the_gradient_of_the_dense_one() -> None:
    """Proves value and gradient against torch's own."""
    table = torch.randn(4, 3, requires_grad=True)
    weights = torch.randn(3, 3)
    dense = torch.from_numpy(GRAPH.toarray())
    torch.testing.assert_close(product(GRAPH, table), dense @ table)
    (found,) = torch.autograd.grad((product(GRAPH, table) * weights).sum(), table)
    (expected,) = torch.autograd.grad(((dense @ table) * weights).sum(), table)
    torch.testing.assert_close(found, expected)


def test_only_the_last_events_before_the_end_are_counted(dataset_of: Callable[..., Dataset]) -> None:
    """Proves the cut to a length, the cut in time, and that what is done twice counts twice."""
    dataset = dataset_of([("u", item, time, 5.0) for time, item in enumerate("abbca")] + [("v", "a", 9, 5.0)])
    columns = [list(dataset.item_ids).index(item) for item in (b"a", b"b", b"c")]
    lines = [list(dataset.user_ids).index(user) for user in (b"u", b"v")]
    found = history_counts(dataset, 4, 3).toarray()[lines][:, columns]
    np.testing.assert_array_equal(found, [[0, 2, 1], [0, 0, 0]])
