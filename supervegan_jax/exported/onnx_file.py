"""ONNX: written from the graph, run by onnxruntime. Both packages are the extra "onnx"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.weights.model_file import LoadedModel

_NEEDED = "ONNX needs the packages onnx and onnxruntime: pip install 'supervegan_jax[onnx]'"


def write_onnx(model: LoadedModel, stage: str) -> bytes:
    """The network as an ONNX file's content, its parameters inside.

    Raises:
      ValueError: the network is not a SUPERVEGAN, or a package is missing.
    """
    try:
        from supervegan_jax.exported.onnx_graph import supervegan_graph
    except ImportError as error:
        raise ValueError(_NEEDED) from error
    if not isinstance(model.generator, SuperVegan):
        raise ValueError(f"{type(model.generator).__name__} has no ONNX form; SuperVegan has")
    graph = supervegan_graph(model.generator, model.params, stage)
    name = str(model.card["name"])
    built = graph.build(name, model.scale, str(model.card.get("description", "")))
    return bytes(built.SerializeToString())


def read_onnx(content: bytes) -> Callable[[Any], Any]:
    """The network of a file's content, on the fastest device that onnxruntime has.

    Raises:
      ValueError: it is no ONNX file, or a package is missing.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(_NEEDED) from error
    providers = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(content, providers=providers)
    except Exception as error:  # onnxruntime's own errors have no common ancestor
        raise ValueError(f"no ONNX file ({str(error).splitlines()[0]})") from error
    name = session.get_inputs()[0].name
    return lambda windows: session.run(None, {name: np.asarray(windows, np.float32)})[0]
