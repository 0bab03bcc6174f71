"""`convoke.compile`: arrays in and out, refusals, reports."""

import doctest
import threading

import convoke
import numpy as np
import pytest
from convoke._arrays import as_array, empty

IMAGE = np.random.default_rng(1).standard_normal([1, 1, 32, 32]).astype(np.float32)


def sobel(image):
    """The layer `edges` written out."""
    x = image[0, 0].astype(np.float64)
    columns = x[:, 2:] - x[:, :-2]
    return (columns[:-2] + 2 * columns[1:-1] + columns[2:])[None, None]


class Shared:
    """A tensor of another library, which shares its memory through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_a_text_becomes_a_function_of_arrays(edges):
    layer = convoke.compile(edges)
    assert (layer.name, layer.inputs[0].name, layer.inputs[0].shape, layer.inputs[0].dtype) == ("edges", "image", (1, 1, 32, 32), np.float32)
    assert [tensor.type for tensor in layer.outputs] == ["f32[1, 1, 30, 30]"]
    y = layer(IMAGE)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, sobel(IMAGE), atol=1e-5)
    np.testing.assert_array_equal(layer.run(image=IMAGE), y)
    np.testing.assert_array_equal(convoke.compile(edges, threads=2)(IMAGE), y)


def test_the_example_of_the_package_runs():
    assert doctest.testmod(convoke).failed == 0 and doctest.testmod(convoke).attempted > 0


def test_a_path_is_read_with_its_folder(edges, tmp_path):
    path = tmp_path / "edges.conv"
    np.save(tmp_path / "w.npy", np.ones([1, 1, 3, 3], np.float32))
    path.write_text(edges.replace("sobel_x", 'file("w.npy")'), encoding="utf-8")
    for given in (path, str(path)):
        y = convoke.compile(given)(IMAGE)
        assert y[0, 0, 0, 0] == pytest.approx(IMAGE[0, 0, :3, :3].sum(), abs=1e-5)


def test_arrays_of_any_order_are_read_and_outputs_are_written_in_place(edges):
    layer = convoke.compile(edges)
    expected = layer(IMAGE)
    turned = np.asfortranarray(IMAGE[0, 0]).reshape(1, 1, 32, 32, order="F")
    assert not turned.flags.c_contiguous
    np.testing.assert_array_equal(layer(turned), expected)
    backwards = np.ascontiguousarray(IMAGE[..., ::-1])[..., ::-1]
    np.testing.assert_array_equal(layer(backwards), expected)
    moved = np.zeros(IMAGE.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(IMAGE.shape)
    moved[...] = IMAGE
    assert not moved.flags.aligned
    np.testing.assert_array_equal(layer(moved), expected)
    out = np.full_like(expected, np.nan)
    assert layer(IMAGE, out=out) is out
    np.testing.assert_array_equal(out, expected)
    stack = np.zeros([3, 1, 1, 30, 30], np.float32)
    layer(IMAGE, out=stack[1])
    np.testing.assert_array_equal(stack[1], expected)
    assert not stack[0].any() and not stack[2].any()


def test_arrays_are_not_copied_on_the_way():
    assert as_array(IMAGE, "x") is IMAGE
    assert np.shares_memory(as_array(Shared(IMAGE), "x"), IMAGE)
    assert empty([33, 65], np.dtype(np.float32)).ctypes.data % 64 == 0


def test_tensors_of_other_libraries_are_shared(edges):
    layer = convoke.compile(edges)
    expected, out = layer(IMAGE), np.zeros([1, 1, 30, 30], np.float32)
    np.testing.assert_array_equal(layer(Shared(IMAGE)), expected)
    np.testing.assert_array_equal(layer(Shared(np.asfortranarray(IMAGE))), expected)
    with pytest.raises(convoke.Error, match="input `%image` was given an object of .* that NumPy cannot share"):
        layer(Shared(object()))
    try:
        layer(IMAGE, out=Shared(out))
    except convoke.Error as error:
        # NumPy before 2.1 shares for reading alone.
        assert "read-only" in str(error)
    else:
        np.testing.assert_array_equal(out, expected)


def test_several_inputs_and_outputs_of_different_types(pair):
    layer = convoke.compile(pair)
    a, b = np.float32([[1, -2, 3], [-4, 5, -6]]), np.array([-1.0, 2.0, -3.0])
    for p, q in (layer(a, b), layer(a, b=b), layer(b=b, a=a)):
        np.testing.assert_array_equal(p, np.maximum(a, 0))
        np.testing.assert_array_equal(q, np.maximum(b, 0))
    p, q = np.empty_like(a), np.empty_like(b)
    assert layer(a, b, out={"q": q, "p": p})[1] is q
    np.testing.assert_array_equal(q, [0, 2, 0])
    layer(a, b, out=(p, q))


@pytest.mark.parametrize("elem, dtype", [("f16", np.float16), ("f64", np.float64)])
def test_element_types(elem, dtype):
    layer = convoke.compile(f"layer @r(%x: {elem}[4]) -> {elem}[4] {{\n%y = relu %x\nreturn %y\n}}")
    assert layer.inputs[0].dtype == dtype
    np.testing.assert_array_equal(layer(np.array([-1, 2, -3, 4], dtype)), np.array([0, 2, 0, 4], dtype))


def test_bfloat16_is_that_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    layer = convoke.compile("layer @r(%x: bf16[4]) -> bf16[4] {\n%y = relu %x\nreturn %y\n}")
    y = layer(np.array([-1, 2, -3, 4], ml_dtypes.bfloat16))
    assert y.dtype == ml_dtypes.bfloat16 and y.tolist() == [0, 2, 0, 4]


def test_wrong_arrays_are_named_with_the_type_and_what_was_given(edges, pair):
    layer, two = convoke.compile(edges), convoke.compile(pair)
    out = np.zeros([1, 1, 30, 30], np.float32)
    fixed = out.copy()
    fixed.flags.writeable = False
    a, b = np.zeros([2, 3], np.float32), np.zeros(3)
    for run, message in [
        (lambda: layer(IMAGE[0]), "input `%image` is `f32[1, 1, 32, 32]`, an array of shape [1, 32, 32] was given"),
        (lambda: layer(IMAGE.astype(np.float64)), "input `%image` is `f32[1, 1, 32, 32]`, an array of float64 was given"),
        (lambda: layer(IMAGE.astype(np.int8)), "input `%image` is `f32[1, 1, 32, 32]`, an array of int8 was given"),
        (lambda: layer(IMAGE.astype(">f4")), "an array of >f4 was given"),
        (lambda: layer("image"), "input `%image` is `f32[1, 1, 32, 32]`, an array of <U5 was given"),
        (lambda: layer(), "layer `edges` has 1 inputs, 0 were given"),
        (lambda: layer(IMAGE, IMAGE), "layer `edges` has 1 inputs, 2 were given"),
        (lambda: layer(picture=IMAGE), "layer `edges` has no input `picture`; it has `image`"),
        (lambda: two(a), "layer `pair` has 2 inputs, 1 were given"),
        (lambda: two(b=b), "layer `pair` was not given `%a`, which is `f32[2, 3]`"),
        (lambda: two(a, a=a), "input `%a` was given twice, in order and by name"),
        (lambda: layer(IMAGE, out=out[0]), "output `%y` is `f32[1, 1, 30, 30]`, an array of shape [1, 30, 30] was given"),
        (lambda: layer(IMAGE, out=np.zeros([1, 1, 30, 60], np.float32)[..., ::2]), "outputs must be in standard (row-major) order without gaps"),
        (lambda: layer(IMAGE, out=fixed), "output `%y` was given a read-only array"),
        (lambda: layer(IMAGE, out=[[0.0]]), "output 0 was given an object of <class 'list'>; outputs are written to arrays"),
        (lambda: layer(IMAGE, out=(out, out)), "layer `edges` has 1 outputs, 2 were given"),
        (lambda: two(a, b, out={"p": a}), "`out` has arrays for ['p']; layer `pair` has the outputs ['p', 'q']"),
        (lambda: two(a, b, out=(a, b)), "was given an array that overlaps an array of this run"),
    ]:
        with pytest.raises(convoke.Error) as raised:
            run()
        assert message in str(raised.value)
    assert not out.any()


def test_all_mistakes_of_a_text_are_shown_in_their_places(edges):
    with pytest.raises(convoke.Error) as raised:
        convoke.compile(edges.replace("conv2d %image, %w", "conv3d %image, %w").replace("sobel_x", "sobel_z"))
    message = str(raised.value)
    assert "there is no op `conv3d`" in message and "sobel_z" in message and "<text>:4:8" in message and "^^^^^^" in message


def test_options_out_of_range_are_refused(edges):
    for options, message in [
        ({"cpu": "z80"}, "there is no machine `z80`; known are host"),
        ({"level": 4}, "the optimisation level is 4; levels are 0 to 3"),
        ({"threads": 0}, "a run has 0 threads"),
        ({"max_error": -1.0}, "the largest error allowed is -1"),
        ({"max_output_error": 0.0}, "the largest error allowed of outputs is 0"),
        ({"max_output_error": 1e-6, "certified": True}, "leave out --certified"),
        ({"subnormals": "drop"}, "subnormals is `drop`; give `flush` or `keep`"),
        ({"algorithm": "magic"}, "an algorithm is"),
        ({"algorithm": "fft(8x8)", "ieee": True}, "which --ieee forbids"),
        ({"input_range": (2.0, 1.0)}, "input_range is (2, 1)"),
        ({"dims": {"n": 1}}, "`dims` is for ONNX models"),
        ({"layer": "other"}, "<text> has no layer `other`; it has `edges`"),
        ({"max_memory": 1}, "more than the limit of 1"),
        ({"limits": {"max_elements": 100}}, "the limit is 100; allow more with --max-elements"),
        ({"limits": {"max_source": 20}}, "the limit is 20"),
        ({"limits": {"max_compile_seconds": 0}}, "allow more with --max-compile-seconds"),
        ({"limits": {"max_opps": 1}}, "limits has max_opps = 1; give numbers of at least 0 for max_source, max_nesting"),
    ]:
        with pytest.raises(convoke.Error) as raised:
            convoke.compile(edges, **options)
        assert message in str(raised.value)
    with pytest.raises(convoke.Error, match="cannot read"):
        convoke.compile("no-such-file.conv")
    with pytest.raises(TypeError, match="a model is a text, a path or the bytes"):
        convoke.compile(3)


def test_a_layer_is_named_in_a_text_of_several(edges, pair):
    assert convoke.compile(edges + pair, layer="pair").name == "pair"
    with pytest.raises(convoke.Error, match="has 2 layers: name one of `edges`, `pair`"):
        convoke.compile(edges + pair)


def test_the_report_and_the_explanation(edges):
    layer = convoke.compile(edges, algorithm="direct", max_error=1e-5)
    report = layer.report
    assert report.machine == "host" and report.vector_bits >= 128
    assert report.compile_time > 0 and report.code_bytes > 0 and report.flops == 2 * 9 * 30 * 30
    assert list(report.algorithms) == ["y"] and report.algorithms["y"].startswith("direct")
    explanation = layer.explain()
    assert "layer    @edges" in str(explanation) and "direct" in repr(explanation)
    page = explanation._repr_html_()
    assert page.startswith("<iframe srcdoc=") and "&lt;html" in page and "<html" in explanation.html
    with pytest.raises(convoke.Error, match="nothing"):
        layer.explain(of="nothing")


def test_threads_run_one_layer_at_the_same_time(edges):
    layer = convoke.compile(edges)
    expected, wrong = layer(IMAGE), []

    def run():
        for _ in range(200):
            if not np.array_equal(layer(IMAGE), expected):
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_run_releases_the_lock():
    layer = convoke.compile("layer @l(%x: f32[1, 64, 128, 128]) -> f32[1, 64, 128, 128] {\n%w = const f32[64, 64, 3, 3] = normal(seed = 1)\n"
                            "%y = conv2d %x, %w { pads = [1, 1, 1, 1] }\nreturn %y\n}")
    x, done, counted = np.zeros([1, 64, 128, 128], np.float32), threading.Event(), 0
    thread = threading.Thread(target=lambda: ([layer(x) for _ in range(20)], done.set()))
    thread.start()
    while not done.is_set():
        counted += 1
    thread.join()
    assert counted > 1000
