"""Weights as Hugging Face's transformers names and stores them."""

from collections.abc import Mapping
from typing import Any

from chainrule.layers.module import Incompatible, Module

__all__ = ["load_hugging_face"]

# tables that old files hold beside the weights: causal masks and the numbers of the positions
TABLES = (".attn.bias", ".attn.masked_bias", ".position_ids")
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}  # of layer norms


def load_hugging_face(model: Module, state_dict: Mapping[str, Any], strict: bool = True) -> Incompatible:
    """Load a state dict of transformers' model of the same kind into GPT2 or one of the BERT models.

    The names are the same, so `model.load_state_dict` takes what `state_dict()` of such a model gives. Files differ
    from it: they may hold tables that are no weights, older names of layer norms, a tied weight under one of its names,
    or the body alone, without its name in front. All that is set right here, then `load_state_dict` is called.

    `state_dict`: tensors or arrays by name, such as `chainrule.load_file("model.safetensors")` gives. With
    `strict=False` weights may be missing (a new head) or left over (a head that the model has not); returned is which
    (missing_keys, unexpected_keys). Raises RuntimeError as load_state_dict does.

    >>> from chainrule.layers.models import GPT2
    >>> model = GPT2(vocab_size=11, n_positions=8, n_embd=4, n_layer=1, n_head=2)
    >>> body = model.transformer.state_dict()  # as the published files are: neither "transformer." nor lm_head
    >>> load_hugging_face(model, body)
    Incompatible(missing_keys=[], unexpected_keys=[])
    """
    own = dict(model.named_parameters(remove_duplicate=False))
    bodies = [name for name, _ in model.named_children()]
    state: dict[str, Any] = {}
    for name, value in state_dict.items():
        for old, new in OLD_NAMES.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name not in own:
            name = next((f"{body}.{name}" for body in bodies if f"{body}.{name}" in own), name)
        if name in own or not name.endswith(TABLES):
            state[name] = value
    for name, parameter in own.items():
        if name not in state:
            twin = next((other for other, p in own.items() if p is parameter and other in state), None)
            if twin is not None:
                state[name] = state[twin]
    return model.load_state_dict(state, strict)
