"""convoke compiles convolution layers and whole nets to native code for the CPU that it finds.

>>> import convoke, numpy as np
>>> edges = convoke.compile('''
... layer @edges(%image: f32[1, 1, 32, 32]) -> f32[1, 1, 30, 30] {
...   %w = const f32[1, 1, 3, 3] = sobel_x
...   %y = conv2d %image, %w
...   return %y
... }''')
>>> edges(np.zeros([1, 1, 32, 32], np.float32)).shape
(1, 1, 30, 30)

============  =========================================================================
`compile`     a text of the layer language, a `.conv` file or an ONNX model, as `Compiled`
`load`        an ONNX model as `Model`, which compiles for the shapes that it meets
`ndimage`     filters for images, with the names and the modes of SciPy's
`Error`       every refusal, with the text of the command
============  =========================================================================
"""

from . import ndimage
from ._compiled import Compiled, Explanation, Report, Tensor, compile
from ._model import Declared, Model, load
from ._native import Error

__all__ = [
    "Compiled",
    "Declared",
    "Error",
    "Explanation",
    "Model",
    "Report",
    "Tensor",
    "compile",
    "load",
    "ndimage",
]
