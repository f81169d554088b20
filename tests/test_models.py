import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.models import build_generator, discriminator, init_variables
from supervegan_jax.models.discriminator import Discriminator, FeatureDiscriminator, _pooling_matrix
from supervegan_jax.models.supervegan import (
    VARIANTS,
    SuperVegan,
    blend_stages,
    shrink_faint,
    uniform_widths,
)
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.ops.temporal import conv3d

SMALL = {**uniform_widths(8), "trunk_blocks": 1, "filter_blocks": 1, "residual_blocks": 1}


# What makes a layer cheaper, on a network of 32 features: by hand
#   A0 3*9*16 + 16, A1 27*16*24 + 24 and 27*24*32 + 32, A2 6 * (9*32*32 + 32), A3 32*100 + 100,
#   A4 9*32*12 + 12, B0 9*32*32 + 32, B2 9*32*64 + 64, 4 * (9*64*64 + 64) and 9*64*128 + 128,
#   B3 9*64*32 + 32, B5 9*32*48 + 48.
CHEAP = {
    **{"input_taps": 1, "filter_kernel": 1, "detail_grid": 1},
    **{"input_width": 16, "temporal_widths": (24, 32), "width": 32},
    **{"detail_width": 32, "inner_width": 64},
    **{"trunk_blocks": 3, "filter_blocks": 0, "residual_blocks": 0, "outer_blocks": 0},
}


def count(module, shape):
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        (VARIANTS["supervegan4"], 6_203_772),
        (VARIANTS["supervegan2"], 6_306_620),
        (VARIANTS["fast_supervegan4"], 1_210_316),
        (VARIANTS["fast_supervegan2"], 1_222_860),
        ({"scale": 4, **uniform_widths(16)}, 114_332),
        ({"scale": 4, **uniform_widths(32)}, 417_468),
        ({"scale": 4, **CHEAP}, 375_512),
    ],
)
def test_parameter_counts(fields, parameters):
    assert count(SuperVegan(**fields), (1, 5, 16, 16, 3)) == parameters


def test_discriminator_has_7_million_parameters():
    assert count(Discriminator(), (1, 192, 192, 3)) == 7_035_521


@pytest.mark.parametrize(("pad_time", "stride"), [(True, 1), (False, 1), (True, 2)])
def test_conv3d_equals_the_plain_3d_convolution(pad_time, stride):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 5, 8, 10, 4)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 4, 6)), jnp.float32)
    plain = jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, stride, stride),
        ((1, 1) if pad_time else (0, 0), (1, 1), (1, 1)),
        dimension_numbers=("NTHWC", "THWIO", "NTHWC"),
    )
    ours = conv3d(x, kernel, pad_time=pad_time, spatial_stride=stride)
    np.testing.assert_allclose(ours, plain, atol=1e-4)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(16, 16), (17, 19)])
@pytest.mark.parametrize("detail_grid", [2, 1])
def test_output_sizes_for_even_and_odd_inputs(scale, size, detail_grid):
    module = SuperVegan(**SMALL | {"scale": scale, "detail_grid": detail_grid})
    x = jnp.zeros((1, 5, *size, 3))
    params = jax.eval_shape(module.init, jax.random.key(0), x)
    outputs = jax.eval_shape(module.apply, params, x)
    assert outputs["stage_a"].shape[1:3] == tuple(n * scale // 2 for n in size)
    assert outputs["stage_b"].shape[1:3] == tuple(n * scale for n in size)


@pytest.mark.parametrize("scale", [2, 4])
def test_untrained_network_is_close_to_interpolation(scale):
    # Smooth content: the network must neither shift nor tint it before it has learned anything.
    rows, columns = np.mgrid[:24, :24] / 24
    frame = np.stack([rows, columns, (rows + columns) / 2], axis=-1).astype(np.float32)
    x = jnp.broadcast_to(frame, (1, 5, 24, 24, 3))
    module = SuperVegan(**SMALL | {"scale": scale})
    outputs = jax.jit(module.apply)(init_variables(module, jax.random.key(1), x), x)
    wanted = upsample_bicubic(x[:, 2], scale)
    inside = slice(4 * scale, -4 * scale)
    difference = (outputs["stage_b"] - wanted)[:, inside, inside]
    assert float(jnp.abs(difference).mean()) < 0.02
    assert float(jnp.abs(difference.mean(axis=(0, 1, 2))).max()) < 0.02


def test_output_is_equation_2():
    module = SuperVegan(**SMALL)
    x = jnp.asarray(np.random.default_rng(0).random((1, 5, 8, 8, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    y = jax.jit(module.apply)(variables, x)
    zeroed = jax.tree.map(jnp.zeros_like, variables["params"]["stage_b"])
    plain = jax.jit(module.apply)({"params": {**variables["params"], "stage_b": zeroed}}, x)
    np.testing.assert_allclose(plain["stage_b"], upsample_bicubic(y["stage_a"]), atol=1e-6)
    assert float(jnp.abs(y["stage_b"] - plain["stage_b"]).max()) > 1e-4


def test_stage_a_alone_computes_the_same_and_no_more():
    module = SuperVegan(**SMALL)
    x = jnp.asarray(np.random.default_rng(0).random((1, 5, 8, 8, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    alone = jax.jit(partial(module.apply, stage="a"))(variables, x)
    assert set(alone) == {"stage_a"}
    np.testing.assert_array_equal(alone["stage_a"], jax.jit(module.apply)(variables, x)["stage_a"])


def test_every_parameter_takes_part():
    module = SuperVegan(**SMALL | {"scale": 2})
    x = jnp.asarray(np.random.default_rng(0).random((1, 5, 8, 8, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(module.apply(v, x)["stage_b"] ** 2)))(variables)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_tile_with_enough_context_equals_the_whole(scale):
    module = SuperVegan(**SMALL | {"scale": scale})
    kept, context = 16, 56
    x = jnp.asarray(np.random.default_rng(3).random((1, 5, 12, 96, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    # Larger weights than at the start, so that far pixels would show.
    variables = jax.tree.map(lambda p: p * 1.5, variables)
    apply = jax.jit(module.apply)
    whole, tile = (apply(variables, part)["stage_b"] for part in (x, x[..., : kept + context, :]))
    whole, tile = (y[:, :, : kept * scale] for y in (whole, tile))
    np.testing.assert_allclose(tile, whole, atol=1e-5)


def test_bfloat16_features_leave_float32_images_and_parameters():
    module = SuperVegan(**SMALL, dtype=jnp.bfloat16)
    x = jnp.asarray(np.random.default_rng(0).random((1, 5, 8, 8, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    y = jax.jit(module.apply)(variables, x)
    exact = jax.jit(SuperVegan(**SMALL).apply)(variables, x)
    for name in y:
        assert y[name].dtype == jnp.float32
        np.testing.assert_allclose(y[name], exact[name], atol=0.02)


@pytest.mark.parametrize("name", ["fast_supervegan4", "fast_supervegan2", "supervegan2"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_bfloat16_convolutions_give_bfloat16(name, one_by_one):
    # A GPU computes one that gives float32 in TF32, at half the rate.
    module = SuperVegan(**VARIANTS[name], dtype=jnp.bfloat16)
    x = jax.ShapeDtypeStruct((6, 16, 16, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 5, 16, 16, 3)))
    program = jax.make_jaxpr(
        lambda v, x: module.apply(v, x, "b", one_by_one=one_by_one, method="enhance")
    )(variables, x)
    given = re.findall(r":(\w+)\[[\d,]+\] = conv_general_dilated", str(program))
    assert len(given) > 30
    assert set(given) == {"bf16"}


def test_blend_by_hand():
    y_a = jnp.full((1, 1, 1, 3), 0.2)
    y_b = jnp.full((1, 2, 2, 3), 0.6)
    np.testing.assert_array_equal(blend_stages(y_a, y_b, 0.0), jnp.full((1, 2, 2, 3), 0.2))
    np.testing.assert_allclose(blend_stages(y_a, y_b, 0.25), 0.3, rtol=1e-6)
    np.testing.assert_array_equal(blend_stages(y_a, y_b, 1.0), y_b)


@pytest.mark.parametrize("size", [6, 7, 12, 13, 3])
def test_pooling_matrix_averages_adaptive_bins(size):
    matrix = _pooling_matrix(size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    for i in range(6):
        first, last = int(np.floor(i * size / 6)), int(np.ceil((i + 1) * size / 6))
        assert set(np.flatnonzero(matrix[i])) == set(range(first, last))


def test_discriminator_judges_each_image_by_itself():
    module = Discriminator(width=4)
    x = jnp.asarray(np.random.default_rng(0).random((3, 64, 48, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    together = jax.jit(module.apply)(variables, x)
    alone = jnp.concatenate([jax.jit(module.apply)(variables, x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    with pytest.raises(ValueError, match="at least 32x32 pixels"):
        jax.jit(module.apply)(variables, x[:, :16])


def test_discriminator_is_shown_the_detail_it_asks_for():
    # One row of pixels over a plane: its 3x3 mean is a third of it, and a third beside it.
    x = jnp.full((1, 32, 32, 3), 0.5).at[:, 7].add(0.25)
    detail = discriminator._detail(x)
    np.testing.assert_allclose(detail[0, 5:10, 4, 1], np.array([0, -1, 2, -1, 0]) / 12, atol=1e-6)
    module = Discriminator(width=2, detail_input=True)
    assert count(module, x.shape) == count(Discriminator(width=2), x.shape) + 2 * 3 * 9


def test_discriminator_judges_patches_where_they_are():
    module = Discriminator(width=2, halvings=3, patch_logits=True)
    x = jnp.asarray(np.random.default_rng(0).random((2, 64, 48, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    logits = jax.jit(module.apply)(variables, x)
    assert logits.shape == (2, 8, 6)
    # A change in one corner reaches the logits beside it; the others see it only through the
    # statistics of the normalisation.
    change = abs(jax.jit(module.apply)(variables, x.at[:, :4, :4].set(1)) - logits)
    assert (change[:, 0, 0] > 5 * change[:, 4:, 3:].max(axis=(1, 2))).all()
    for halvings in (0, 6):
        with pytest.raises(ValueError, match=f"halvings is {halvings}; 1 to 5 are accepted"):
            Discriminator(halvings=halvings).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="width is 5, whose 40 features do not split into 3 equal"):
        Discriminator(width=5).init(jax.random.key(0), x)


def test_features_are_judged_where_they_are():
    module = FeatureDiscriminator(width=4)
    rng = np.random.default_rng(0)
    fine, coarse = (
        jnp.asarray(rng.random((2, n, n, c), np.float32)) for n, c in ((32, 6), (16, 5))
    )
    shown = {"relu1_2": fine, "relu2_2": coarse}
    variables = init_variables(module, jax.random.key(0), shown)
    logits = jax.jit(module.apply)(variables, shown)
    assert logits.shape == (2, 8, 8, 2)
    changed = shown | {"relu1_2": fine.at[:, :4, :4].add(1)}
    change = abs(jax.jit(module.apply)(variables, changed) - logits)
    assert (change[:, 0, 0, 0] > 1e-3).all()
    # Two halvings and a last convolution reach 7 samples further; nothing joins the layers.
    assert change[:, 4:].max() == change[:, :, 4:].max() == change[..., 1].max() == 0
    with pytest.raises(ValueError, match="deepest of relu1_2, relu2_2 has a side of 1; show it"):
        module.init(jax.random.key(0), shown | {"relu2_2": coarse[:, :1]})


def test_faint_detail_is_shrunk_by_hand():
    y = np.random.default_rng(0).normal(size=(2, 6, 7, 12)) * np.linspace(0.1, 3, 7)[:, None]
    squares = np.pad(np.mean(y**2, axis=-1), ((0, 0), (1, 1), (1, 1)))
    around = sum(squares[:, i : i + 6, j : j + 7] for i in range(3) for j in range(3)) / 9
    expected = y * (around / (around + 0.25))[..., None]
    np.testing.assert_allclose(shrink_faint(jnp.asarray(y, "f4"), 0.5), expected, atol=1e-5)
    inside = shrink_faint(jnp.full((1, 5, 5, 3), 0.5), 0.5)[0, 1:-1, 1:-1]
    np.testing.assert_allclose(inside, 0.25, rtol=1e-6)  # as strong as the floor: half stays


@pytest.mark.parametrize("scale", [2, 4])
def test_the_floor_is_of_stage_b_alone_in_codes(scale):
    fields = {**SMALL, "scale": scale, "detail_grid": 1}
    x = jax.random.uniform(jax.random.key(0), (1, 5, 16, 16, 3))
    variables = init_variables(SuperVegan(**fields), jax.random.key(1), x)
    plain = SuperVegan(**fields).apply(variables, x)
    floored = SuperVegan(**fields, detail_floor=2.0).apply(variables, x)
    np.testing.assert_array_equal(plain["stage_a"], floored["stage_a"])
    base = upsample_bicubic(plain["stage_a"])
    cells = (plain["stage_b"] - base).reshape(1, 16 * scale // 4, 4, 16 * scale // 4, 4, 3)
    cells = cells.transpose(0, 1, 3, 2, 4, 5).reshape(1, 16 * scale // 4, -1, 48)
    shrunk = np.asarray(shrink_faint(cells, 2 / 255)).reshape(1, 4 * scale, 4 * scale, 4, 4, 3)
    shrunk = shrunk.transpose(0, 1, 3, 2, 4, 5).reshape(base.shape)
    np.testing.assert_allclose(floored["stage_b"] - base, shrunk, atol=1e-6)


def test_wrong_models_and_inputs_are_refused():
    with pytest.raises(ValueError, match=r"unknown model 'vegan'; known are duf, .*, tecogan"):
        build_generator("vegan")
    with pytest.raises(ValueError, match="wdth"):
        build_generator("supervegan", wdth=3)
    x = jnp.zeros((1, 5, 8, 8, 3))
    with pytest.raises(ValueError, match="scale is 3"):
        SuperVegan(**SMALL | {"scale": 3}).init(jax.random.key(0), x)
    for field in ("input_taps", "filter_kernel", "detail_grid"):
        with pytest.raises(ValueError, match=f"{field} is 5"):
            SuperVegan(**SMALL | {field: 5}).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="detail_floor is -1; 0 to 255 codes"):
        SuperVegan(**SMALL, detail_floor=-1).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="the two must be equal"):
        SuperVegan(**SMALL | {"width": 12}).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"\[b, 5, h, w, 3\] is needed"):
        SuperVegan(**SMALL).init(jax.random.key(0), x[:, :4])
    with pytest.raises(ValueError, match="stage 'c'"):
        SuperVegan(**SMALL).init(jax.random.key(0), x, stage="c")
