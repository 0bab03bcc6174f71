"""`convoke.ndimage` against `scipy.ndimage`."""

import threading

import convoke
import numpy as np
import pytest
from convoke import ndimage
from convoke._filters import KEPT, MODES, compiled

scipy = pytest.importorskip("scipy.ndimage")
rng = np.random.default_rng(3)
# An image, a kernel, an origin: odd and even kernels, images smaller than the kernel or its reach, a single row.
SHAPES = [
    ((12, 17), (3, 3), 0),
    ((12, 17), (4, 5), (1, -2)),
    ((9, 8), (1, 6), (0, -3)),
    ((9, 8), (6, 1), (2, 0)),
    ((3, 4), (7, 9), 0),
    ((1, 5), (3, 3), (1, 0)),
    ((2, 2), (9, 9), 0),
    ((40, 50), (31, 33), 0),
]


def compare(found, expected, scale, unit):
    """Integers agree but where a sum is whole; other numbers to some units of rounding of Σ|w||x|."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    if found.dtype.kind in "iu":
        assert (found != expected).mean() < 0.02
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=40 * unit * scale)


def image(shape, dtype):
    """Random numbers from 0 to 100."""
    return (rng.random(shape) * 100).astype(dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, size, origin", SHAPES)
def test_kernels(shape, size, origin, mode):
    for dtype in (np.float32, np.float64, np.uint8, np.uint16, np.int16, np.int32):
        x, w = image(shape, dtype), rng.standard_normal(size)
        unit = 2.0**-24 if dtype == np.float32 else 2.0**-53
        for cval in (0.0, 2.5) if "constant" in mode else (0.0,):
            for name in ("correlate", "convolve"):
                found = getattr(ndimage, name)(x, w, mode=mode, cval=cval, origin=origin)
                expected = getattr(scipy, name)(x, w, mode=mode, cval=cval, origin=origin)
                compare(found, expected, 100 * np.abs(w).sum(), unit)


@pytest.mark.parametrize("mode", MODES)
def test_gaussians(mode):
    for shape in ((20, 31), (3, 4)):
        for dtype in (np.float32, np.float64, np.uint8):
            unit = 2.0**-24 if dtype == np.float32 else 2.0**-53
            for sigma in (1.3, (0, 2.0), (3.0, 0.7)):
                for order in (0, 1, (0, 2), (3, 1)):
                    for cval in (0.0, 2.5) if "constant" in mode else (0.0,):
                        x = image(shape, dtype)
                        found = ndimage.gaussian_filter(x, sigma, order, mode=mode, cval=cval)
                        expected = scipy.gaussian_filter(x, sigma, order, mode=mode, cval=cval)
                        compare(found, expected, 1000, unit)
    x = image((20, 20), np.float64)
    np.testing.assert_allclose(ndimage.gaussian_filter(x, 2, truncate=1.5), scipy.gaussian_filter(x, 2, truncate=1.5), rtol=1e-12)
    np.testing.assert_allclose(ndimage.gaussian_filter(x, 2, radius=(3, 4)), scipy.gaussian_filter(x, 2, radius=(3, 4)), rtol=1e-12)
    np.testing.assert_allclose(ndimage.gaussian_filter(x, 0), x)
    assert not np.shares_memory(ndimage.gaussian_filter(x, 0), x)


def test_axes_and_channels():
    w = rng.random((3, 5))
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
        x = image((11, 13, 3), dtype)
        for axis in range(3):
            channels = [scipy.correlate(x.take(i, axis), w) for i in range(x.shape[axis])]
            expected = np.stack(channels, axis)
            others = tuple(a for a in range(3) if a != axis)
            np.testing.assert_allclose(ndimage.correlate(x, w, channel_axis=axis), expected, rtol=tolerance)
            np.testing.assert_allclose(ndimage.correlate(x, w, axes=others), expected, rtol=tolerance)
            assert ndimage.correlate(x, w, channel_axis=axis - 3).flags.c_contiguous
        # A border wider than the image has each channel mirrored for itself.
        wide = rng.random((25, 3))
        expected = np.stack([scipy.convolve(x[..., i], wide, mode="mirror") for i in range(3)], -1)
        np.testing.assert_allclose(ndimage.convolve(x, wide, mode="mirror", channel_axis=-1), expected, rtol=tolerance)
        along = np.apply_along_axis(lambda row: scipy.correlate1d(row, [1, 2, 4, 3]), 1, x)
        np.testing.assert_allclose(ndimage.correlate(x, [1, 2, 4, 3], axes=1), along, rtol=tolerance)
        batch = image((2, 3, 9, 8), dtype)
        expected = scipy.gaussian_filter(batch, (0, 0, 1, 2))
        np.testing.assert_allclose(ndimage.gaussian_filter(batch, (1, 2), axes=(2, 3)), expected, rtol=tolerance)
        np.testing.assert_allclose(ndimage.gaussian_filter(batch, (2, 1), axes=(3, 2)), expected, rtol=tolerance)
    row = image(9, np.float64)
    np.testing.assert_allclose(ndimage.convolve(row, [1.0, 2, 4, 3]), scipy.convolve(row, [1.0, 2, 4, 3]))
    x, w = image((9, 8), np.float64), rng.random((5, 3))
    padded = np.pad(np.pad(x, ((2, 2), (0, 0)), "wrap"), ((0, 0), (1, 1)), "edge")
    expected = scipy.correlate(padded, w)[2:-2, 1:-1]
    np.testing.assert_allclose(ndimage.correlate(x, w, mode=("wrap", "nearest")), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int32, np.uint64])
def test_outputs(dtype):
    x, w = image((9, 9), np.uint8), rng.random((3, 3))
    scale = 255 * w.sum()
    compare(ndimage.correlate(x, w, output=dtype), scipy.correlate(x, w, output=dtype), scale, 2.0**-24)
    found, expected = np.zeros((9, 9), dtype), np.zeros((9, 9), dtype)
    assert ndimage.correlate(x, w, output=found) is found
    scipy.correlate(x, w, output=expected)
    compare(found, expected, scale, 2.0**-24)
    strided = np.zeros((9, 18), dtype)[:, ::2]
    ndimage.correlate(x, w, output=strided)
    np.testing.assert_array_equal(strided, found)


def test_negative_results_wrap_around_as_scipys_do():
    x = image((9, 9), np.uint8)
    compare(ndimage.correlate(x, [[-1.5]]), scipy.correlate(x, [[-1.5]]), 1, 1)


def test_an_image_may_be_its_own_output():
    x, w = image((30, 20), np.float32), rng.random((3, 3))
    for run, expected in [
        (lambda y: ndimage.correlate(y, w, output=y), scipy.correlate(x, w)),
        (lambda y: ndimage.gaussian_filter(y, 1.0, output=y), scipy.gaussian_filter(x, 1.0)),
        (lambda y: ndimage.gaussian_filter(y, 1.0, 1, mode="constant", cval=2, output=y), scipy.gaussian_filter(x, 1.0, 1, mode="constant", cval=2)),
    ]:
        y = x.copy()
        assert run(y) is y
        np.testing.assert_allclose(y, expected, atol=1e-3)
    assert ndimage.correlate(np.zeros((0, 5)), w).shape == (0, 5)


def test_refusals():
    x, w = np.zeros((9, 9)), np.ones((3, 3))
    for run, message in [
        (lambda: ndimage.correlate(x.astype(complex), w), "the image has elements of complex128"),
        (lambda: ndimage.correlate(x.astype(bool), w), "the image has elements of bool"),
        (lambda: ndimage.correlate(x, w * 1j), "the kernel has elements of complex128"),
        (lambda: ndimage.correlate(x, [1, 2]), "the kernel has the shape (2,); 2 axes are filtered"),
        (lambda: ndimage.correlate(np.zeros((2, 3, 4)), w), "one or two axes are filtered, not 3; name them"),
        (lambda: ndimage.correlate(x, w, mode="edge"), "there is no mode `edge`; known are reflect"),
        (lambda: ndimage.correlate(x, w, origin=2), "outside a kernel of 3"),
        (lambda: ndimage.correlate(x, w, axes=(0, 0)), "named twice"),
        (lambda: ndimage.correlate(x, w, axes=(0, 2)), "axis 2 of an image of 2 axes"),
        (lambda: ndimage.correlate(x, w, axes=0, channel_axis=1), "give one of them"),
        (lambda: ndimage.correlate(x, w, output=np.zeros((9, 8))), "the output has the shape (9, 8), the image (9, 9)"),
        (lambda: ndimage.gaussian_filter(x, (1, 2, 3)), "`sigma` has 3 values for 2 axes"),
        (lambda: ndimage.gaussian_filter(x, 1, -1), "orders and radii are at least 0"),
    ]:
        with pytest.raises(convoke.Error) as raised:
            run()
        assert message in str(raised.value)


def test_the_cache_is_bounded_and_shared_by_threads():
    ndimage.clear_cache()
    x, w = image((16, 16), np.float32), rng.random((3, 3))
    expected, wrong = scipy.correlate(x, w), []

    def run(start):
        for i in range(start, start + 40):
            y = ndimage.correlate(x, w * (i % 7 + 1))
            if not np.allclose(y, expected * (i % 7 + 1), rtol=1e-4):
                wrong.append(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(compiled) == 7
    for i in range(KEPT + 5):
        ndimage.correlate(x, w + i)
    assert len(compiled) == KEPT
    np.testing.assert_array_equal(ndimage.correlate(x, w, threads=2), ndimage.correlate(x, w))
