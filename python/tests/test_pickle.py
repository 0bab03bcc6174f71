"""Pickles: a layer or model travels as what it was made from and is compiled again."""

import multiprocessing
import pickle

import convoke
import numpy as np
from test_model import A, B, TWO

IMAGE = np.random.default_rng(2).standard_normal([1, 1, 32, 32]).astype(np.float32)


def run(layer):
    """What another process does."""
    return layer(IMAGE), layer.report.code_bytes


def test_a_layer_comes_back_with_its_options(edges, tmp_path):
    layer = convoke.compile(edges, algorithm="direct", threads=2)
    again = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(again(IMAGE), layer(IMAGE))
    assert again.report.algorithms == layer.report.algorithms and again._options == layer._options
    path = tmp_path / "edges.conv"
    path.write_text(edges, encoding="utf-8")
    again = pickle.loads(pickle.dumps(convoke.compile(path)))
    np.testing.assert_array_equal(again(IMAGE), convoke.compile(edges)(IMAGE))


def test_a_model_comes_back_with_its_bytes():
    model = pickle.loads(pickle.dumps(convoke.load(TWO, outputs=["q"], kept=2)))
    np.testing.assert_array_equal(model(A, B), np.maximum(B, 0))
    compiled = pickle.loads(pickle.dumps(convoke.load(TWO).compile((1, 4), (1, 4))))
    np.testing.assert_array_equal(compiled(A, B)[0], np.maximum(A, 0))


def test_a_process_that_was_spawned_compiles_for_itself(edges):
    layer = convoke.compile(edges)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found, code_bytes = pool.apply(run, (layer,))
    np.testing.assert_array_equal(found, layer(IMAGE))
    assert code_bytes == layer.report.code_bytes
