"""SUPERVEGAN as an ONNX graph, layer by layer.

Inside, images and features are [b, c, h, w], as ONNX has them. Heights and widths stay unknown: all
that depends on them is computed by the graph itself.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from supervegan_jax.models.layers import NEGATIVE_SLOPE
from supervegan_jax.models.supervegan import FRAMES, SUB_PIXELS, SuperVegan
from supervegan_jax.ops.dynamic_filter import KERNEL_SIZE, TAPS

OPSET, IR_VERSION = 18, 10
INPUT, OUTPUT = "frames", "enhanced"

Params = dict[str, Any]


class Graph:
    """Nodes and constants under construction; a tensor is its name."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """A constant tensor."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype)
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """An operation with one output."""
        return self.split(op, 1, *inputs, **attributes)[0]

    def split(self, op: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """An operation with `count` outputs."""
        outputs = [f"{op.lower()}_{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, **attributes))
        return outputs

    def build(self, name: str, scale: int, doc: str) -> onnx.ModelProto:
        """The checked model of INPUT [b, 5, h, w, 3] and OUTPUT [b, scale h, scale w, 3]."""
        kind = TensorProto.FLOAT
        taken = helper.make_tensor_value_info(INPUT, kind, ["b", FRAMES, "h", "w", 3])
        sides = [f"{scale}*h", f"{scale}*w"]
        given = helper.make_tensor_value_info(OUTPUT, kind, ["b", *sides, 3])
        constants = [numpy_helper.from_array(x, n) for n, x in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, [taken], [given], constants, doc)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name = "supervegan_jax"
        onnx.checker.check_model(model, full_check=True)
        return model


def supervegan_graph(model: SuperVegan, params: Params, stage: str) -> Graph:
    """The graph from INPUT to OUTPUT.

    Args:
      model: the structure; its dtype is not looked at, the graph computes in float32.
      params: of it, NumPy arrays.
      stage: "a" gives bicubic2x(Y_A), "b" gives Y_B.
    """
    g = Graph()
    x = g.node("Transpose", INPUT, perm=[0, 1, 4, 2, 3])
    frames = [
        g.node("Squeeze", part, g.constant([1]))
        for part in g.split("Split", FRAMES, x, axis=1, num_outputs=FRAMES)
    ]
    size = g.node("Shape", frames[0], start=2, end=4)
    if model.scale == 2:
        frames = [_pad_to_even(g, frame) for frame in frames]
    y_a, features = _stage_a(g, model, params["stage_a"], frames)
    y = _bicubic(g, y_a)
    if stage == "b":
        y = g.node("Add", y, _stage_b(g, model, params["stage_b"], features))
    y = _crop(g, y, g.node("Mul", size, g.constant([model.scale])))
    g.nodes.append(helper.make_node("Transpose", [y], [OUTPUT], perm=[0, 2, 3, 1]))
    return g


def _stage_a(g: Graph, model: SuperVegan, params: Params, frames: list[str]) -> tuple[str, str]:
    centre = frames[FRAMES // 2]
    if model.scale == 2:
        frames = _conv3d(g, params["stem"], frames, pad_time=True, stride=2)
    frames = _conv3d(g, params["input"], frames, pad_time=True)
    for i in range(len(model.temporal_widths)):
        frames = _conv3d(g, params[f"temporal_{i}"], frames, pad_time=False)
    (y,) = frames
    y = _residual_blocks(g, params.get("trunk", {}), y)
    y = _residual_blocks(g, params.get("filter_blocks", {}), y)
    filtered = _apply_filters(g, centre, _conv(g, params["filters"], y), model.scale)
    y = _residual_blocks(g, params.get("residual_blocks", {}), y)
    residual = _depth_to_space(g, _conv(g, params["residual"], y), 2)
    return g.node("Add", filtered, residual), y


def _stage_b(g: Graph, model: SuperVegan, params: Params, features: str) -> str:
    up = _lrelu(g, _conv(g, params["up"], features))
    up = _depth_to_space(g, up, model.detail_grid)
    size = g.node("Shape", up, start=2, end=4)
    skip = _residual_blocks(g, params.get("encoder_blocks", {}), _pad_to_even(g, up))
    low = _lrelu(g, _conv(g, params["down"], skip, stride=2))
    low = _residual_blocks(g, params.get("inner_blocks", {}), low)
    low = _lrelu(g, _conv(g, params["inner_up"], low))
    joined = g.node("Concat", _depth_to_space(g, low, 2), skip, axis=1)
    y = _lrelu(g, _conv(g, params["join"], joined))
    y = _residual_blocks(g, params.get("decoder_blocks", {}), y)
    y = _conv(g, params["residual"], _crop(g, y, size))
    if model.detail_floor:
        y = _shrink_faint(g, y, model.detail_floor / 255)
    return _depth_to_space(g, y, 4 // model.detail_grid)


def _shrink_faint(g: Graph, y: str, floor: float) -> str:
    """`models.supervegan.shrink_faint`."""
    energy = g.node("ReduceMean", g.node("Mul", y, y), g.constant([1]), keepdims=1)
    around = {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}
    energy = g.node("AveragePool", energy, **around)
    whole = g.node("Add", energy, g.constant(floor**2, np.float32))
    return g.node("Mul", y, g.node("Div", energy, whole))


def _kernel(g: Graph, kernel: Any, bias: Any) -> list[str]:
    """[h, w, c, features] and [features] as Conv takes them."""
    return [
        g.constant(np.asarray(kernel).transpose(3, 2, 0, 1), np.float32),
        g.constant(bias, np.float32),
    ]


def _conv(g: Graph, params: Params, x: str, stride: int = 1) -> str:
    kernel, bias = params["conv"]["kernel"], params["conv"]["bias"]
    pads, strides = [kernel.shape[0] // 2] * 4, [stride, stride]
    return g.node("Conv", x, *_kernel(g, kernel, bias), pads=pads, strides=strides)


def _conv3d(
    g: Graph, params: Params, frames: list[str], *, pad_time: bool, stride: int = 1
) -> list[str]:
    """`ops.temporal.conv3d` and its activation, frame by frame; frames that are not there are 0."""
    kernel, bias = np.asarray(params["kernel"]), params["bias"]
    reach, count = len(kernel) // 2, len(frames)
    kernels: dict[tuple[int, ...], list[str]] = {}  # those of frames inside are one constant
    outputs = []
    for t in range(count) if pad_time else range(reach, count - reach):
        taps = tuple(tap for tap in range(len(kernel)) if 0 <= t + tap - reach < count)
        if taps not in kernels:
            kernels[taps] = _kernel(g, np.concatenate(kernel[list(taps)], axis=2), bias)
        x = g.node("Concat", *(frames[t + tap - reach] for tap in taps), axis=1)
        y = g.node("Conv", x, *kernels[taps], pads=[1] * 4, strides=[stride, stride])
        outputs.append(_lrelu(g, y))
    return outputs


def _residual_blocks(g: Graph, params: Params, x: str) -> str:
    for i in range(len(params)):
        block = params[f"block_{i}"]
        x = g.node("Add", x, _conv(g, block["conv_1"], _lrelu(g, _conv(g, block["conv_0"], x))))
    return x


def _apply_filters(g: Graph, centre: str, logits: str, scale: int) -> str:
    """Eq. 4: `ops.dynamic_filter.apply_dynamic_filters` of the logits' softmax."""
    # Every neighbour as a channel (channel, row, column): a convolution that copies.
    reach = KERNEL_SIZE // 2
    copies = np.tile(np.eye(TAPS).reshape(TAPS, 1, KERNEL_SIZE, KERNEL_SIZE), (3, 1, 1, 1))
    padded = _pad_edge(g, centre, [reach] * 4)
    patches = g.node("Conv", padded, g.constant(copies, np.float32), group=3)
    channels = g.split("Split", 3, patches, axis=1, num_outputs=3)
    if scale == 2:  # one filter an input pixel: place each cell's 4 filters first
        filters, factor = [_depth_to_space(g, logits, 2)], 1
    else:
        filters, factor = g.split("Split", SUB_PIXELS, logits, axis=1, num_outputs=SUB_PIXELS), 2
    pixels = []
    for one in filters:
        weights = g.node("Softmax", one, axis=1)
        for channel in channels:
            product = g.node("Mul", weights, channel)
            pixels.append(g.node("ReduceSum", product, g.constant([1]), keepdims=1))
    return _depth_to_space(g, g.node("Concat", *pixels, axis=1), factor)


def _lrelu(g: Graph, x: str) -> str:
    return g.node("LeakyRelu", x, alpha=NEGATIVE_SLOPE)


def _depth_to_space(g: Graph, x: str, block: int) -> str:
    """`ops.space.depth_to_space`, whose order of channels is ONNX's DCR."""
    return x if block == 1 else g.node("DepthToSpace", x, blocksize=block, mode="DCR")


def _bicubic(g: Graph, x: str) -> str:
    """`ops.resize.upsample_bicubic` by 2."""
    scales = g.constant([1, 1, 2, 2], np.float32)
    return g.node(
        "Resize",
        x,
        "",
        scales,
        mode="cubic",
        cubic_coeff_a=-0.5,
        coordinate_transformation_mode="half_pixel",
    )


def _pad_edge(g: Graph, x: str, widths: list[int]) -> str:
    """Repeats the border: widths before h, before w, behind h, behind w."""
    return g.node("Pad", x, g.constant(widths), "", g.constant([2, 3]), mode="edge")


def _pad_to_even(g: Graph, x: str) -> str:
    odd = g.node("Mod", g.node("Shape", x, start=2, end=4), g.constant([2]))
    widths = g.node("Concat", g.constant([0, 0]), odd, axis=0)
    return g.node("Pad", x, widths, "", g.constant([2, 3]), mode="edge")


def _crop(g: Graph, x: str, size: str) -> str:
    """The first rows and columns."""
    return g.node("Slice", x, g.constant([0, 0]), size, g.constant([2, 3]))
