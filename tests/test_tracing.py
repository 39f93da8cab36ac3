"""Traces: every op in order, writes and views as values, and nothing where nobody traces."""

import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule.state import special, state
from chainrule.tracing import Trace, Value


def traced(function, *tensors):
    trace = Trace()
    values = [trace.input(t) for t in tensors]
    with trace, cr.no_grad():
        out = function(*tensors)
    return trace, values, trace.value(out)


def names(calls):
    return [call.op.name for call in calls]


def test_integers_and_unrecorded_ops_are_seen():
    x = cr.tensor([1, 2, 3])
    trace, (value,), out = traced(lambda x: (x * 2 > 3).float().exp(), x)
    assert names(trace.calls) == ["multiply", "greater", "astype", "exp"]
    first = trace.calls[0]
    assert first.inputs == [value, 2] and first.outputs[0].shape == (3,) and trace.calls[-1].outputs == [out]
    assert trace.calls[2].static == {"dtype": np.dtype(np.float32)}


def test_quick_ops_give_the_same_numbers_traced():
    x = cr.randn(3, 4)
    plain = (x * x + 1.5).exp()
    with Trace():
        again = (x * x + 1.5).exp()
    assert (again.data == plain.data).all()


def test_a_fused_op_is_one_call_with_its_definition_inside():
    x, weight = cr.randn(2, 3), cr.randn(4, 3)
    trace, _, out = traced(lambda x: cr.functional.linear(x, weight), x)
    (call,) = trace.calls
    assert call.op.name == "linear" and names(call.inside) == ["swapaxes", "matmul"]
    assert call.inside[-1].outputs == call.outputs == [out]
    constant = call.inputs[1]
    assert isinstance(constant, Value) and (constant.array == weight.data).all()


def test_a_write_makes_a_new_value_and_views_are_read_anew():
    def function(x):
        x = x + 0
        row = x[0]
        x[:, 1] = 5.0
        return row * 1

    trace, _, out = traced(function, cr.zeros(2, 3))
    assert names(trace.calls) == ["add", "getitem", "write", "getitem", "multiply"]
    added, _, written, read, _ = trace.calls
    assert written.inputs[0] is added.outputs[0] and written.inputs[1] == 5.0
    assert read.inputs == written.outputs and trace.calls[-1].inputs[0] is read.outputs[0]
    assert out is trace.calls[-1].outputs[0]


def test_writes_through_views_are_writes_to_the_base():
    def function(x):
        x = x + 0
        x.T[1].fill_(7.0)
        return x

    trace, _, out = traced(function, cr.zeros(2, 3))
    write = trace.calls[-1]
    assert [step[0] for step in write.static["path"]] == ["permute_dims", "getitem"]
    assert write.outputs == [out] and out.shape == (2, 3)


def test_a_constant_is_what_it_was_before_it_was_written_to():
    def function(x):
        out = cr.zeros(3)
        out[1:] = x
        return out

    trace, (value,), out = traced(function, cr.ones(2))
    (write,) = trace.calls
    assert (write.inputs[0].array == 0).all() and write.inputs[1] is value and write.outputs == [out]


def test_detached_tensors_are_the_same_value():
    trace, (value,), out = traced(lambda x: x.detach(), cr.ones(2))
    assert out is value and trace.calls == []


def test_an_index_that_is_a_tensor_stays_one():
    index = cr.tensor([1, 0])
    trace, (_, value), _ = traced(lambda x, i: x[:, i], cr.randn(2, 2), index)
    assert trace.calls[0].static["index"][1] is value


def test_a_number_taken_out_of_a_tensor_warns():
    with pytest.warns(UserWarning, match="a number is taken out of a tensor"):
        traced(lambda x: x * 2 if x.sum() > 0 else x, cr.ones(2))
    traced(lambda x: x * cr.tensor(2.0).item(), cr.ones(2))  # of a constant it may be


def test_layers_are_noted():
    model = cr.layers.Sequential(cr.layers.ReLU(), cr.layers.Sequential(cr.layers.Tanh()))
    trace, _, _ = traced(model, cr.ones(2))
    assert trace.calls[0].layers == [model, model[0]]
    assert trace.calls[1].layers == [model, model[1], model[1][0]]


def test_own_ops_are_seen_through():
    cube = cr.Op("cube", forward=lambda xp, x: xp.multiply(x, xp.square(x)), x=lambda xp, g, x: 3 * g * x * x)
    trace, _, out = traced(cube, cr.ones(2))
    assert names(trace.calls) == ["cube"] and names(trace.calls[0].inside) == ["square", "multiply"]
    assert trace.calls[0].inside[-1].outputs == trace.calls[0].outputs == [out]
    closed = cr.Op("closed", forward=lambda xp, x: np.sort(np.asarray(x)), x=None)
    assert traced(closed, cr.ones(2))[0].calls[0].inside is None


def test_other_threads_and_later_ops_are_not_traced():
    trace = Trace()
    before = special.count
    with trace:
        thread = threading.Thread(target=lambda: cr.ones(2) * 2)
        thread.start()
        thread.join()
        cr.ones(2) + 1
    cr.ones(2) * 3
    assert names(trace.calls) == ["add"] and state.tracer is None and special.count == before
