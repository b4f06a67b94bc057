"""Arrays with an error bound for float32 arithmetic: a running error analysis of the reference.

The reference computes in float64. Given `Inexact` inputs, the same code also computes an error bound for any
correct implementation: in any order of summation, with or without fused multiply-add, on any processor. Higham,
Accuracy and Stability of Numerical Algorithms (2nd ed.), sections 3.1 to 3.4: a term of a sum that is rounded at most n
times has a relative error of at most gamma(n) = n u / (1 - n u). Therefore the magnitudes of the terms are summed along
with every unfinished sum; when its value is used, gamma(n) times this total becomes its error, which is propagated with
the derivative of each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Doubles: TypeAlias = NDArray[np.float64]

FLOAT32 = 2.0**-24
"""Largest relative error of one rounding."""
FLOAT16 = 2.0**-11
_FLOAT16_SMALLEST = 2.0**-25
"""Largest absolute error of rounding to a denormal float16."""

# exp(x) by a polynomial: its own relative error (below 2e-7 = 3.4 u, trt_plugins/cpu/silu-inl.h), some roundings, and
# the rounding of x / log(2), which is an error of up to u |x| in the exponent, made twice where x is split in two.
_EXPONENTIAL = 12 * FLOAT32
_EXPONENT = 2 * FLOAT32
# A division, or an estimate of 11 bits and one Newton step, which squares its error: 2^-22 and two roundings.
_RECIPROCAL = 8 * FLOAT32


@dataclass(frozen=True)
class Arithmetic:
    """Roundings of an implementation in addition to its float32 sums.

    Attributes:
        every: relative error of storing the result of each operation; 0 keeps float32 in between.
        composed: of storing the level's composed input.
        factors: roundings of a product's factors that the reference does not have.
    """

    every: float = 0.0
    composed: float = 0.0
    factors: int = 0


IN_FLOAT32 = Arithmetic()
"""Inputs as they are, sums in float32; the storage type is rounded to in the end."""
IN_FLOAT16_MAPS = Arithmetic(every=FLOAT16, composed=FLOAT16)
"""A graph of standard operators, each of which puts out float16."""


def _gamma(roundings: int) -> float:
    return roundings * FLOAT32 / (1.0 - roundings * FLOAT32)


class Inexact:
    """float64 values with a bound on the error of a float32 implementation.

    Attributes:
        value: the exact result.
        error: bound on the error that the operands brought.
        terms: the sizes of the terms of the sum that is not finished, added up; of a finished one its own size, or more
            where it may never have been summed (`reassociable`).
        roundings: the largest number for each of the terms.
    """

    __array_priority__ = 1000

    def __init__(
        self,
        value: Doubles,
        arithmetic: Arithmetic,
        error: Doubles | float = 0.0,
        terms: Doubles | None = None,
        roundings: int = 0,
    ) -> None:
        self.value = value
        self.arithmetic = arithmetic
        self.error = np.broadcast_to(error, value.shape)
        self.terms = np.abs(value) + self.error if terms is None else terms
        self.roundings = roundings

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    def __len__(self) -> int:
        return len(self.value)

    def bound(self) -> Doubles:
        """The error bound of a finished value."""
        return np.asarray(self.error + _gamma(self.roundings) * self.terms)

    def finished(self) -> Inexact:
        """The value as an operand: its sum rounded, and stored where the arithmetic stores every result."""
        if not self.roundings:
            return self
        return Inexact(self.value, self.arithmetic, self.bound()).stored(self.arithmetic.every)

    def stored(self, unit: float) -> Inexact:
        if not unit:
            return self
        bound = self.bound()
        smallest = _FLOAT16_SMALLEST if unit == FLOAT16 else 0.0
        return Inexact(self.value, self.arithmetic, bound + unit * (np.abs(self.value) + bound) + smallest)

    def _lift(self, other: Any) -> Inexact:
        return other if isinstance(other, Inexact) else Inexact(np.asarray(other, np.float64), self.arithmetic)

    def _operand(self) -> Inexact:
        """A term of a sum: its own sum is continued, unless it is stored in between."""
        return self.finished() if self.arithmetic.every else self

    # Sums

    def __add__(self, other: Any) -> Inexact:
        a, b = self._operand(), self._lift(other)._operand()
        roundings = a.roundings + b.roundings + 1
        return Inexact(a.value + b.value, self.arithmetic, a.error + b.error, a.terms + b.terms, roundings)

    __radd__ = __add__

    def __neg__(self) -> Inexact:
        return Inexact(-self.value, self.arithmetic, self.error, self.terms, self.roundings)

    def __sub__(self, other: Any) -> Inexact:
        return self + -self._lift(other)

    def __rsub__(self, other: Any) -> Inexact:
        return -self + self._lift(other)

    def mean(self, axis: Any, keepdims: bool = False) -> Inexact:
        a = self.finished()
        count = self.value.size // a.value.mean(axis=axis, keepdims=keepdims).size
        value, error, terms = (part.mean(axis=axis, keepdims=keepdims) for part in (a.value, a.error, a.terms))
        return Inexact(value, self.arithmetic, error, terms, count + 1)

    # Products

    def __mul__(self, other: Any) -> Inexact:
        a, b = self.finished(), self._lift(other).finished()
        return _product(lambda x, y: x * y, a, b, 1)

    __rmul__ = __mul__

    # Functions

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.maximum:
            a = self.finished()
            return Inexact(np.maximum(a.value, inputs[1]), self.arithmetic, a.error)
        if ufunc is np.exp:
            a = self.finished()
            relative = np.expm1(a.error + _EXPONENT * np.abs(a.value)) + _EXPONENTIAL
            return Inexact(np.exp(a.value), self.arithmetic, np.exp(a.value) * relative)
        if ufunc is np.true_divide and np.isscalar(inputs[0]):
            a = self.finished()
            numerator: Any = inputs[0]
            value = np.asarray(numerator / a.value)
            relative = a.error / (np.abs(a.value) - a.error) + _RECIPROCAL
            return Inexact(value, self.arithmetic, np.abs(value) * relative)
        swapped = {np.add: self.__radd__, np.multiply: self.__rmul__, np.subtract: self.__rsub__}
        return swapped[ufunc](inputs[0]) if ufunc in swapped else NotImplemented

    def __rtruediv__(self, other: float) -> Any:
        result: Any = self.__array_ufunc__(np.true_divide, "__call__", other, self)
        return result

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        if function is np.einsum:
            spec, a, b = arguments
            return _einsum(spec, self._lift(a).finished(), self._lift(b).finished())
        if function is np.clip:
            a, low, high = arguments
            return Inexact(np.clip(a.value, low, high), self.arithmetic, a.finished().error)
        if function in (np.concatenate, np.stack):
            return self._joined(function, [self._lift(part) for part in arguments[0]], options)
        return self._moved(lambda part: function(part, *arguments[1:], **options))

    def _joined(self, function: Any, parts: Sequence[Inexact], options: Any) -> Inexact:
        done = [part.finished() for part in parts]
        names = ("value", "error", "terms")
        value, error, terms = (function([getattr(d, name) for d in done], **options) for name in names)
        return Inexact(value, self.arithmetic, error, terms)

    # Values that move: slices, padding, other shapes

    def _moved(self, move: Callable[[Doubles], Doubles]) -> Inexact:
        return Inexact(move(self.value), self.arithmetic, move(self.error), move(self.terms), self.roundings)

    def __getitem__(self, index: Any) -> Inexact:
        return self._moved(lambda part: part[index])

    def reshape(self, *shape: int) -> Inexact:
        return self._moved(lambda part: part.reshape(*shape))

    def take(self, indices: Any, axis: int) -> Inexact:
        return self._moved(lambda part: part.take(indices, axis))


def _product(multiply: Callable[[Doubles, Doubles], Doubles], a: Inexact, b: Inexact, count: int) -> Inexact:
    """A product, or a sum of `count` of them: |a| db + da |b| + da db."""
    sizes = [np.abs(x.value) for x in (a, b)]
    error = multiply(sizes[0], b.error) + multiply(a.error, sizes[1] + b.error)
    roundings = count + a.arithmetic.factors
    return Inexact(multiply(a.value, b.value), a.arithmetic, error, multiply(a.terms, b.terms), roundings)


def _einsum(spec: str, a: Inexact, b: Inexact) -> Inexact:
    left, right = spec.split("->")
    sizes: dict[str, int] = {}
    for names, array in zip(left.split(","), (a, b), strict=True):
        sizes.update(zip(names, array.shape, strict=True))
    count = int(np.prod([size for name, size in sizes.items() if name not in right]))
    return _product(lambda x, y: np.asarray(np.einsum(spec, x, y)), a, b, count)


def inexact(values: Doubles | None, arithmetic: Arithmetic = IN_FLOAT32) -> Inexact | None:
    """Inputs without error: exactly the values that the implementation gets."""
    return None if values is None else Inexact(np.asarray(values, np.float64), arithmetic)


def approximately(values: Doubles, like: Any, error: Doubles | float) -> Any:
    """Constants that an implementation computes itself, with an error of up to `error`; plain if `like` is plain."""
    return (
        Inexact(values, like.arithmetic, error).stored(like.arithmetic.every) if isinstance(like, Inexact) else values
    )


def blend(a: Any, b: Any, weight: Any) -> Any:
    """(1 - weight) * a + weight * b, interpolated. Implementations also compute a + weight * (b - a), or the same from
    b's end: of the three forms' coefficients the largest are taken, and of their roundings."""
    if not isinstance(a, Inexact):
        return (1.0 - weight) * a + weight * b
    a, b, weight = a.finished(), b.finished(), a._lift(weight)
    share, off = weight.value, weight.error
    value = (1.0 - share) * a.value + share * b.value
    error = (1.0 - share) * a.error + share * b.error + off * (np.abs(b.value - a.value) + a.error + b.error)
    exact = (share == 0.0) & (off == 0.0)
    terms = np.where(exact, a.terms, (1.0 + share + off) * a.terms + (2.0 - share + off) * b.terms)
    return Inexact(value, a.arithmetic, error, terms, 4)


def reassociable(values: Any) -> Any:
    """A factor that an implementation may never sum, by summing its products instead: their sizes are those of its
    terms."""
    if not isinstance(values, Inexact):
        return values
    return Inexact(values.value, values.arithmetic, values.bound(), values.terms + values.bound())


def composed(values: Any) -> Any:
    """A level's input, which some kernels store."""
    return values.finished().stored(values.arithmetic.composed) if isinstance(values, Inexact) else values
