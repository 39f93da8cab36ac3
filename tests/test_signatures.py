"""Layers, optimizers and schedules take torch's arguments: its names, its order, its defaults; what differs stands here."""

import json
from operator import attrgetter

import pytest

import chainrule
from tests.torch_signatures import FILE, PLACES, arguments

# torch's ways of running the same step, and those to see a step's own gradient: they do not change the numbers
FOREACH = {"foreach", "fused", "capturable", "differentiable"}

# place -> {name: arguments of torch that are left out}; None stands for every name at the place
LEFT_OUT = {
    "optim": {None: FOREACH},
    "layers": {"Hardtanh": {"min_value", "max_value"}},  # deprecated in torch
    "data": {"DataLoader": {"timeout", "worker_init_fn", "multiprocessing_context", "pin_memory_device",  # of processes;
                            "in_order"}},  # workers are threads here, and batches always come in order
}

# arguments that torch does not have: they come last or by name only, so that torch's calls mean the same
ADDED = {
    "layers": {"EmbeddingBag": {"_freeze"}},  # what from_pretrained shares with Embedding, which has it in torch too
    "optim": {"Muon": {"maximize"}},  # all optimizers have it
    "data": {"TensorDataset": {"transform"}, "DataLoader": {"device"}},
}

# (place, name, torch's argument): ours and its default. An iterable of nothing stands for None: no case of its own.
CHANGED = {
    ("layers", "Sequential", "args"): ("modules", "required"),
    ("layers", "ModuleList", "modules"): ("modules", []),
    ("layers", "ModuleDict", "modules"): ("parts", []),  # one constructor for both dicts
    ("layers", "ParameterDict", "parameters"): ("parts", []),
    ("layers", "ParameterList", "values"): ("values", []),
    ("layers", "Parameter", "data"): ("data", "required"),  # a parameter of nothing helps nobody
    ("data", "BatchSampler", "drop_last"): ("drop_last", False),  # as in DataLoader
    ("data", "random_split", "generator"): ("generator", None),  # None is the default generator everywhere
}

HIDDEN = {"VAR_POSITIONAL", "VAR_KEYWORD"}  # torch's LSTM and a few others do not say; the table of layers calls with each


def rows():
    torch = json.loads(FILE.read_text())
    return [pytest.param(place, name, found, id=f"{place}.{name}") for place in PLACES for name, found in torch[place].items()
            if {kind for _, kind, _ in found} != HIDDEN]


def allowed(table, place, name):
    return table.get(place, {}).get(name, set()) | table.get(place, {}).get(None, set())


@pytest.mark.parametrize(("place", "name", "theirs"), rows())
def test_arguments_are_torchs(place, name, theirs):
    ours = arguments(attrgetter(f"{place}.{name}")(chainrule))
    names = [argument for argument, _, _ in ours]
    wanted = {}  # name -> (place among torch's, default)
    for position, (argument, _, default) in enumerate(theirs):
        if argument not in allowed(LEFT_OUT, place, name):
            argument, default = CHANGED.get((place, name, argument), (argument, default))
            wanted[argument] = position, default
    assert [argument for argument in names if argument not in allowed(ADDED, place, name)] == list(wanted)
    for position, (argument, kind, default) in enumerate(ours):
        if argument in wanted:
            their_position, their_default = wanted[argument]
            assert default == their_default and isinstance(default, bool) == isinstance(their_default, bool), argument
            if kind != "KEYWORD_ONLY":  # what is given by place means the same
                assert position == their_position, f"{argument} is argument {position}, torch's {their_position}"
