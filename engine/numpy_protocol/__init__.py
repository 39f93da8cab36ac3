"""NumPy's functions on tensors: `np.exp(t)`, `array * t`, `np.concatenate([t, array])`.

NumPy hands a call with a tensor among its arguments to the tensor (`__array_ufunc__` for ufuncs, `__array_function__`
for the others); these files answer it with chainrule's ops, so that it is recorded. The meaning is NumPy's: `np.std`
divides by n, `np.max` gives values alone, `np.split` takes places, `np.repeat` repeats elements. The element types of
results follow chainrule's table (dtypes.py). What is not offered, be it a function or an option, raises TypeError.

`dispatch.py` finds the answer and checks the options; `ufuncs.py` has the ufuncs, the other files the functions.
"""

from chainrule.names import autograd
from chainrule.numpy_protocol import choices, products, reductions, shapes  # noqa: F401
from chainrule.numpy_protocol.dispatch import array_function
from chainrule.numpy_protocol.ufuncs import array_ufunc

autograd.array_function, autograd.array_ufunc = array_function, array_ufunc
