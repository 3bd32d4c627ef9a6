"""Operators that an exported program may call. A list, not a rule: whatever is not named here is refused.

All are functions of their arguments. What reads or writes files (``aten.from_file``, ``aten.save``), prints,
seeds, talks to other processes, calls back into Python or runs sub-programs is left out.
"""

from __future__ import annotations

import re

_ATEN = """
_adaptive_avg_pool2d _assert_scalar _assert_tensor_metadata _native_batch_norm_legit_no_training _safe_softmax
_scaled_dot_product_attention_math _scaled_dot_product_efficient_attention
_scaled_dot_product_flash_attention_for_cpu _softmax _log_softmax _to_copy _unsafe_view
_upsample_bilinear2d_aa _upsample_bicubic2d_aa
abs abs_ adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
adaptive_max_pool3d add add_ addcdiv addcmul addmm alias all alpha_dropout amax amin any arange argmax argmin
as_strided atan atan2 avg_pool1d avg_pool2d avg_pool3d
baddbmm batch_norm bitwise_and bitwise_not bitwise_or bmm broadcast_to bucketize
cat ceil celu channel_shuffle chunk clamp clamp_ clamp_max clamp_min clone concat constant_pad_nd contiguous
conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution copy copy_ cos cumsum
detach detach_ diagonal div div_ dropout dropout_
einsum elu elu_ embedding empty empty_like eq erf exp expand expand_as expm1 eye
feature_alpha_dropout feature_dropout fill fill_ flatten flip floor floor_divide fmod frac full full_like
gather ge gelu glu grid_sampler grid_sampler_2d group_norm gru gt
hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_
im2col index index_select instance_norm isfinite isinf isnan
layer_norm le leaky_relu leaky_relu_ lerp lift_fresh lift_fresh_copy linalg_norm linalg_vector_norm linear
linspace log log10 log1p log2 log_sigmoid log_softmax logical_and logical_not logical_or logical_xor logsumexp
lstm lt
masked_fill masked_fill_ matmul max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d maximum mean
meshgrid min minimum mish mish_ mm movedim mul mul_
narrow native_batch_norm native_dropout native_group_norm native_layer_norm ne neg new_empty new_full new_ones
new_zeros norm
one_hot ones ones_like
pad permute pixel_shuffle pixel_unshuffle pow prelu prod
reciprocal reflection_pad1d reflection_pad2d relu relu6 relu6_ relu_ remainder repeat repeat_interleave
replication_pad1d replication_pad2d reshape rms_norm roll round rsqrt rsub
scalar_tensor scaled_dot_product_attention scatter scatter_add select select_scatter selu selu_ sigmoid
sigmoid_ sign silu silu_ sin size slice slice_scatter softmax softplus softshrink sort split
split_with_sizes sqrt square squeeze stack std std_mean sub sub_ sum swapaxes sym_constrain_range
sym_constrain_range_for_size sym_numel sym_size sym_storage_offset sym_stride
t tan tanh tanh_ tensor_split threshold threshold_ tile to topk transpose tril triu type_as
unbind unflatten unfold unsqueeze unsqueeze_ upsample_bicubic2d upsample_bilinear2d upsample_nearest2d
var var_mean view view_as
where
zeros zeros_like
"""

ATEN = frozenset(_ATEN.split())

PYTHON = frozenset(
    {
        *(
            f"_operator.{name}"
            for name in (
                *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pos"),
                *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "getitem"),
            )
        ),
        *(f"torch.sym_{name}" for name in ("int", "float", "max", "min", "not", "ite", "sqrt")),
        "math.trunc",
    }
)
"""Functions of sizes, which are whole numbers when the program runs. No power and no shift: they can grow
without bound."""

_TARGET = re.compile(r"torch\.ops\.aten\.(?P<name>[a-z0-9_]+)\.(?P<overload>[A-Za-z][A-Za-z0-9_]*)", re.ASCII)


def allowed(target: str) -> bool:
    """Whether a node's target is on the list: ``torch.ops.aten.<name>.<overload>`` or a function of sizes."""
    match = _TARGET.fullmatch(target)
    return target in PYTHON or (match is not None and match["name"] in ATEN)
