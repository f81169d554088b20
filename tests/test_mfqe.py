import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.models.layers import PReLU
from supervegan_jax.models.mfqe import (
    FLOW_UNIT,
    MOMENTUM,
    VARIANTS,
    Mfqe2,
    MotionCompensation,
    PeakFrameDetector,
)
from supervegan_jax.ops.counting import count_macs
from supervegan_jax.ops.peak_frames import (
    choose_references,
    label_peak_quality_frames,
    refine_peak_labels,
)
from supervegan_jax.ops.warp import backward_warp

# One column of the last output of `example`.
GOLDEN = [0.925793, 0.028501, 1.323734, 1.782582, 1.511785, 1.4201]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def twins(torch):
    import torch_mfqe

    return torch_mfqe


def shapes_of(module, shape=(1, 3, 8, 8, 1)):
    return jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def random_variables(shapes, seed=0):
    """Weights that keep features near 1 and flows of some pixels, and statistics of a training."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        x = rng.standard_normal(leaf.shape)
        if name.endswith("['kernel']"):
            x *= (2 / np.prod(leaf.shape[:-1])) ** 0.5 * (0.05 if "_flow" in name else 1)
        elif name.endswith("['var']") or name.endswith("['scale']"):
            x = np.exp(0.3 * x)
        else:
            x *= 0.01 if "_flow" in name else 0.2
        return jnp.asarray(x, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def run(function, *arguments):
    """Compiles without optimising, which takes longer than what is run here once."""
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(function).lower(*arguments).compile(options)(*arguments)


@pytest.fixture(scope="module")
def example():
    """The network, luma of odd size, and what both become."""
    module = Mfqe2()
    variables = random_variables(shapes_of(module))
    x = jnp.asarray(np.random.default_rng(1).random((2, 3, 18, 23, 1), np.float32))
    y = run(lambda v, x: module.apply(v, x, method="enhance_and_compensate"), variables, x)
    return module, variables, x, y


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters_and_macs_at_720p():
    module = Mfqe2(**VARIANTS["mfqe2"])
    variables = shapes_of(module)
    # Those of the batch normalisation and of the PReLUs included, the statistics not.
    assert count(variables["params"]) == 255_422
    assert count(variables["params"]["motion_compensation"]) == 70_842
    assert count(variables["batch_stats"]) == 2 * (5 * 32 + 1)
    luma = jax.ShapeDtypeStruct((1, 3, 720, 1280, 1), jnp.float32)
    # By hand: the motion is estimated for both peak frames, at a quarter, a half and all of the
    # size; then three kernel sizes on each frame, the dense layers and the last one.
    coarse = (25 * 2 * 24 + 9 * 24 * 24) / 4 + (25 * 24 * 24 + 9 * 24 * 24 + 9 * 24 * 32) / 16
    middle = (25 * 5 * 24 + 3 * 9 * 24 * 24 + 9 * 24 * 8) / 4
    fine = 9 * 5 * 24 + 3 * 9 * 24 * 24 + 9 * 24 * 2
    sizes = 3 * (9 + 25 + 49) * 32
    dense = 9 * 32 * (9 * 32 + 32 + 64 + 96 + 128) + 9 * 32
    by_hand = 720 * 1280 * (2 * (coarse + middle + fine) + sizes + dense)
    assert count_macs(module.apply, variables, luma) == by_hand == 215_776_051_200


def to_torch(torch, array):
    return torch.from_numpy(np.array(array))


def set_layer(torch, layer, kernel, bias, norm=None, stats=None, alpha=None):
    layer.conv.weight.data = to_torch(torch, np.transpose(kernel, (3, 2, 0, 1)))
    layer.conv.bias.data = to_torch(torch, bias)
    if norm is not None:
        layer.norm.weight.data = to_torch(torch, norm["scale"])
        layer.norm.bias.data = to_torch(torch, norm["bias"])
        layer.norm.running_mean.data = to_torch(torch, stats["mean"])
        layer.norm.running_var.data = to_torch(torch, stats["var"])
    if alpha is not None:
        layer.prelu.alphas.data = to_torch(torch, alpha)


def shuffled(array, factor):
    """Our sub-pixel channels (row, column, flow) in the authors' order (flow, row, column)."""
    lead = array.shape[:-1]
    return np.moveaxis(np.reshape(array, (*lead, factor**2, 2)), -1, -2).reshape(*lead, -1)


def make_twin(torch, twins, variables):
    twin = twins.Mfqe().eval()
    flow = variables["params"]["motion_compensation"]
    for letter, level, factor in (("c", "coarse", 4), ("s", "middle", 2), ("a", "fine", 1)):
        for i in range(4):
            ours = flow[f"{level}_{i}"]
            layer = getattr(twin.easyflow, f"{letter}{i + 1}")
            alpha = flow[f"{level}_{i}_prelu"]["slope"]
            set_layer(torch, layer, ours["kernel"], ours["bias"], alpha=alpha)
        ours = flow[f"{level}_flow"]
        layer = getattr(twin.easyflow, f"{letter}5")
        set_layer(torch, layer, shuffled(ours["kernel"], factor), shuffled(ours["bias"], factor))
    net = variables["params"]["quality_enhancement"]
    stats = variables["batch_stats"]["quality_enhancement"]
    for frame in range(3):
        for size in (3, 5, 7):
            name = f"frame_{frame}_{size}x{size}"
            layer = getattr(twin.netflow, f"c{size}_{frame + 1}")
            alpha = net[f"{name}_prelu"]["slope"]
            set_layer(torch, layer, net[name]["kernel"], net[name]["bias"], alpha=alpha)
    for i, name in enumerate([*(f"dense_{i}" for i in range(5)), "output"], start=1):
        set_layer(
            torch,
            getattr(twin.netflow, f"c{i}"),
            net[name]["kernel"],
            net[name]["bias"],
            net[f"{name}_norm"],
            stats[f"{name}_norm"],
            net[f"{name}_prelu"]["slope"],
        )
    return twin


def test_forward_pass_equals_pytorch(torch, twins, example):
    _, variables, x, (ours, moved) = example
    twin = make_twin(torch, twins, variables)
    assert count(variables["params"]) == sum(p.numel() for p in twin.parameters())
    with torch.no_grad():
        theirs, theirs_moved = (y.numpy() for y in twin(to_torch(torch, x)))
    # Motion of some pixels: most pixels come from elsewhere, many from outside.
    assert abs(theirs_moved - np.asarray(x)[:, ::2]).mean() > 0.2
    assert 0.05 < (theirs_moved == 0).mean() < 0.5
    assert abs(theirs - np.asarray(x)[:, 1]).std() > 0.3
    np.testing.assert_allclose(moved, theirs_moved, atol=1e-4)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_training_normalises_by_the_batch_as_pytorch(torch, twins, example):
    module, variables, x, _ = example
    twin = make_twin(torch, twins, variables).train()
    ours, updates = run(
        lambda v, x: module.apply(v, x, train=True, mutable=["batch_stats"]), variables, x
    )
    with torch.no_grad():
        theirs, _ = twin(to_torch(torch, x))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
    # The mean moves towards the batch's by 1 - momentum; PyTorch's twin by its own 0.1.
    name = "dense_0_norm"
    old = variables["batch_stats"]["quality_enhancement"][name]["mean"]
    new = updates["batch_stats"]["quality_enhancement"][name]["mean"]
    step = (twin.netflow.c1.norm.running_mean.numpy() - old) / 0.1 * (1 - MOMENTUM)
    np.testing.assert_allclose(new - old, step, atol=1e-5)


def test_golden_numbers(example):
    np.testing.assert_allclose(example[3][0][1, ::3, 11, 0], GOLDEN, atol=2e-4)


def test_every_parameter_takes_part(example):
    module, variables, x, _ = example

    def loss(params):
        stats = {"batch_stats": variables["batch_stats"]}
        return jnp.sum(module.apply({"params": params, **stats}, x[:1, :, :12, :12]) ** 2)

    gradient = run(jax.grad(loss), variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)


def test_the_flow_is_in_pixels_and_sums_its_levels():
    module = MotionCompensation()
    frame = jax.ShapeDtypeStruct((1, 8, 12, 1), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), frame, frame)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)["params"]
    # Flows that do not depend on the frames: 2 pixels right and 1 up, by halves and quarters.
    for level, share in (("coarse", 0.5), ("middle", 0.25), ("fine", 0.25)):
        bias = params[f"{level}_flow"]["bias"]
        wanted = jnp.arctanh(share * jnp.asarray([2.0, -1.0]) / FLOW_UNIT)
        params[f"{level}_flow"]["bias"] = jnp.tile(wanted, bias.size // 2)
    other = jnp.asarray(np.random.default_rng(0).random((1, 8, 12, 1), np.float32))
    moved, flow = run(lambda p, x: module.apply({"params": p}, x, x), params, other)
    np.testing.assert_allclose(flow, jnp.broadcast_to(jnp.asarray([2.0, -1.0]), flow.shape), 1e-5)
    np.testing.assert_allclose(moved, backward_warp(other, flow, "zero"), atol=1e-6)
    np.testing.assert_allclose(moved[:, 2:, :-3], other[:, 1:-1, 2:-1], atol=1e-5)


def test_without_learned_weights_nothing_is_added():
    module = Mfqe2(width=4)
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes_of(module))
    x = jnp.asarray(np.random.default_rng(0).random((1, 3, 5, 6, 1), np.float32))
    np.testing.assert_array_equal(run(module.apply, variables, x), x[:, 1])


def test_bfloat16_features_leave_float32_images_and_parameters():
    module = Mfqe2(dtype=jnp.bfloat16)
    shapes = shapes_of(module)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    x = jax.ShapeDtypeStruct((1, 3, 8, 8, 1), jnp.float32)
    outputs = jax.eval_shape(
        lambda v, x: module.apply(v, x, method="enhance_and_compensate"), shapes, x
    )
    assert {leaf.dtype for leaf in outputs} == {jnp.dtype("float32")}


def test_prelu_by_hand():
    x = jnp.asarray([[2.0, 2.0], [-2.0, -2.0]])
    y = PReLU(0.0).apply({"params": {"slope": jnp.asarray([0.25, -1.0])}}, x)
    np.testing.assert_array_equal(y, [[2, 2], [-0.5, 2]])


def test_detector_equals_pytorch(torch):
    module = PeakFrameDetector(hidden=5)
    features = jnp.asarray(np.random.default_rng(2).normal(size=(2, 9, 38)), jnp.float32)
    variables = random_variables(shapes_of(module, features.shape))
    params = variables["params"]
    twin = torch.nn.LSTM(38, 5, batch_first=True, bidirectional=True)
    for direction, suffix in (("forward", ""), ("backward", "_reverse")):
        gates = params[direction]
        for kind, letter in (("ih", "i"), ("hh", "h")):
            stacked = [np.asarray(gates[f"{letter}{gate}"]["kernel"]).T for gate in "ifgo"]
            getattr(twin, f"weight_{kind}_l0{suffix}").data = to_torch(torch, np.vstack(stacked))
        bias = np.concatenate([gates[f"h{gate}"]["bias"] for gate in "ifgo"])
        getattr(twin, f"bias_hh_l0{suffix}").data = to_torch(torch, bias)
        getattr(twin, f"bias_ih_l0{suffix}").data.zero_()
    with torch.no_grad():
        both = twin(to_torch(torch, features))[0].numpy()
    expected = both @ np.asarray(params["logit"]["kernel"])[:, 0] + params["logit"]["bias"]
    assert expected.shape == (2, 9) and expected.std() > 0.1
    np.testing.assert_allclose(run(module.apply, variables, features), expected, atol=1e-5)


def test_peaks_are_better_than_their_neighbours():
    psnr = [30, 32, 31, 31, 33, 33, 30, 29.5, 31, 30]
    #       end peak          peak          peak  end; of the two 33 the first
    labels = label_peak_quality_frames(np.array(psnr))
    assert list(np.flatnonzero(labels)) == [0, 1, 4, 8, 9]
    assert label_peak_quality_frames(np.array([31.0])).all()
    assert label_peak_quality_frames(np.array([31.0, 30.0])).all()


def test_long_slopes_get_peaks_two_frames_from_the_better_end():
    rising = np.arange(30.0, 42.0)  # peaks 0 and 11, then 9, 7, 5, 3: 4 from 0 is allowed
    assert list(np.flatnonzero(label_peak_quality_frames(rising))) == [0, 3, 5, 7, 9, 11]
    falling = label_peak_quality_frames(rising[::-1])
    assert list(np.flatnonzero(falling)) == [0, 2, 4, 6, 8, 11]
    loose = label_peak_quality_frames(rising, largest_distance=11)
    assert list(np.flatnonzero(loose)) == [0, 11]


def test_labels_of_random_quality_keep_their_promises():
    rng = np.random.default_rng(3)
    for _ in range(20):
        psnr = np.cumsum(rng.normal(size=60))
        labels = label_peak_quality_frames(psnr)
        assert labels[0] and labels[-1]
        assert np.diff(np.flatnonzero(labels)).max() <= 4
        inner = [i for i in range(1, 59) if psnr[i] > max(psnr[i - 1], psnr[i + 1])]
        assert labels[inner].all()


def test_detected_peaks_are_refined_by_hand():
    p = np.array([0.1, 0.6, 0.9, 0.7, 0.2, 0.1, 0.3, 0.4, 0.2, 0.8, 0.1])
    # 1-3 are in a row: 2 stays. Six frames lie between 2 and 9; of 4-7 the most probable is 7.
    assert list(np.flatnonzero(refine_peak_labels(p, 4))) == [2, 7, 9]
    # The four before 7 are too many for 3: of 4 and 5 the more probable.
    assert list(np.flatnonzero(refine_peak_labels(p, 3))) == [2, 4, 7, 9]
    assert list(np.flatnonzero(refine_peak_labels(p, 6))) == [2, 9]
    assert not refine_peak_labels(np.full(9, 0.2), 2).any()


def test_refined_labels_keep_their_promises():
    rng = np.random.default_rng(4)
    for gap in (2, 3, 5):
        p = rng.random(200) ** 3
        distances = np.diff(np.flatnonzero(refine_peak_labels(p, gap)))
        assert distances.min() >= 2 and distances.max() <= gap + 1


def test_references_are_the_nearest_peaks():
    peaks = np.array([0, 0, 1, 0, 1, 1, 0, 0], bool)
    previous, following = choose_references(peaks)
    np.testing.assert_array_equal(previous, [0, 1, 2, 2, 2, 4, 5, 5])
    np.testing.assert_array_equal(following, [2, 2, 4, 4, 5, 5, 6, 7])
    for side in choose_references(np.zeros(3, bool)):
        np.testing.assert_array_equal(side, [0, 1, 2])


def test_references_equal_a_search():
    peaks = np.random.default_rng(5).random(50) < 0.3
    previous, following = choose_references(peaks)
    for i in range(50):
        before = [k for k in range(i) if peaks[k]]
        after = [k for k in range(i + 1, 50) if peaks[k]]
        assert previous[i] == (before[-1] if before else i)
        assert following[i] == (after[0] if after else i)


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match=r"scale is 2; MFQE 2\.0 is defined for 1"):
        shapes_of(Mfqe2(scale=2))
    for shape in ((1, 5, 8, 8, 1), (1, 3, 8, 8, 3), (3, 8, 8, 1)):
        with pytest.raises(ValueError, match=r"\[b, 3, h, w, 1\] is needed"):
            shapes_of(Mfqe2(), shape)
    with pytest.raises(ValueError, match=r"features of shape \(9, 38\); \[b, n, c\] is needed"):
        shapes_of(PeakFrameDetector(), (9, 38))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: label_peak_quality_frames(np.zeros((2, 3))), r"psnr of shape \(2, 3\)"),
        (lambda: label_peak_quality_frames(np.array([1, np.nan])), r"psnr of shape \(2,\)"),
        (lambda: label_peak_quality_frames(np.zeros(3), 2), "largest_distance is 2; at least 3"),
        (lambda: refine_peak_labels(np.array([0.5, 1.5]), 3), r"\[n\] numbers in \[0, 1\]"),
        (lambda: refine_peak_labels(np.zeros(3), 1), "largest_gap is 1; at least 2"),
        (lambda: choose_references(np.array([0, 1])), r"bool \[n\] is needed"),
    ],
)
def test_wrong_labels_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
