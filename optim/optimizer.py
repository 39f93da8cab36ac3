"""What all optimizers share: groups of parameters with their options, the state of each, saving and loading."""

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from operator import itemgetter
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.derivatives import clear_gradients
from chainrule.errors import AutogradError, ShapeError
from chainrule.graph import enable_grad, tick
from chainrule.state import again
from chainrule.tensor import Tensor

__all__ = ["Optimizer"]


# What schedulers keep in the groups of parameters, beside the optimizer's own options.
SCHEDULED = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")
# What groups in torch's state dicts have that does not change the numbers.
NOT_OURS = ("foreach", "fused", "capturable", "differentiable", "param_names")


def descent(p: Any, g: Any, scratch: Any, weight_decay: float, maximize: bool, decoupled_lr: float | None = None) -> Any:
    """±g + weight_decay · p, what a rule goes against: g itself, or in the first of the two `scratch` arrays.

    With `decoupled_lr` the decay is no part of the gradient: p ← (1 − decoupled_lr · weight_decay) p instead.
    """
    total, product = scratch[:2]
    if maximize:
        g = np.negative(g, out=total)
    if weight_decay and decoupled_lr is not None:
        p *= 1 - decoupled_lr * weight_decay
    elif weight_decay:
        np.multiply(p, weight_decay, out=product)
        g = np.add(g, product, out=total)
    return g


def average(mean: Any, g: Any, beta: float, product: Any) -> None:
    """mean ← mean + (1 − β) (g − mean): an average that forgets, by way of the array `product`."""
    np.subtract(g, mean, out=product)
    product *= 1 - beta
    mean += product


def average_square(mean: Any, g: Any, beta: float, product: Any) -> None:
    """mean ← β mean + (1 − β) g²."""
    np.multiply(g, g, out=product)
    product *= 1 - beta
    mean *= beta
    mean += product


def wide(data: Any) -> Any:
    """The dtype of the state of such a parameter: its own, or float32 for those of 16 bits."""
    return np.dtype(np.float32) if data.dtype.itemsize == 2 else data.dtype


def apart(items: list[Any], array_of: Any) -> list[list[Any]]:
    """The items in lists of those whose arrays a kernel takes together: all in the host's memory, and on each GPU those of a
    dtype."""
    found: dict[Any, list[Any]] = {}
    for item in items:
        a = array_of(item)
        found.setdefault(None if isinstance(a, np.ndarray) else (a.device.id, a.dtype), []).append(item)
    return list(found.values())


class Optimizer:
    """The base of optimizers: subclasses define `update`, the rule for one parameter over raw arrays. Where a backend has a
    kernel that follows the rule for a whole group at once, they name it, and what it is to be given: see `together`.
    Parameters of 16 bits are updated in float32 and have a state of float32: of the steps of an average that forgets a
    thousandth, float16 would round most away.

    `params`: tensors, or dicts `{"params": tensors, "lr": …}` whose further entries override the defaults for their
    group. The options stand in `param_groups`, where they may be changed between steps; `state` has, for each parameter
    that was updated, its arrays and counts.

    Raises TypeError for what is not a tensor, AutogradError for a tensor that is not a leaf, ValueError for an empty
    list, a tensor that occurs twice, an unknown option or one out of its range.
    """

    numbers: tuple[str, ...] = ("step",)  # entries of a parameter's state that are numbers, not arrays
    kernel = ""  # the backend's function for a whole group
    counts = True  # whether the state counts the steps

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass's own `step` is called anew at each replay of a compiled step, as this class's is."""
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = again(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | Mapping):
            raise TypeError(f"{self._name}: params is a list of tensors or of groups, got a single "
                            f"{type(params).__name__}; pass [it], or model.parameters()")
        if not isinstance(params, Iterable):
            call = ", with ()" if callable(params) and not hasattr(params, "parameters") else ""
            raise TypeError(f"{self._name}: params is a list of tensors or of groups, got a {type(params).__name__}; pass "
                            f"model.parameters(){call}")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._stepped = False  # whether step() was called; schedulers ask
        self._buffers: dict[Any, Any] = {}  # dtype, device -> flat arrays for intermediate values, shared by all parameters
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: the list of parameters is empty; a generator such as model.parameters() "
                             "can be used only once, and a model without layers has none")
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimize further tensors, with the options of this group; the defaults for those that it does not name."""
        params = param_group.get("params")
        params = [params] if isinstance(params, Tensor) else list(params or ())
        taken = {p for group in self.param_groups for p in group["params"]}
        if not params:
            raise ValueError(f"{self._name}: a group has no parameters")
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                hint = "; pass parameters(), not named_parameters()" if isinstance(p, tuple) else ""
                raise TypeError(f"{self._name}: parameter {i} is a {type(p).__name__}, it must be a tensor{hint}")
            if not p.is_leaf:
                raise AutogradError(f"{self._name}: parameter {i}, of shape {p.shape}, was computed by "
                                    f"{p.node.op.name}; only leaves can be optimized: Parameters, or tensors after "
                                    "detach().requires_grad_()")
            if p in taken:
                raise ValueError(f"{self._name}: parameter {i}, of shape {p.shape}, occurs twice; each belongs to one "
                                 "group")
            taken.add(p)
        self._refuse(set(param_group) - {*self.defaults, *SCHEDULED, "params"})
        group = {**self.defaults, **param_group, "params": params}
        self.check(group)
        self.param_groups.append(group)

    def _refuse(self, unknown: set[str]) -> None:
        if unknown:
            raise ValueError(f"{self._name}: a group has the option {', '.join(sorted(unknown))}; the options are "
                             f"{', '.join(self.defaults)}")

    def check(self, group: dict[str, Any]) -> None:
        """ValueError for options out of their range; subclasses check their own as well."""
        for name in ("lr", "weight_decay", "momentum", "eps"):
            if name in group:
                self.check_range(group, name)
        if "betas" in group:
            betas = group["betas"]
            if not isinstance(betas, tuple | list) or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
                raise ValueError(f"{self._name}: betas={betas} must be two numbers from 0 up to, but not including, 1")

    def check_range(self, group: dict[str, Any], name: str, high: float = math.inf) -> None:
        """ValueError unless this option is a number from 0 to `high`; TypeError for a tensor."""
        value = group[name]
        if isinstance(value, Tensor):
            raise TypeError(f"{self._name}: {name} is a tensor, it must be a number; pass {name}.item()")
        if isinstance(value, str):
            raise TypeError(f"{self._name}: {name}={value!r} is a string, it must be a number")
        if not value >= 0:
            raise ValueError(f"{self._name}: {name}={value} must not be negative"
                             + ("; to climb instead of descend pass maximize=True" if name == "lr" else ""))
        if value > high:
            raise ValueError(f"{self._name}: {name}={value} must not be above {high}")

    def scratch(self, like: Any, count: int) -> list[Any]:
        """`count` arrays shaped like this one for intermediate values, the same memory for every parameter and step."""
        place = like.dtype, None if isinstance(like, np.ndarray) else like.device.id
        flat = self._buffers.get(place)
        if flat is None or flat.shape[0] < count or flat.shape[1] < like.size:
            flat = self._buffers[place] = np.empty_like(like, shape=(count, like.size), order="C")
        return [flat[i, : like.size].reshape(like.shape) for i in range(count)]

    def begin(self, state: dict[str, Any], like: Any, *names: str) -> None:
        """Count a step, and make those of the named arrays of the state that are missing: zeros."""
        state["step"] = state.get("step", 0) + 1
        for name in names:
            if name not in state:
                state[name] = np.zeros_like(like)

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Write the parameter's new values into the raw array `data`, and its new state into `state`."""
        raise NotImplementedError(f"{self._name} has no update(data, gradient, state, group)")

    def kept(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The arrays of a parameter's state that the rule needs with these options."""
        raise NotImplementedError

    def coefficients(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """What the kernel multiplies by and adds in a parameter's step number `step`."""
        raise NotImplementedError

    def switches(self, group: dict[str, Any]) -> dict[str, bool]:
        """Which form of the rule the kernel is to follow."""
        raise NotImplementedError

    def together(self, rows: list[tuple[Any, Any, dict[str, Any]]], group: dict[str, Any]) -> bool:
        """Update all of these (array, gradient, state) of a group by the backend's kernel; False where there is none, where
        it cannot take these arrays, or where a state has yet to be made: then each follows `update`."""
        kernel = self.kernel and kernels.find(self.kernel, rows[0][0])
        if not kernel:
            return False
        names, arrays, steps = self.kept(group), [], []
        try:
            for data, gradient, state in rows:
                arrays.append(data)
                arrays.append(gradient)
                for name in names:
                    arrays.append(state[name])
                steps.append(state["step"] + 1 if self.counts else 0)
        except KeyError:
            return False
        different = steps if steps.count(steps[0]) < len(steps) else steps[:1]
        coefficients = [self.coefficients(group, step) for step in different]
        if not kernel(arrays, coefficients, **self.switches(group)):
            return False
        if self.counts:
            for row, step in zip(rows, steps, strict=True):
                row[2]["step"] = step
        return True

    @again
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient. `closure`, where given, is called first to compute the loss and
        its gradients, and what it returns is returned."""
        self._stepped = True
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        now = tick()
        for group in self.param_groups:
            rows = []
            for p in group["params"]:
                node = p.node if p._view is not None else p._node
                g = None if node is None else node.grad  # p.grad, without two calls
                if g is not None:
                    state = self.state.get(p)
                    if state is None:
                        state = self.state[p] = {}
                    rows.append((p._data, g._data, state))
                    p._version[0] = now  # a graph that kept the former values must not be walked any more
            if rows and not self.together(rows, group):
                parts = apart(rows, itemgetter(0))
                for part in parts:
                    if len(parts) == 1 or not self.together(part, group):
                        with nullcontext() if isinstance(part[0][0], np.ndarray) else part[0][0].device:
                            for data, gradient, entry in part:
                                self.alone(data, gradient, entry, group)
        return loss

    def alone(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update one parameter by its rule in plain NumPy, in float32 where it has 16 bits."""
        dtype = wide(data)
        if dtype == data.dtype:
            self.update(data, gradient, state, group)
        else:
            values = data.astype(dtype)
            self.update(values, gradient.astype(dtype), state, group)
            data[...] = values

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, which otherwise add up from one backward to the next; with `set_to_none=False` fill
        them with zeros in place."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {index: {name: tensor or number}}, "param_groups": [{"params": [indices], "lr": …}]}`, parameters
        by their place in the order of the groups. The tensors share memory with the optimizer; `chainrule.save` takes
        the dict.
        """
        indices = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}

        def saved(value: Any) -> Any:
            if isinstance(value, list):
                return [saved(v) for v in value]
            return Tensor(value) if hasattr(value, "dtype") else value

        state = {indices[p]: {name: saved(v) for name, v in entry.items()} for p, entry in self.state.items()}
        groups = [{**group, "params": [indices[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the optimizer stood that `state_dict` came from: training resumes to the same bits.

        Values are copied to the devices of the parameters, and converted to their dtypes (float32 for those of 16 bits). A
        state dict of torch's optimizer of the same name will do, too. Raises ValueError where the groups differ in number or
        size or have an option that this optimizer has not, ShapeError for a state that has not its parameter's shape; then
        nothing has been loaded.
        """
        saved = state_dict["param_groups"]
        sizes, own = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise ValueError(f"{self._name}.load_state_dict: the saved groups have {sizes} parameters, this "
                             f"optimizer's {own}")
        order = [index for group in saved for index in group["params"]]
        by_index = dict(zip(order, (p for group in self.param_groups for p in group["params"]), strict=True))
        state: dict[Tensor, dict[str, Any]] = {}
        for index, entry in state_dict["state"].items():
            p = by_index[int(index)]  # a JSON file has its keys as strings
            state[p] = {name: self._loaded(name, value, p) for name, value in entry.items()}
        groups = []
        for group, theirs in zip(self.param_groups, saved, strict=True):
            self._refuse(set(theirs) - {*self.defaults, *SCHEDULED, *NOT_OURS, "params"})
            options = {k: tuple(v) if isinstance(v, list) else v for k, v in theirs.items() if k not in NOT_OURS}
            groups.append({**group, **options, "params": group["params"]})
        for group in groups:
            self.check(group)
        self.param_groups[:], self.state = groups, state

    def _loaded(self, name: str, value: Any, p: Tensor) -> Any:
        """A copy of a value of the state: an array of the parameter's shape on its device, or a number."""
        if not hasattr(value, "shape"):
            return value
        array = value._data if isinstance(value, Tensor) else value if kernels.is_array(value) else np.asarray(value)
        if name in self.numbers:
            return int(array) if name == "step" else float(array)
        if array.shape != p.shape:
            raise ShapeError(f"{self._name}.load_state_dict: {name} has shape {tuple(array.shape)}, its parameter "
                             f"{p.shape}")
        copy = np.empty_like(p._data, dtype=wide(p._data))
        copy[...] = kernels.reference.move(array, device=p.device)
        return copy

    def __repr__(self) -> str:
        rows = []
        for group in self.param_groups:
            options = ", ".join(f"{name}={value}" for name, value in group.items() if name != "params")
            count = sum(p.numel() for p in group["params"])
            rows.append(f"{len(group['params'])} tensors of {count:,} numbers, {options}")
        return f"{self._name}({rows[0]})" if len(rows) == 1 else "\n  ".join([f"{self._name}(", *rows]) + "\n)"
