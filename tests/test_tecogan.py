import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.losses.temporal_sequence import make_ping_pong
from supervegan_jax.models.tecogan import (
    MAX_VELOCITY,
    VARIANTS,
    DoublingConv,
    TecoGan,
    upsample_flow,
)
from supervegan_jax.models.tecogan_discriminator import (
    TecoGanDiscriminator,
    ping_pong_flows,
    show_triplets,
)
from supervegan_jax.ops.counting import count_macs
from supervegan_jax.ops.space import depth_to_space, space_to_depth
from supervegan_jax.ops.warp import backward_warp

SMALL = {"blocks": 2, "width": 16}
# One column of the last sequence of `example`, green; rows are frames.
GOLDEN = [
    [0.26962, -0.093474, 0.059335],
    [0.082749, -0.009427, -0.226439],
    [0.303415, 0.157135, -0.115968],
]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def twins(torch):
    import torch_tecogan

    return torch_tecogan


def shapes_of(generator):
    frames = jax.ShapeDtypeStruct((1, 2, 8, 8, 3), jnp.float32)
    return jax.eval_shape(generator.init, jax.random.key(0), frames)


def random_variables(shapes, seed=0):
    """Weights that keep features near 1 and flows of some pixels, drawn by NumPy."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        size = 0.1 if len(leaf.shape) == 1 else (2 / np.prod(leaf.shape[:-1])) ** 0.5
        if "output_1" in name:  # tanh of it times 24 is the flow
            size *= 0.2
        return jnp.asarray(size * rng.standard_normal(leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def run(function, *arguments):
    """Compiles without optimising, which takes longer than what is run here once."""
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(function).lower(*arguments).compile(options)(*arguments)


def random_frames(shape, seed=1):
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


@pytest.fixture(scope="module")
def small():
    generator = TecoGan(**SMALL)
    return generator, random_variables(shapes_of(generator))


@pytest.fixture(scope="module")
def example(small):
    """A sequence of odd size, what it becomes, and its flows."""
    generator, variables = small
    x = random_frames((2, 3, 13, 10, 3))
    sequence = jax.jit(lambda v, x: generator.apply(v, x, method="sequence"))
    return x, *sequence(variables, x)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters_and_macs_at_720p():
    generator = TecoGan(**VARIANTS["tecogan"])
    variables = shapes_of(generator)
    assert count(variables) == 3_032_229
    assert count(variables["params"]["generator"]) == 1_286_723

    lr = jax.ShapeDtypeStruct((1, 180, 320, 3), jnp.float32)
    sr = jax.ShapeDtypeStruct((1, 720, 1280, 3), jnp.float32)

    def macs(method, *arguments):
        return count_macs(
            lambda v, *x: generator.apply(v, *x, method=method), variables, *arguments
        )

    # 89 G are a frame's whole step, flow network included: by hand, with 180 rows pooled to 176
    #   generator: 320 * 180 * 9 * (51 * 64 + 32 * 64 * 64) and, as a transposed convolution
    #   multiplies each of its 9 taps once an input pixel, 9 * 64 * 64 * (1 + 4), 9 * 16 * 64 * 3.
    frame = 320 * 180
    taps = 51 * 64 + 32 * 64 * 64 + 5 * 64 * 64 + 16 * 64 * 3
    assert macs("step", lr, sr, lr) - macs("flow", lr, lr) == frame * 9 * taps == 81_849_139_200
    assert macs("step", lr, sr, lr) == 89_035_407_360
    # Every frame of a sequence costs that.
    sequence = jax.ShapeDtypeStruct((1, 5, 180, 320, 3), jnp.float32)
    assert macs("__call__", sequence) == 5 * 89_035_407_360


def test_the_middle_of_the_flow_network_is_counted_by_hand():
    generator = TecoGan()
    frame = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    macs = count_macs(
        lambda v, x: generator.apply(v, x, x, method="flow"), shapes_of(generator), frame
    )
    encoder = (6 + 32) * 32 + (32 + 64) * 64 / 4 + (64 + 128) * 128 / 16
    decoder = (128 + 256) * 256 / 64 + (256 + 128) * 128 / 16 + (128 + 64) * 64 / 4
    assert macs == 64 * 64 * 9 * (encoder + decoder + 64 * 32 + 32 * 2)


def to_torch(torch, array):
    return torch.from_numpy(np.array(array))


def set_convolution(torch, module, ours):
    """Copies our kernel to a module of PyTorch, whose transposed ones have the inputs first."""
    transposed = isinstance(module, torch.nn.ConvTranspose2d)
    axes = (2, 3, 0, 1) if transposed else (3, 2, 0, 1)
    module.weight.data = to_torch(torch, np.transpose(ours["kernel"], axes))
    if module.bias is not None:
        module.bias.data = to_torch(torch, ours["bias"])


def make_twin(torch, twins, params, blocks, width):
    twin = twins.TecoGan(blocks, width)
    flow, generator = params["flow_net"], params["generator"]
    layers = []
    for side in ("encoder", "decoder"):
        for i in range(3):
            block = getattr(twin.fnet, f"{side}_{i + 1}")
            layers += [(block[f"conv_{j + 1}"], flow[f"{side}_{i}_{j}"]["conv"]) for j in (0, 1)]
    stage = twin.fnet.output_stage
    layers += [(stage[f"conv{j + 1}"], flow[f"output_{j}"]["conv"]) for j in (0, 1)]
    layers.append((twin.generator.input_stage, generator["input"]["conv"]))
    for i, block in enumerate(twin.generator.resblock):
        layers += [(block[f"conv_{j + 1}"], generator[f"block_{i}_{j}"]["conv"]) for j in (0, 1)]
    layers += [(getattr(twin.generator, f"conv_tran{i + 1}"), generator[f"up_{i}"]) for i in (0, 1)]
    layers.append((twin.generator.output_stage, generator["output"]["conv"]))
    assert len(layers) == len(list(twin.parameters())) // 2
    for module, ours in layers:
        set_convolution(torch, module, ours)
    return twin


def test_forward_pass_equals_pytorch(torch, twins, small, example):
    twin = make_twin(torch, twins, small[1]["params"], **SMALL)
    x, ours, flows = example
    assert 0.5 < float(jnp.abs(flows).mean()) < MAX_VELOCITY / 2
    with torch.no_grad():
        theirs = twin(to_torch(torch, x)).numpy()
    assert theirs.std() > 0.3 and abs(theirs[:, 1:] - theirs[:, :-1]).mean() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_step_at_a_time_gives_the_sequence(small, example):
    generator, variables = small
    x, whole, _ = example
    step = jax.jit(lambda *frames: generator.apply(variables, *frames, method="step"))
    # What lies before the first frame does not matter.
    previous_lr, previous_sr = random_frames(x[:, 0].shape, 7), jnp.zeros_like(whole[:, 0])
    for i in range(3):
        previous_sr = step(previous_lr, previous_sr, x[:, i])
        previous_lr = x[:, i]
        np.testing.assert_allclose(previous_sr, whole[:, i], atol=1e-5)


def test_the_flows_are_of_consecutive_frames(small, example):
    generator, variables = small
    x, _, flows = example
    assert flows.shape == (2, 2, 13, 10, 2)
    flow = jax.jit(lambda *frames: generator.apply(variables, *frames, method="flow"))
    for i in range(2):
        np.testing.assert_allclose(flows[:, i], flow(x[:, i], x[:, i + 1]), atol=1e-5)
    # What pooling leaves out mirrors what it left.
    np.testing.assert_array_equal(flows[..., 8:, :], flows[..., 7:5:-1, :])
    np.testing.assert_array_equal(flows[:, :, 8:], flows[:, :, 7:2:-1])
    np.testing.assert_allclose(upsample_flow(flows[:, 0])[:, ::4, ::4], 4 * flows[:, 0], atol=1e-5)


def test_every_parameter_and_every_earlier_frame_takes_part(small):
    generator, variables = small
    x = random_frames((1, 3, 8, 8, 3))

    def last(variables, x):
        return jnp.sum(generator.apply(variables, x)[:, -1] ** 2)

    of_variables, of_x = run(jax.grad(last, argnums=(0, 1)), variables, x)
    for path, leaf in jax.tree_util.tree_leaves_with_path(of_variables):
        assert bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)
    assert all(bool(jnp.any(of_x[:, i] != 0)) for i in range(3))


def test_golden_numbers(example):
    np.testing.assert_allclose(example[1][1, :, 5:50:15, 17, 1], GOLDEN, atol=2e-4)


def test_bfloat16_features_leave_float32_images_flows_and_parameters(small, example):
    half = TecoGan(**SMALL, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes_of(half))} == {jnp.dtype("float32")}
    x, exact, _ = example
    sr, flows = run(lambda v, x: half.apply(v, x, method="sequence"), small[1], x[:, :1])
    assert sr.dtype == flows.dtype == jnp.float32
    assert 1e-4 < float(jnp.abs(sr - exact[:, :1]).mean()) < 0.05


def test_doubling_convolution_equals_the_loop():
    module = DoublingConv(3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 3, 4, 2)).astype(np.float32)
    kernel, bias = rng.normal(size=(3, 3, 2, 3)), rng.normal(size=3)
    expected = np.zeros((1, 7, 9, 3)) + bias
    for i in range(3):
        for j in range(4):
            for k in range(3):
                for m in range(3):
                    expected[:, 2 * i + k, 2 * j + m] += x[:, i, j] @ kernel[k, m]
    params = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    y = module.apply({"params": params}, x)
    np.testing.assert_allclose(y, expected[:, :6, :8], atol=1e-5)


def test_space_to_depth_is_the_inverse():
    x = random_frames((2, 8, 12, 3))
    np.testing.assert_array_equal(depth_to_space(space_to_depth(x, 4), 4), x)
    assert (space_to_depth(x, 4)[1, 1, 2, 3 * (4 * 1 + 2) : 3 * (4 * 1 + 3)] == x[1, 5, 10]).all()
    with pytest.raises(ValueError, match="12x6 is not made of blocks of 4x4"):
        space_to_depth(x[:, :6], 4)


@pytest.fixture(scope="module")
def judge():
    module = TecoGanDiscriminator()
    shown = jax.ShapeDtypeStruct((1, 16, 16, 27), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), shown)
    # By hand: the input, four kernels of 4x4 with a bias behind each norm, the logit.
    kernels = 9 * 27 * 64 + 16 * (64 * 64 + 64 * 64 + 64 * 128 + 128 * 256)
    assert count(shapes) == kernels + 64 + 64 + 64 + 128 + 256 + 256 + 1
    return module, random_variables(shapes)


def test_discriminator_equals_pytorch(torch, twins, judge):
    module, variables = judge
    params, twin = variables["params"], twins.Discriminator()
    set_convolution(torch, twin.input_stage, params["input"]["conv"])
    for i in range(4):
        block = getattr(twin, f"disblock_{2 * i + 1}")
        set_convolution(torch, block["conv1"], params[f"down_{i}"])
        block["beta"].bias.data = to_torch(torch, params[f"norm_{i}_bias"])
    twin.dense_layer_2.weight.data = to_torch(torch, params["logits"]["kernel"].T)
    twin.dense_layer_2.bias.data = to_torch(torch, params["logits"]["bias"])

    shown = random_frames((3, 37, 48, 27)) * 2 - 1
    logits, layers = run(lambda v, x: module.apply(v, x, method="judge"), variables, shown)
    with torch.no_grad():
        probability, features = twin(to_torch(torch, shown))
    assert logits.shape == (3, 3, 3)
    np.testing.assert_allclose(jax.nn.sigmoid(logits), probability.numpy(), atol=1e-4)
    for i, theirs in enumerate(features):
        np.testing.assert_allclose(layers[f"layer_{i}"], theirs.numpy(), atol=1e-4)
    np.testing.assert_array_equal(run(module.apply, variables, shown), logits)


def test_triplets_are_moved_onto_their_middle():
    # Frames with their number as the value, flows with the number of the pair they are of.
    numbers = make_ping_pong(jnp.arange(4.0)[None, :])  # 0 1 2 3 2 1 0
    flows = jnp.broadcast_to(jnp.arange(6.0)[None, :, None, None, None], (1, 6, 1, 1, 2))
    before, after = ping_pong_flows(flows)
    assert before.shape == after.shape == (1, 2, 1, 1, 2)
    for triplet in range(2):
        first, middle, last = numbers[0, 3 * triplet : 3 * triplet + 3]
        for flow, source in ((before, first), (after, last)):
            pair = int(flow[0, triplet, 0, 0, 0])
            assert (numbers[0, pair], numbers[0, pair + 1]) == (source, middle)


def test_what_the_discriminator_is_shown():
    lr, frames = random_frames((2, 4, 8, 10, 3)), random_frames((2, 4, 32, 40, 3), 2)
    flows = tuple(random_frames((2, 1, 8, 10, 2), seed) * 3 for seed in (3, 4))
    shown = run(show_triplets, lr, frames, flows)
    assert shown.shape == (2, 32, 40, 27)
    shown = np.asarray(shown).reshape(2, 32, 40, 3, 3, 3)  # group, colour, frame
    for i in range(3):
        original = 2 * frames[:, i] - 1
        np.testing.assert_allclose(shown[:, :, :, 0, :, i], original, atol=1e-6)
        np.testing.assert_allclose(shown[:, ::4, ::4, 2, :, i], lr[:, i], atol=1e-6)
        moved = original
        if i != 1:
            moved = run(backward_warp, original, upsample_flow(flows[i // 2][:, 0]))
        inside = np.s_[:, 4:28, 5:35]  # three quarters of 32 and 40, centred
        np.testing.assert_allclose(shown[inside][..., 1, :, i], moved[inside], atol=1e-5)
        outside = np.ones((32, 40), bool)
        outside[inside[1:]] = False
        assert not shown[:, outside][..., 1, :, i].any()


def test_no_gradient_goes_from_the_discriminator_to_the_flows():
    lr, frames = random_frames((1, 3, 8, 8, 3)), random_frames((1, 3, 32, 32, 3), 2)

    def total(frames, flow):
        return jnp.sum(show_triplets(lr, frames, (flow, flow)) ** 2)

    flow = random_frames((1, 1, 8, 8, 2))
    of_frames, of_flow = run(jax.grad(total, argnums=(0, 1)), frames, flow)
    assert bool(jnp.all(of_frames != 0)) and not bool(jnp.any(of_flow))


def test_wrong_inputs_are_refused(small, judge):
    generator, variables = small

    def apply(method, *arguments):
        return generator.apply(variables, *arguments, method=method)

    with pytest.raises(ValueError, match="scale is 2; TecoGAN is defined for 4"):
        shapes_of(TecoGan(scale=2))
    frame, large = jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 32, 32, 3))
    with pytest.raises(ValueError, match=r"input of shape \(1, 8, 8, 3\); \[b, t, h, w, 3\]"):
        apply("__call__", frame)
    with pytest.raises(ValueError, match="sides of at least 8 are needed"):
        apply("__call__", jnp.zeros((1, 2, 7, 8, 3)))
    with pytest.raises(ValueError, match=r"frames of shape \(1, 8, 8, 1\)"):
        apply("step", frame, large, frame[..., :1])
    with pytest.raises(ValueError, match=r"\[b, h, w, 3\] and \[b, 4h, 4w, 3\] are needed"):
        apply("step", frame, frame, frame)
    with pytest.raises(ValueError, match="flow between frames of shapes"):
        apply("flow", large, frame)
    with pytest.raises(ValueError, match=r"triplets of shape \(1, 32, 32, 3\)"):
        judge[0].apply(judge[1], large)


def test_wrong_triplets_are_refused():
    lr, frames = jnp.zeros((1, 3, 8, 8, 3)), jnp.zeros((1, 3, 32, 32, 3))
    flow = jnp.zeros((1, 1, 8, 8, 2))
    with pytest.raises(ValueError, match="triplets of input of shape"):
        show_triplets(lr[:, :2], frames[:, :2], (flow[:, :0], flow[:, :0]))
    with pytest.raises(ValueError, match=r"flows of shapes .*; \(1, 1, 8, 8, 2\) is needed"):
        show_triplets(lr, frames, (flow, flow[..., :1]))
    with pytest.raises(ValueError, match="kept is 0; more than 0 and at most 1"):
        show_triplets(lr, frames, (flow, flow), kept=0)
    with pytest.raises(ValueError, match="3 flows of a ping-pong sequence; an even number"):
        ping_pong_flows(jnp.zeros((1, 3, 8, 8, 2)))
