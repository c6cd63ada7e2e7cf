// SPDX-License-Identifier: MIT
// v_transpose() for the variants that interleave vectors. Written over two operations that the
// including file has defined:
//
//   v_low(a, b)    a[0], b[0], a[1], b[1] ... of the first half, in each block
//   v_high(a, b)   likewise of the second half

/** Rows i and i + 4 become rows 2i and 2i + 1, interleaved. */
INLINE void interleave(const vec in[8], vec out[8])
{
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        out[2 * i] = v_low(in[i], in[i + 4]);
        out[2 * i + 1] = v_high(in[i], in[i + 4]);
    }
}

/** Each turn moves one bit of a value's row number to its column number. */
INLINE void v_transpose(vec x[8])
{
    vec once[8], twice[8];
    interleave(x, once);
    interleave(once, twice);
    interleave(twice, x);
}
