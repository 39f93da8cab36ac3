"""einsum, by diagonals, sums, permutations and pairwise matrix products: it has no derivative of its own."""

from collections.abc import Sequence
from math import prod
from typing import Any

from chainrule.errors import DtypeError, ShapeError
from chainrule.names import ops
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["einsum"]

# An axis's label: a letter, or (in the other calling form) a number, or a place in the ellipsis, counted from the
# right.
Label = Any


class _Ellipsis:
    """The label of the axis that is `back` places from the end of what `...` stands for."""

    __slots__ = ("back",)

    def __init__(self, back: int) -> None:
        self.back = back

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ellipsis) and other.back == self.back

    def __hash__(self) -> int:
        return hash(("...", self.back))

    def __repr__(self) -> str:
        return f"axis {-self.back} of the ellipsis"


def _name(label: Label) -> str:
    return f"index {label!r}" if not isinstance(label, _Ellipsis) else repr(label)


def _letters(term: str, equation: str) -> list[Any]:
    """A term's letters in order, with Ellipsis where `...` stands. ShapeError for anything else."""
    labels: list[Any] = []
    head, dots, tail = term.partition("...")
    for part, after in ((head, dots), (tail, "")):
        for c in part:
            if not (c.isascii() and c.isalpha()):
                raise ShapeError(f"einsum({equation!r}): {c!r} in the term {term!r} is not an index; use letters, "
                                 "'...', ',' and '->'")
            labels.append(c)
        if after:
            labels.append(Ellipsis)
    return labels


def _parse(equation: Any, operands: tuple[Any, ...]) -> tuple[str, list[list[Any]], list[Any] | None, list[Tensor]]:
    """Both calling forms as: text for messages, each operand's labels, the output's (None: implied), the operands."""
    if isinstance(equation, str):
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            operands = tuple(operands[0])
        left, arrow, right = equation.replace(" ", "").partition("->")
        terms = [_letters(t, equation) for t in left.split(",")]
        return equation, terms, _letters(right, equation) if arrow else None, [ops.as_tensor(x) for x in operands]
    given = (equation, *operands)
    lists = given[1::2] + ((given[-1],) if len(given) % 2 else ())
    for listed in lists:
        if not isinstance(listed, Sequence) or not all(n is Ellipsis or isinstance(n, int) for n in listed):
            raise DtypeError("einsum: pass an equation such as 'ij,jk->ik' and its operands, or each operand followed "
                             "by the "
                             f"list of its axes' indices (integers or ...); got {listed!r:.60} for a list")
    text = ", ".join(map(str, lists))
    arrays = [ops.as_tensor(x) for x in (given[:-1] if len(given) % 2 else given)[0::2]]
    return text, [list(t) for t in given[1::2]], list(given[-1]) if len(given) % 2 else None, arrays


def _spell_out(text: str, term: list[Any], rank: int, which: str) -> list[Label]:
    """The labels with `...` replaced by one for each axis it stands for. ShapeError where their number differs."""
    if Ellipsis not in term:
        if len(term) != rank:
            raise ShapeError(f"einsum({text!r}): {which} has {rank} axes, its term names {len(term)}; '...' stands "
                             "for the rest")
        return term
    count, at = rank - len(term) + 1, term.index(Ellipsis)
    if count < 0 or term.count(Ellipsis) > 1:
        raise ShapeError(f"einsum({text!r}): {which} has {rank} axes, its term names {len(term) - 1} besides one '...'")
    return term[:at] + [_Ellipsis(count - i) for i in range(count)] + term[at + 1:]


def _sizes(text: str, terms: list[list[Label]], operands: list[Tensor]) -> dict[Label, int]:
    """Each label's size. ShapeError, naming the index and both sizes, where two operands disagree (a 1 stretches)."""
    sizes: dict[Label, int] = {}
    seen: dict[Label, int] = {}
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        within: dict[Label, int] = {}
        for label, n in zip(term, x.shape, strict=True):
            if within.setdefault(label, n) != n:
                raise ShapeError(f"einsum({text!r}): {_name(label)} is repeated in operand {i} with sizes "
                                 f"{within[label]} and "
                                 f"{n}; a diagonal needs equal sizes (its shape is {x.shape})")
            if sizes.get(label, 1) == 1:
                sizes[label], seen[label] = n, i
            elif n not in (1, sizes[label]):
                raise ShapeError(f"einsum({text!r}): {_name(label)} has size {sizes[label]} in operand {seen[label]} "
                                 f"{operands[seen[label]].shape} but {n} in operand {i} {x.shape}; they must be equal")
    return sizes


def _simplify(x: Tensor, term: list[Label], sizes: dict[Label, int]) -> tuple[Tensor, list[Label]]:
    """Repeated labels become diagonals; axes of size 1 that stretch are dropped, since nothing depends on them."""
    i = 0
    while i < len(term):
        if term[i] in term[:i]:
            first = term.index(term[i])
            x = ops.diagonal(x, 0, first, i)  # puts the diagonal last
            label = term[i]
            term = [t for k, t in enumerate(term) if k not in (first, i)] + [label]
            i = 0
        else:
            i += 1
    kept = [k for k, label in enumerate(term) if not (x.shape[k] == 1 != sizes[label])]
    if len(kept) < len(term):
        x, term = ops.reshape(x, tuple(x.shape[k] for k in kept)), [term[k] for k in kept]
    return x, term


def _sum_over(x: Tensor, term: list[Label], unwanted: set[Label]) -> tuple[Tensor, list[Label]]:
    axes = tuple(k for k, label in enumerate(term) if label in unwanted)
    if not axes:
        return x, term
    return ops.sum(x, axes), [label for label in term if label not in unwanted]


def _arrange(x: Tensor, term: list[Label], order: list[Label]) -> Tensor:
    """The axes in the order of the labels."""
    if term == order:
        return x
    found: Tensor = ops.permute_dims(x, tuple(term.index(label) for label in order))
    return found


def _contract(x: Tensor, a: list[Label], y: Tensor, b: list[Label], wanted: set[Label],
              sizes: dict[Label, int]) -> tuple[Tensor, list[Label]]:
    """The product of two operands, summed over what nobody else wants: one batched matrix product."""
    x, a = _sum_over(x, a, set(a) - set(b) - wanted)
    y, b = _sum_over(y, b, set(b) - set(a) - wanted)
    both = [label for label in a if label in b and label in wanted]
    summed = [label for label in a if label in b and label not in wanted]
    rows = [label for label in a if label not in b]
    columns = [label for label in b if label not in a]

    def shape(*groups: list[Label]) -> list[int]:
        return [sizes[label] for group in groups for label in group]

    if not summed:  # an outer product needs no sum: multiply, with the axes lined up
        x = ops.reshape(_arrange(x, a, both + rows), shape(both, rows) + [1] * len(columns))
        y = ops.reshape(_arrange(y, b, both + columns), shape(both) + [1] * len(rows) + shape(columns))
        return x * y, both + rows + columns
    inner, batch = prod(shape(summed)), prod(shape(both))
    lead = [batch] if both else []
    x = ops.reshape(_arrange(x, a, both + rows + summed), [*lead, prod(shape(rows)), inner])  # (B, M, K)
    y = ops.reshape(_arrange(y, b, both + summed + columns), [*lead, inner, prod(shape(columns))])  # (B, K, N)
    return ops.reshape(ops.matmul(x, y), shape(both, rows, columns)), both + rows + columns


def _cheapest(terms: list[list[Label]], sizes: dict[Label, int]) -> tuple[int, int]:
    """The pair of operands whose product takes the fewest multiplications; the leftmost of several."""
    pairs = [(i, j) for j in range(len(terms)) for i in range(j)]
    return min(pairs, key=lambda p: prod(sizes[label] for label in {*terms[p[0]], *terms[p[1]]}))


@public
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's summation convention: products of the operands, summed over each index that the output does not name.

    `einsum("ij,jk->ik", a, b)` is the matrix product out[i, k] = Σ_j a[i, j] b[j, k]. An index repeated within a term
    takes the diagonal; `...` stands for any number of axes, which broadcast. Without `->` the output has the ellipsis's
    axes, then the indices that occur once, in alphabetical order. Instead of an equation each operand may be followed
    by its indices as integers: `einsum(a, [0, 1], b, [1, 2], [0, 2])`.
    Operands are contracted two at a time, the cheapest pair first, each as one (batched) matrix product.
    Raises ShapeError, naming the index and the sizes, where an index has two sizes.

    >>> import chainrule as cr
    >>> a = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.einsum("ii->i", a), cr.einsum("ij,j", a, cr.tensor([1.0, 1.0]))
    (tensor([1., 4.]), tensor([3., 7.]))
    """
    text, raw_terms, raw_output, arrays = _parse(equation, operands)
    if len(raw_terms) != len(arrays) or not arrays:
        raise ShapeError(f"einsum({text!r}): the equation has {len(raw_terms)} terms but there are {len(arrays)} "
                         "operands")
    terms = [_spell_out(text, t, x.ndim, f"operand {i} of shape {x.shape}")
             for i, (t, x) in enumerate(zip(raw_terms, arrays, strict=True))]
    sizes = _sizes(text, terms, arrays)
    dots = sorted((label for label in sizes if isinstance(label, _Ellipsis)), key=lambda e: -e.back)
    if raw_output is None:
        named = [label for t in terms for label in t if not isinstance(label, _Ellipsis)]
        output = [*dots, *sorted(label for label in set(named) if named.count(label) == 1)]
    else:
        output = _spell_out(text, raw_output, len(raw_output) - 1 + len(dots), "the output") if Ellipsis in raw_output \
            else raw_output
    for label in output:
        if label not in sizes or output.count(label) > 1:
            why = "is in no operand" if label not in sizes else "appears twice"
            raise ShapeError(f"einsum({text!r}): {_name(label)} of the output {why}")
    parts = [_simplify(x, t, sizes) for x, t in zip(arrays, terms, strict=True)]
    while len(parts) > 1:
        i, j = _cheapest([t for _, t in parts], sizes)
        (x, a), (y, b) = parts[i], parts[j]
        rest = [p for k, p in enumerate(parts) if k not in (i, j)]
        wanted = set(output).union(*[t for _, t in rest])
        parts = [_contract(x, a, y, b, wanted, sizes), *rest]
    x, term = _sum_over(*parts[0], set(parts[0][1]) - set(output))
    return _arrange(x, term, output)
