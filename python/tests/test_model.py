"""`convoke.load` and ONNX models in `convoke.compile`."""

from pathlib import Path

import convoke
import numpy as np
import pytest

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
# Two inputs `a` and `b` of shape [N, 4], two outputs `p` and `q`: p = relu(a), q = relu(b).
TWO = (
    b'\x08\x08:a\n\x0c\n\x01a\x12\x01p"\x04Relu\n\x0c\n\x01b\x12\x01q"\x04Relu\x12\x01gZ\x14\n\x01a\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12\x01N\n\x02'
    b"\x08\x04Z\x14\n\x01b\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12\x01N\n\x02\x08\x04b\t\n\x01p\x12\x04\n\x02\x08\x01b\t\n\x01q\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
A, B = np.float32([[1, -2, 3, -4]]), np.float32([[-5, 6, -7, 8]])


@pytest.mark.parametrize("file", ["digits-dynamo.onnx", "digits-torchscript.onnx"])
def test_a_trained_net_reads_digits(file):
    model = convoke.load(DIGITS / file)
    assert (model.inputs[0].name, model.inputs[0].shape, model.outputs) == ("image", ("batch", 1, 8, 8), ("logits",))
    test = np.load(DIGITS / "test.npz")
    images, labels = test["images"], test["labels"]
    right = sum(model(images[i : i + 1]).argmax() == labels[i] for i in range(len(images)))
    assert right == 885 and len(images) == 899
    all_at_once = model(image=images)
    np.testing.assert_allclose(all_at_once[:1], model(images[:1]), atol=1e-4)


def test_the_notes_of_a_file_are_there():
    assert convoke.load(TWO).metadata == {}
    assert convoke.load(TWO + b"r\x0a\n\x01k\x12\x05notes").metadata == {"k": "notes"}


def test_code_is_kept_for_the_last_shapes():
    model = convoke.load(TWO, kept=2)
    first = model.compile((1, 4), (1, 4))
    assert model.compile((1, 4), b=(1, 4)) is first
    model.compile((2, 4), (2, 4))
    assert model.compile((1, 4), (1, 4)) is first
    model.compile((3, 4), (3, 4))
    model.compile((2, 4), (2, 4))
    assert model.compile((1, 4), (1, 4)) is not first


def test_sizes_outputs_and_arrays_by_name():
    model = convoke.load(TWO)
    p, q = model(A, B)
    np.testing.assert_array_equal(p, np.maximum(A, 0))
    np.testing.assert_array_equal(model(A, b=B)[1], q)
    out = np.empty_like(q)
    assert model(A, B, out={"p": np.empty_like(p), "q": out})[1] is out
    np.testing.assert_array_equal(out, q)
    only = convoke.load(TWO, outputs=["q"], dims={"N": 1})
    assert only.outputs == ("q",)
    np.testing.assert_array_equal(only(A, B), q)
    assert only.compile().outputs[0].shape == (1, 4)
    compiled = convoke.compile(TWO, input_shapes={"a": (1, 4), "b": [1, 4]}, outputs="p")
    np.testing.assert_array_equal(compiled(A, B), p)
    assert "explain" not in str(compiled.explain()) and "@g" in str(compiled.explain())


def test_refusals_name_what_is_wrong():
    model = convoke.load(TWO)
    for run, message in [
        (lambda: model(A), "the model was not given `b`"),
        (lambda: model(A, B, A), "the model has 2 inputs, 3 inputs were given"),
        (lambda: model(A, c=B), "the model has no input `c`; it has `a`, `b`"),
        (lambda: model(A, a=A), "input `a` was given twice, in order and by name"),
        (lambda: model(A, B.astype(np.float64)), "input `%b` is `f32[1, 4]`, an array of float64 was given"),
        (lambda: model(A, B[:, :3]), "b: the model says [N, 4], which this shape does not fit"),
        (lambda: model.compile(), "input `a` has the shape [N, 4]: bind its sizes"),
        (lambda: convoke.compile(TWO), "input `a` has the shape [N, 4]: bind its sizes"),
        (lambda: convoke.compile(TWO, layer="g"), "an ONNX model is one layer"),
        (lambda: convoke.load(b"no model"), "is no ONNX model"),
        (lambda: convoke.load("net.conv"), "`load` takes ONNX models"),
        (lambda: convoke.load(TWO, kept=0), "give at least 1"),
        (lambda: convoke.load(TWO, outputs=["r"])(A, B), "the model has no value `r`"),
    ]:
        with pytest.raises(convoke.Error) as raised:
            run()
        assert message in str(raised.value)
