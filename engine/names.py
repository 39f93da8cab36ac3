"""Two namespaces that fill up as the package is imported.

`ops` holds the operations over Tensors, under the same names that a kernels namespace holds them over raw arrays; a
derivative formula is written against either. `autograd` holds what `Tensor` needs of the files that come after it.
Both are empty here, so that `tensor.py` can call into them although the ops are defined on top of it.
"""

from types import SimpleNamespace
from typing import Any

ops: Any = SimpleNamespace()
autograd: Any = SimpleNamespace()
