"""Texts and models that the tests share."""

import pytest

EDGES = """
layer @edges(%image: f32[1, 1, 32, 32]) -> f32[1, 1, 30, 30] {
  %w = const f32[1, 1, 3, 3] = sobel_x
  %y = conv2d %image, %w
  return %y
}
"""

PAIR = """
layer @pair(%a: f32[2, 3], %b: f64[3]) -> (f32[2, 3], f64[3]) {
  %p = relu %a
  %q = relu %b
  return %p, %q
}
"""


@pytest.fixture
def edges() -> str:
    """A layer of one input and one output."""
    return EDGES


@pytest.fixture
def pair() -> str:
    """A layer of two inputs and outputs, of different types."""
    return PAIR
