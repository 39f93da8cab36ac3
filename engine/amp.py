"""Mixed precision: products in 16 bits, sums and weights in 32.

`autocast` casts the inputs of each operation as it is called: matrix products, convolutions, attention and recurrent layers to 16
bits, where a GPU computes them several times as fast; what adds up many terms or has a wide range (softmax, losses, norms,
exponentials, powers) to float32; the others compute in the wider dtype of what they are given. Parameters stay float32: they are
the master copy, which the optimizer updates, and their gradients come back through the cast in float32.

float16 has 5 bits of exponent: gradients below 6e-8 become 0. `GradScaler` multiplies the loss by a large number before the
backward pass and divides the gradients by it before the step. bfloat16 has float32's exponent and needs none of that.

P. Micikevicius et al., "Mixed precision training" (2018).
"""

from typing import Any

from chainrule import cuda, dtypes
from chainrule.errors import DtypeError
from chainrule.names import ops
from chainrule.state import Flag
from chainrule.tensor import Tensor

__all__ = ["GradScaler", "autocast"]

LOWER = frozenset({"affine_convolution", "convolution", "convolution_transpose", "gru", "linear", "lstm", "matmul", "rnn",
                   "scaled_dot_product_attention"})
WIDER = frozenset({"acos", "asin", "batch_norm", "batch_norm_by_running", "cosh", "cross_entropy", "ctc_loss", "cumprod", "cumsum",
                   "erfinv", "exp", "expm1", "group_norm", "layer_norm", "log", "log10", "log1p", "log2", "log_softmax",
                   "logsumexp", "mean", "power", "prod", "reciprocal", "rms_norm", "rsqrt", "sinh", "softmax", "softplus",
                   "squared_error", "sum", "tan"})


class Casts:
    """What an `autocast` block does to the inputs of an op, and the 16-bit copies of parameters that it made."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.copies: dict[int, tuple[Tensor, int, Tensor]] = {}  # of leaves, by identity: (leaf, its version, the copy)

    def inputs(self, op: str, given: Any) -> Any:
        """The inputs in the dtype that the op computes in: tensors on a GPU with elements of up to 32 bits are cast."""
        if op in LOWER:
            return tuple([self.cast(t, self.dtype) for t in given])
        if op in WIDER:
            return tuple([self.cast(t, dtypes.float32) for t in given])
        return given

    def cast(self, t: Any, dtype: Any) -> Any:
        """The tensor in the dtype. A parameter's copy is kept, so that what uses it twice casts it once."""
        if not isinstance(t, Tensor) or t.dtype == dtype or not t.is_floating_point() or t.dtype.itemsize > 4 or not t.is_cuda:
            return t
        if not (t.is_leaf and t.requires_grad):
            return ops.astype(t, dtype)
        found = self.copies.get(id(t))
        if found is None or found[1] != t._version[0]:
            found = self.copies[id(t)] = (t, t._version[0], ops.astype(t, dtype))
        return found[2]


class autocast(Flag):
    """Inside, in this thread, operations on a GPU's tensors compute in 16 bits where that is safe: see `chainrule.amp`.

    device_type: "cuda". dtype: float16, or bfloat16 for GPUs from compute capability 8.0 on. `enabled=False` changes nothing,
    or ends the effect inside another block. The backward pass runs in the dtypes of the forward pass: call it outside.
    Raises ValueError for a device without such arithmetic, DtypeError for another dtype.

    >>> import chainrule as cr
    >>> with cr.autocast("cuda", dtype=cr.float16):  # tensors on the CPU stay as they are
    ...     (cr.ones(2, 2) @ cr.ones(2, 2)).dtype
    dtype('float32')
    """

    name = "autocast"
    value = None

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True) -> None:
        if device_type.partition(":")[0] != "cuda":
            raise ValueError(f"autocast({device_type!r}): only GPUs compute faster in 16 bits; use \"cuda\", or enabled=False")
        dtype = dtypes.as_dtype(dtypes.float16 if dtype is None else dtype)
        if dtype.name not in ("float16", "bfloat16"):
            raise DtypeError(f"autocast(dtype={dtype}): the dtype is float16 or bfloat16")
        super().__init__()
        self.dtype, self.enabled = dtype, enabled

    def __enter__(self) -> None:
        if self.enabled and self.dtype.name == "bfloat16" and cuda.is_available() and cuda.compute_capability() < (8, 0):
            raise ValueError("autocast: this GPU has no bfloat16 arithmetic, which begins with compute capability 8.0; use float16")
        if not self.before:  # else one block inside another, of the same object
            self.value = Casts(self.dtype) if self.enabled else None
        super().__enter__()

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)
        if not self.before:
            self.value = None  # lets go of the parameters' copies

    def __call__(self, function: Any) -> Any:
        from functools import wraps

        @wraps(function)
        def wrapped(*args: Any, **options: Any) -> Any:
            with autocast("cuda", self.dtype, self.enabled):
                return function(*args, **options)

        return wrapped


class GradScaler:
    """Keeps float16 gradients above underflow: the loss is multiplied by a scale, the gradients are divided by it.

        scaler.scale(loss).backward()
        scaler.step(optimizer)       # unscales; skips the step where a gradient is infinite or NaN
        scaler.update()

    Where a gradient overflowed, `update` multiplies the scale by `backoff_factor`, and after `growth_interval` steps without
    that by `growth_factor`. To clip gradients call `unscale_(optimizer)` first. `step` waits for the GPU once, to learn whether
    all gradients are finite.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = cr.optim.SGD([x], lr=0.25), cr.GradScaler(init_scale=1024.0)
    >>> scaler.scale((2 * x).sum()).backward(); scaler.step(optimizer); scaler.update(); x.tolist()
    [0.5]
    """

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000, enabled: bool = True) -> None:
        if growth_factor <= 1 or not 0 < backoff_factor < 1:
            raise ValueError(f"GradScaler: growth_factor={growth_factor} must be above 1, backoff_factor={backoff_factor} "
                             "between 0 and 1")
        self.device, self.enabled = device, enabled
        self.growth_factor, self.backoff_factor, self.growth_interval = growth_factor, backoff_factor, growth_interval
        self._scale, self._good = init_scale, 0  # steps since the last overflow or growth
        self._unscaled: dict[int, bool] = {}  # by optimizer: whether its gradients were finite

    def get_scale(self) -> float:
        """What losses are multiplied by."""
        return self._scale if self.enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A loss, or a list or tuple of them, times the scale."""
        if isinstance(outputs, list | tuple):
            return type(outputs)([self.scale(o) for o in outputs])
        return outputs * self._scale if self.enabled else outputs

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, in place, as `step` does where this was not called.

        Raises RuntimeError for a second call before `update`.
        """
        if not self.enabled:
            return
        if id(optimizer) in self._unscaled:
            raise RuntimeError("unscale_: this optimizer's gradients were divided by the scale already since the last update()")
        sums = []
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.mul_(1 / self._scale)
                    sums.append(ops.isfinite(p.grad).all())
        self._unscaled[id(optimizer)] = all(bool(ops.stack(part).all()) for part in _by_device(sums))

    def step(self, optimizer: Any, *args: Any, **options: Any) -> Any:
        """`optimizer.step(...)`, unless a gradient is infinite or NaN; returns what that returns, None where it was skipped."""
        if not self.enabled:
            return optimizer.step(*args, **options)
        if id(optimizer) not in self._unscaled:
            self.unscale_(optimizer)
        return optimizer.step(*args, **options) if self._unscaled[id(optimizer)] else None

    def update(self, new_scale: float | None = None) -> None:
        """At the end of a step: change the scale as the class says, or to `new_scale`."""
        if not self.enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not all(self._unscaled.values()):
            self._scale, self._good = self._scale * self.backoff_factor, 0
        else:
            self._good += 1
            if self._good == self.growth_interval:
                self._scale, self._good = self._scale * self.growth_factor, 0
        self._unscaled.clear()

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as `chainrule.save` takes it."""
        return {"scale": self._scale, "growth_factor": self.growth_factor, "backoff_factor": self.backoff_factor,
                "growth_interval": self.growth_interval, "_growth_tracker": self._good}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        self._scale, self._good = float(state["scale"]), int(state["_growth_tracker"])
        self.growth_factor, self.backoff_factor = float(state["growth_factor"]), float(state["backoff_factor"])
        self.growth_interval = int(state["growth_interval"])


def _by_device(tensors: list[Tensor]) -> list[list[Tensor]]:
    """The tensors of each device."""
    found: dict[str, list[Tensor]] = {}
    for t in tensors:
        found.setdefault(t.device, []).append(t)
    return list(found.values())
