"""Compiled kernels: attention, norms and drawing of tokens, for one core.

A step of a small transformer is a few small matrix products and much reading of cached keys. torch
reads them operation by operation; a kernel reads each key once, only the columns in use, and
without padding. The kernels release the GIL, so that chunks run side by side. They are in one file
because numba's cache notices a change only in a kernel's own file.

Which of its compiled forms a kernel finds when it calls another differs between code that was just
compiled and code that was read from the cache, and LLVM optimises them differently. So what others
call leaves LLVM no choice that changes a number: sums are written in their order (no ``reassoc``),
and where products may be fused (``contract``) each sum has one product to fuse. Otherwise a uniform
number near a border would draw another token in the first run on a machine than in the second.

In shapes, B is rows, U prompts, P the longest prompt, H heads, e the size of a head, d the width, C
columns, V the vocabulary.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache
from numpy.typing import NDArray

# Probabilities are added up in blocks of this many.
_BLOCK = 32

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_Function = TypeVar("_Function", bound=Callable[..., Any])

_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
# Smaller weights count as exp(-60): products with them would be denormal, and slow.
_LEAST = np.float32(-60.0)
_LOG2E = np.float32(1.44269504088896341)
# ln 2 in two parts, so that subtracting a multiple of it loses nothing.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_P0, _P1, _P2 = (
    np.float32(1.9875691500e-4),
    np.float32(1.3981999507e-3),
    np.float32(8.3334519073e-3),
)
_P3, _P4, _P5 = (
    np.float32(4.1665795894e-2),
    np.float32(1.6666665459e-1),
    np.float32(5.0000001201e-1),
)
_BIAS, _MANTISSA = np.int32(127), np.int32(23)


class _Kept(FunctionCache):
    """Compiled code in a folder that may be full, read-only or damaged at any time.

    The cache only saves time: a kernel that can't be read is compiled, and a kernel that can't be
    written is not kept.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code kept for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # a damaged file fails in whatever way its bytes lead to
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code compiled for a signature."""
        with suppress(Exception):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def compiled(*flags: str) -> Callable[[_Function], _Function]:
    """Compile on first use and keep the result on disk; ``flags`` are LLVM's, for rounding.

    Where neither ``NUMBA_CACHE_DIR`` nor the package's folder nor the user's cache can be written,
    nothing is kept.
    """

    def wrap(function: _Function) -> _Function:
        kernel: Any = numba.njit(nogil=True, fastmath=set(flags))(function)
        # numba refuses to cache at all where it finds no folder for it.
        with suppress(RuntimeError):
            kernel._cache = _Kept(function)  # type: ignore[no-untyped-call]
        return cast("_Function", kernel)

    return wrap


@compiled("nnan", "nsz")
def highest(row: Floats, count: int) -> np.float32:
    """Return the largest of the first ``count`` numbers."""
    largest: np.float32 = row[0]
    for i in range(1, count):
        largest = max(largest, row[i])
    return largest


@compiled("contract")
def _exponentials(row: Floats, powers: NDArray[np.int32], count: int, shift: np.float32) -> None:
    """Replace x by exp(x - shift), to 2 units in the last place; ``shift`` is the highest x.

    Source: the polynomial of Cephes' expf (Moshier).
    """
    for i in range(count):
        x = max(row[i] - shift, _LEAST)
        whole = np.floor(x * _LOG2E + _HALF)
        x = x - whole * _LN2_HIGH
        x = x - whole * _LN2_LOW
        y = ((((_P0 * x + _P1) * x + _P2) * x + _P3) * x + _P4) * x + _P5
        row[i] = y * (x * x) + x + _ONE
        powers[i] = (np.int32(whole) + _BIAS) << _MANTISSA
    scales = powers.view(np.float32)
    for i in range(count):
        row[i] *= scales[i]


@compiled()
def _total(row: Floats, start: int, end: int) -> np.float32:
    """Return a sum, taken in eight interleaved parts."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _ZERO
    whole = start + (end - start) // 8 * 8
    for i in range(start, whole, 8):
        s0 += row[i]
        s1 += row[i + 1]
        s2 += row[i + 2]
        s3 += row[i + 3]
        s4 += row[i + 4]
        s5 += row[i + 5]
        s6 += row[i + 6]
        s7 += row[i + 7]
    for i in range(whole, end):
        s0 += row[i]
    return np.float32(((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)))


@compiled("contract")
def _score(query: Floats, keys: Floats, u: int, count: int, scores: Floats, first: int) -> None:
    """Write every head's query times key of ``count`` columns, summed as in ``_total``."""
    heads, size = query.shape
    whole = size // 8 * 8
    for column in range(count):
        for h in range(heads):
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _ZERO
            for i in range(0, whole, 8):
                s0 += query[h, i] * keys[u, column, h, i]
                s1 += query[h, i + 1] * keys[u, column, h, i + 1]
                s2 += query[h, i + 2] * keys[u, column, h, i + 2]
                s3 += query[h, i + 3] * keys[u, column, h, i + 3]
                s4 += query[h, i + 4] * keys[u, column, h, i + 4]
                s5 += query[h, i + 5] * keys[u, column, h, i + 5]
                s6 += query[h, i + 6] * keys[u, column, h, i + 6]
                s7 += query[h, i + 7] * keys[u, column, h, i + 7]
            for i in range(whole, size):
                s0 += query[h, i] * keys[u, column, h, i]
            scores[h, first + column] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@compiled("contract")
def _mix(weights: Floats, first: int, values: Floats, u: int, count: int, found: Floats) -> None:
    """Add every head's weighted sum of ``count`` values."""
    heads, size = found.shape
    whole = count - count % 4
    for column in range(0, whole, 4):
        at = first + column
        for h in range(heads):
            w0, w1 = weights[h, at], weights[h, at + 1]
            w2, w3 = weights[h, at + 2], weights[h, at + 3]
            for i in range(size):
                mixed = found[h, i] + w0 * values[u, column, h, i]
                mixed += w1 * values[u, column + 1, h, i]
                mixed += w2 * values[u, column + 2, h, i]
                found[h, i] = mixed + w3 * values[u, column + 3, h, i]
    for column in range(whole, count):
        for h in range(heads):
            weight = weights[h, first + column]
            for i in range(size):
                found[h, i] += weight * values[u, column, h, i]


@compiled()
def _take(
    fused: Floats,
    b: int,
    cos: Floats,
    sin: Floats,
    p: int,
    query: Floats,
    keys: Floats,
    values: Floats,
    u: int,
    column: int,
) -> None:
    """Rotate a token's query and key to its position; put its key and value in a column."""
    heads, size = query.shape
    half = size // 2
    scale = _ONE / np.float32(np.sqrt(np.float32(size)))
    for h in range(heads):
        for i in range(half):
            j = half + i
            low, high = fused[b, h, 0, i] * scale, fused[b, h, 0, j] * scale
            query[h, i] = low * cos[p, i] + high * sin[p, i]
            query[h, j] = high * cos[p, j] + low * sin[p, j]
            low, high = fused[b, h, 1, i], fused[b, h, 1, j]
            keys[u, column, h, i] = low * cos[p, i] + high * sin[p, i]
            keys[u, column, h, j] = high * cos[p, j] + low * sin[p, j]
        for i in range(size):
            values[u, column, h, i] = fused[b, h, 2, i]


@compiled("contract")
def _weigh(scores: Floats, powers: NDArray[np.int32], count: int, shares: Floats) -> None:
    """Turn every head's scores into weights that are still to be multiplied by its share."""
    for h in range(len(scores)):
        row = scores[h]
        _exponentials(row, powers, count, highest(row, count))
        shares[h] = _ONE / _total(row, 0, count)


@compiled()
def _finish(sums: Floats, shares: Floats, found: Floats, b: int) -> None:
    """Write a row's weighted means, and clear the sums for the next row."""
    heads, size = sums.shape
    for h in range(heads):
        for i in range(size):
            found[b, h, i] = sums[h, i] * shares[h]
            sums[h, i] = _ZERO


@compiled()
def read_rows(
    fused: Floats,
    starts: Ints,
    first: Ints,
    cos: Floats,
    sin: Floats,
    keys: Floats,
    values: Floats,
    found: Floats,
) -> None:
    """Store some tokens of each row in the cache, and attend causally to all tokens before them.

    Args:
        fused: (N, H, 3, e) queries, keys and values of the new tokens, row after row.
        starts: (B + 1,) where each row's new tokens start in ``fused``.
        first: (B,) position of the first of them in its row.
        cos: (M, e).
        sin: (M, e), its first half negated.
        keys: (B, C, H, e), column = position; those of the new tokens are filled.
        values: (B, C, H, e), filled like ``keys``.
        found: (N, H, e), filled.
    """
    _, heads, _, size = fused.shape
    query, sums = np.empty((heads, size), np.float32), np.zeros((heads, size), np.float32)
    scores, powers = np.empty((heads, keys.shape[1]), np.float32), np.empty(keys.shape[1], np.int32)
    shares = np.empty(heads, np.float32)
    for b in range(len(first)):
        for token in range(starts[b], starts[b + 1]):
            p = first[b] + token - starts[b]
            _take(fused, token, cos, sin, p, query, keys, values, b, p)
            _score(query, keys, b, p + 1, scores, 0)
            _weigh(scores, powers, p + 1, shares)
            _mix(scores, 0, values, b, p + 1, sums)
            _finish(sums, shares, found, token)


@compiled()
def attend(
    fused: Floats,
    positions: Ints,
    cos: Floats,
    sin: Floats,
    owners: Ints,
    lengths: Ints,
    prompt_keys: Floats,
    prompt_values: Floats,
    keys: Floats,
    values: Floats,
    column: int,
    found: Floats,
) -> None:
    """Store one token of each row in the cache; attend to its prompt and to all it has written.

    Args:
        fused: (B, H, 3, e).
        positions: (B,) position of the token in its row.
        cos: (M, e).
        sin: (M, e), its first half negated.
        owners: (B,) which prompt each row continues.
        lengths: (U,) of the prompts.
        prompt_keys: (U, P, H, e).
        prompt_values: (U, P, H, e).
        keys: (B, C, H, e) of the written tokens; column ``column`` is filled.
        values: (B, C, H, e), filled like ``keys``.
        column: Number of tokens that each row has written before.
        found: (B, H, e), filled.
    """
    rows, heads, _, size = fused.shape
    query, sums = np.empty((heads, size), np.float32), np.zeros((heads, size), np.float32)
    room = prompt_keys.shape[1] + keys.shape[1]
    scores, powers = np.empty((heads, room), np.float32), np.empty(room, np.int32)
    shares = np.empty(heads, np.float32)
    for b in range(rows):
        u = owners[b]
        before = lengths[u]
        _take(fused, b, cos, sin, positions[b], query, keys, values, b, column)
        _score(query, prompt_keys, u, before, scores, 0)
        _score(query, keys, b, column + 1, scores, before)
        _weigh(scores, powers, before + column + 1, shares)
        _mix(scores, 0, prompt_values, u, before, sums)
        _mix(scores, before, values, b, column + 1, sums)
        _finish(sums, shares, found, b)


@compiled("reassoc", "contract", "nsz")
def add_and_norm(
    stream: Floats, branch: Floats, normed: Floats, weight: Floats, bias: Floats, eps: float
) -> None:
    """Add (B, d) branch to stream in place, and write the layer norm of the sum."""
    rows, width = stream.shape
    share = _ONE / np.float32(width)
    for b in range(rows):
        mean = _ZERO
        for i in range(width):
            stream[b, i] += branch[b, i]
            mean += stream[b, i]
        mean *= share
        spread = _ZERO
        for i in range(width):
            spread += (stream[b, i] - mean) ** 2
        scale = _ONE / np.sqrt(spread * share + np.float32(eps))
        for i in range(width):
            normed[b, i] = (stream[b, i] - mean) * scale * weight[i] + bias[i]


@compiled()
def draw(
    logits: Floats,
    uniform: Floats,
    probs: Floats,
    tokens: Ints,
    log_probs: Floats,
) -> None:
    """Draw a token of each row by inverting the cumulated probabilities.

    Args:
        logits: (B, V), ``-inf`` where a token is not allowed.
        uniform: (B,) in [0, 1).
        probs: (B, V), filled.
        tokens: (B,), filled.
        log_probs: (B,) of the tokens, filled.
    """
    rows, size = logits.shape
    powers = np.empty(size, np.int32)
    for b in range(rows):
        row = probs[b]
        row[:] = logits[b]
        largest = highest(row, size)
        _exponentials(row, powers, size, largest)
        for i in range(size):
            if logits[b, i] == -np.inf:
                row[i] = _ZERO
        total = _total(row, 0, size)
        wanted, below, token = uniform[b] * total, _ZERO, -1
        for start in range(0, size, _BLOCK):
            end = min(start + _BLOCK, size)
            block = _total(row, start, end)
            if below + block <= wanted:
                below += block
                continue
            for i in range(start, end):
                below += row[i]
                if below > wanted:
                    token = i
                    break
            if token >= 0:
                break
        if token < 0:  # rounding left a gap at the very end
            token = size - 1
            while row[token] == _ZERO:
                token -= 1
        tokens[b] = token
        log_probs[b] = logits[b, token] - largest - np.log(total)
        share = _ONE / total
        for i in range(size):
            row[i] *= share
