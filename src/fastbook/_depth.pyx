# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
"""Depth: the quantity at each price on both sides, and its JSON rows.

Numbers in a row: each value is a quotient of two integers, written as the double nearest to it in
the format of Python's repr(). If the divisor is a power of ten and the dividend has at most 15
significant digits, its decimal digits are that text already, because every such decimal survives a
round trip through a double. Other quotients are computed in 128 bits with a single rounding and
formatted by CPython. Those that do not fit in 128 bits are also divided by CPython.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport ldexp
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from fastbook._arguments cimport to_count, to_id, to_int64, to_side
from fastbook._ladder cimport *
from fastbook._memory cimport count_leading_zeros
from fastbook._pages cimport *

from math import gcd

from fastbook import _errors


cdef extern from *:
    """
    typedef unsigned __int128 fastbook_uint128;
    static inline int fastbook_mul_overflow(
        fastbook_uint128 a, fastbook_uint128 b, fastbook_uint128 *out)
    {
        return __builtin_mul_overflow(a, b, out);
    }
    """
    ctypedef unsigned long long uint128 "fastbook_uint128"
    bint mul_overflow "fastbook_mul_overflow"(uint128 a, uint128 b, uint128* out) noexcept nogil


cdef extern from "Python.h":
    char* PyOS_double_to_string(
        double number, char format_code, int precision, int flags, int* kind
    ) except NULL
    int Py_DTSF_ADD_DOT_0


cdef extern from *:
    """
    /* Every decimal of at most 15 significant digits survives a round trip through a double. */
    #define FASTBOOK_DECIMAL_MAX 1000000000000000ULL
    """
    uint64_t DECIMAL_MAX "FASTBOOK_DECIMAL_MAX"


cdef enum:
    POWER_MAX = 19  # 10**19 fits in 64 bits
    ROW_SIZE = 160  # three numbers of at most 24 characters, and the JSON around them


# A ratio in lowest terms, and if possible as a decimal: up / down == decimal / 10**power.
cdef struct Ratio:
    uint64_t up
    uint64_t down
    uint64_t decimal
    int power  # -1: not a decimal fraction, or not within 64 bits


cdef Ratio to_ratio(str name, object pair) except *:
    cdef Ratio ratio
    words = "(numerator, denominator), both positive integers below 2**63"
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise TypeError(f"{name}: expected {words}, got {pair!r}")
    try:
        up, down = to_int64(pair[0], name), to_int64(pair[1], name)
    except ValueError:
        raise _errors.expected(name, words, pair) from None
    if up <= 0 or down <= 0:
        raise _errors.expected(name, words, pair)
    common = gcd(up, down)
    ratio.up = up // common
    ratio.down = down // common
    ratio.power = -1
    ratio.decimal = 0
    for power in range(POWER_MAX + 1):
        if 10**power % ratio.down == 0:
            decimal = 10**power // ratio.down * ratio.up
            if decimal <= UINT64_MAX:
                ratio.decimal = decimal
                ratio.power = power
            break
    return ratio


cdef inline uint64_t power_of_ten(int power) noexcept nogil:
    cdef uint64_t result = 1
    while power > 0:
        result *= 10
        power -= 1
    return result


cdef inline int bit_length(uint128 number) noexcept nogil:
    cdef uint64_t high = <uint64_t>(number >> 64)
    cdef uint64_t low = <uint64_t>number
    if high != 0:
        return 128 - count_leading_zeros(high)
    return 64 - count_leading_zeros(low) if low != 0 else 0


cdef inline char* write_integer(char* out, uint64_t number, int width) noexcept nogil:
    """Write a number with at least `width` digits; return the end of the text."""
    cdef char[20] digits
    cdef int count = 0
    while number != 0 or count < width:
        digits[count] = <char>(c"0" + <int>(number % 10))
        number //= 10
        count += 1
    while count > 0:
        count -= 1
        out[0] = digits[count]
        out += 1
    return out


cdef inline char* write_decimal(char* out, uint128 whole, int power) noexcept nogil:
    """Write whole / 10**power like repr(); NULL if it has too many digits or needs an exponent."""
    cdef uint64_t number, unit
    while power > 0 and (whole >= DECIMAL_MAX or power > 19) and whole % 10 == 0:
        whole //= 10
        power -= 1
    if whole >= DECIMAL_MAX or power > 19:
        return NULL
    number = <uint64_t>whole
    unit = power_of_ten(power)
    if number < unit // 10000:  # repr() writes an exponent below 0.0001
        return NULL
    out = write_integer(out, number // unit, 1)
    out[0] = c"."
    out = write_integer(out + 1, number % unit, power if power > 0 else 1)
    while (out - 1)[0] == c"0" and (out - 2)[0] != c".":
        out -= 1
    return out


cdef inline bint divide(uint128 up, uint128 down, double* quotient) noexcept nogil:
    """Compute the double nearest to up / down, ties to even; False if 128 bits do not suffice."""
    cdef int shift = 128 - bit_length(up)
    cdef int extra
    cdef uint128 whole, rest, half, beyond
    cdef uint64_t mantissa
    # With `up` shifted to the top, the quotient has at least 56 bits: 53, and more for rounding.
    if bit_length(down) > 72 or up == 0:
        return False
    up <<= shift
    whole = up // down
    rest = up % down
    extra = bit_length(whole) - 53
    half = <uint128>1 << (extra - 1)
    beyond = whole & ((half << 1) - 1)
    mantissa = <uint64_t>(whole >> extra)
    if beyond > half or (beyond == half and (rest != 0 or mantissa & 1)):
        mantissa += 1
    quotient[0] = ldexp(<double>mantissa, extra - shift)
    return True


cdef char* write_double(char* out, double number) except NULL:
    cdef char* text = PyOS_double_to_string(number, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
    cdef size_t length = strlen(text)
    memcpy(out, text, length)
    PyMem_Free(text)
    return out + length


cdef char* write_product(char* out, uint64_t count, Ratio* unit) except NULL:
    """Write count * unit."""
    cdef uint128 whole = <uint128>count * unit.decimal
    cdef char* end = NULL
    cdef double number
    if unit.power >= 0:
        end = write_decimal(out, whole, unit.power)
    if end != NULL:
        return end
    if not divide(<uint128>count * unit.up, unit.down, &number):
        number = count * <object>unit.up / <object>unit.down
    return write_double(out, number)


cdef char* write_total(
    char* out, uint64_t ticks, Ratio* tick, uint64_t lots, Ratio* lot
) except NULL:
    """Write ticks * tick * lots * lot, rounded once."""
    cdef uint128 whole = <uint128>ticks * lots
    cdef uint128 product
    cdef char* end = NULL
    cdef double number
    if tick.power >= 0 and lot.power >= 0 and not (
        mul_overflow(whole, tick.decimal, &product) or mul_overflow(product, lot.decimal, &product)
    ):
        end = write_decimal(out, product, tick.power + lot.power)
    if end != NULL:
        return end
    if (
        mul_overflow(whole, tick.up, &product)
        or mul_overflow(product, lot.up, &product)
        or not divide(product, <uint128>tick.down * lot.down, &number)
    ):
        number = (
            ticks * <object>lots * tick.up * lot.up / (<object>tick.down * <object>lot.down)
        )
    return write_double(out, number)


cdef inline char* write_text(char* out, const char* text, size_t length) noexcept nogil:
    memcpy(out, text, length)
    return out + length


@cython.final
cdef class Depth:
    """Depth(tick=(1, 1), lot=(1, 1))\n--\n\nThe quantity at each price on both sides of a book.

    Prices are integer ticks and quantities integer lots. A tick is worth `tick[0] / tick[1]`, a lot
    `lot[0] / lot[1]`; only `rows_json` uses these.
    """

    cdef Ladder ladder
    cdef Ratio tick
    cdef Ratio lot
    cdef char* rows
    cdef size_t rows_capacity

    def __cinit__(self):
        ladder_init(&self.ladder)

    def __init__(self, tick=(1, 1), lot=(1, 1)):
        """Create an empty depth.

        Raises:
            ValueError: a numerator or denominator is not in 1 .. 2**63 - 1.
            TypeError: `tick` or `lot` is not a pair of integers.
        """
        self.tick = to_ratio("tick", tick)
        self.lot = to_ratio("lot", lot)

    def __dealloc__(self):
        ladder_free(&self.ladder)
        PyMem_Free(self.rows)

    def set(self, side, price, quantity):
        """Set the quantity at a price; 0 removes the price. O(1) on average.

        Raises:
            ValueError: `side` is not 0 or 1, `price` not in 1 .. 2**63 - 1 or `quantity` not in
                0 .. 2**63 - 1.
        """
        cdef int side_index = to_side(side)
        cdef int64_t ticks = to_int64(price, "price")
        cdef int64_t lots = to_int64(quantity, "quantity")
        cdef uint64_t key
        cdef uint32_t level
        if ticks <= 0:
            raise _errors.expected("price", "a positive integer below 2**63", ticks)
        if lots < 0:
            raise _errors.expected("quantity", "0 or a positive integer below 2**63", lots)
        key = key_of(side_index, ticks)
        if lots != 0:
            if not ladder_reserve(&self.ladder):
                raise MemoryError
            level = level_claim(&self.ladder, side_index, key)
            self.ladder.levels[level].total = lots
        elif level_total(&self.ladder, side_index, key) != 0:
            level = level_claim(&self.ladder, side_index, key)
            self.ladder.levels[level].total = 0
            level_release(&self.ladder, level)

    def get(self, side, price):
        """Return the quantity at a price, 0 if there is none. O(1)."""
        cdef int side_index = to_side(side)
        cdef int64_t ticks = to_id(price, "price")
        return level_total(&self.ladder, side_index, key_of(side_index, ticks)) if ticks > 0 else 0

    def best(self, side):
        """Return the best (price, quantity) of a side, or None if it is empty. O(1)."""
        cdef int side_index = to_side(side)
        cdef uint32_t level = self.ladder.sides[side_index].best
        return None if level == 0 else self.row(side_index, level)

    cdef tuple row(self, int side, uint32_t level):
        return price_of(side, level_key(&self.ladder, level)), self.ladder.levels[level].total

    def top(self, side, n=0):
        """Return the best `n` (0: all) levels of a side as (price, quantity), best price first."""
        cdef int side_index = to_side(side)
        cdef uint64_t count = to_count(n)
        cdef uint32_t level = self.ladder.sides[side_index].best
        cdef list rows = []
        while level != 0 and count != 0:
            rows.append(self.row(side_index, level))
            level = level_next(&self.ladder, level)
            count -= 1
        return rows

    def levels(self, side):
        """Return the number of prices on a side. O(1)."""
        return self.ladder.sides[to_side(side)].count

    def clear(self):
        """Remove all prices from both sides."""
        ladder_free(&self.ladder)

    def rows_json(self, side, n=0):
        """Return `top` as JSON: `[{"price":101.0,"amount":3.0,"total":303.0},...]`.

        Each number is the double nearest to the exact value, formatted as by `repr`. The price is
        ticks times tick, the amount lots times lot, and the total their product, rounded once.
        """
        cdef int side_index = to_side(side)
        cdef uint64_t count = min(to_count(n), self.ladder.sides[side_index].count)
        cdef uint32_t level = self.ladder.sides[side_index].best
        cdef char* out = self.reserve_rows(count)
        out[0] = c"["
        out += 1
        while count != 0:
            out = self.write_row(out, side_index, level)
            level = level_next(&self.ladder, level)
            count -= 1
            if count != 0:
                out[0] = c","
                out += 1
        out[0] = c"]"
        return PyBytes_FromStringAndSize(self.rows, out + 1 - self.rows)

    cdef char* reserve_rows(self, uint64_t count) except NULL:
        cdef size_t needed = count * ROW_SIZE + 2
        cdef void* moved
        if needed > self.rows_capacity:
            moved = PyMem_Realloc(self.rows, needed * 2)
            if moved == NULL:
                raise MemoryError
            self.rows = <char*>moved
            self.rows_capacity = needed * 2
        return self.rows

    cdef char* write_row(self, char* out, int side, uint32_t level) except NULL:
        cdef uint64_t ticks = price_of(side, level_key(&self.ladder, level))
        cdef uint64_t lots = self.ladder.levels[level].total
        out = write_text(out, b'{"price":', 9)
        out = write_product(out, ticks, &self.tick)
        out = write_text(out, b',"amount":', 10)
        out = write_product(out, lots, &self.lot)
        out = write_text(out, b',"total":', 9)
        out = write_total(out, ticks, &self.tick, lots, &self.lot)
        out[0] = c"}"
        return out + 1
