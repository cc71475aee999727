/* ---- matrix products over packed panels; follows prelude.c ----

   A panel holds CW_COLUMNS columns of W^T, depth outermost, padded with zeros: panel[k * CW_COLUMNS + column].
   A tile keeps up to CW_ROWS x CW_COLUMNS sums in registers. Each sum starts at its addend and takes its products
   in the order of k, whichever tile it falls in: rows are bitwise the same for any split of the batch. */

#if defined(CW_ROWS) /* set by tests */
#elif defined(__AVX512F__) || defined(__aarch64__)
#define CW_ROWS 12 /* of 32 registers: 24 sums, 2 of the panel, 1 of v */
#else
#define CW_ROWS 6 /* of 16: 12 sums, 2 of the panel, 1 of v */
#endif
#define CW_COLUMNS (2 * CW_LANES)
#define CW_DEPTH 320                 /* part of a panel that stays in the first cache: 20 to 40 KiB */
#define CW_CHUNK (CW_ROWS * 16)      /* rows of v that stay in the second cache */

CW_EXPORT const int64_t cw_row_block = CW_ROWS;

CW_INLINE int64_t cw_parts(int64_t size, int64_t part) { return (size + part - 1) / part; }
/* Where part `index` of `count` nearly equal parts of `size` begins. */
CW_INLINE int64_t cw_begin(int64_t size, int64_t count, int64_t index) {
    return size / count * index + (index < size % count ? index : size % count);
}

/* Numbers in the packed form of a matrix; cw_pack wants that much, aligned or not. */
CW_INLINE int64_t cw_packed_size(int64_t columns, int64_t depth) {
    return cw_parts(columns, CW_COLUMNS) * CW_COLUMNS * depth;
}

/* packed <- w, where w[column * column_stride + k * depth_stride]. For y = v W^T of W[columns, depth] the strides
   are (depth, 1); for y = d W of W[depth, columns] they are (1, columns). */
CW_FUNCTION void cw_pack(cw_real *restrict packed, const cw_real *restrict w, int64_t columns, int64_t depth,
                         int64_t column_stride, int64_t depth_stride) {
    for (int64_t first = 0; first < columns; first += CW_COLUMNS, packed += CW_COLUMNS * depth) {
        const cw_real *from = w + first * column_stride;
        int64_t present = columns - first < CW_COLUMNS ? columns - first : CW_COLUMNS;
        if (column_stride == 1 && present == CW_COLUMNS) {
            for (int64_t k = 0; k < depth; ++k) {
                cw_store(packed + k * CW_COLUMNS, cw_load(from + k * depth_stride));
                cw_store(packed + k * CW_COLUMNS + CW_LANES, cw_load(from + k * depth_stride + CW_LANES));
            }
            continue;
        }
        for (int64_t k = 0; k < depth; ++k)
            for (int64_t i = 0; i < CW_COLUMNS; ++i)
                packed[k * CW_COLUMNS + i] = i < present ? from[i * column_stride + k * depth_stride] : 0;
    }
}

#if defined(__clang__)
#define CW_UNROLLED_ROWS _Pragma("unroll") for (int i = 0; i < rows; ++i)
#else
#define CW_UNROLLED_ROWS _Pragma("GCC unroll 12") for (int i = 0; i < rows; ++i)
#endif

typedef struct {
    cw_real *y;
    const cw_real *c, *v, *panel;
    int64_t y_stride, c_stride, v_stride, depth, columns;
} cw_tile;

CW_INLINE void cw_run_tile(const int rows, cw_tile t) {
    cw_vec low[CW_ROWS], high[CW_ROWS];
    const int full = t.columns >= CW_COLUMNS;
    const int left = t.columns >= CW_LANES ? CW_LANES : (int)t.columns;
    const int right = full ? CW_LANES : (int)t.columns - left;
    if (!t.c) {
        CW_UNROLLED_ROWS low[i] = high[i] = (cw_vec){0};
    } else if (full) {
        CW_UNROLLED_ROWS {
            low[i] = cw_load(t.c + i * t.c_stride);
            high[i] = cw_load(t.c + i * t.c_stride + CW_LANES);
        }
    } else {
        CW_UNROLLED_ROWS {
            low[i] = cw_load_part(t.c + i * t.c_stride, left);
            high[i] = cw_load_part(t.c + i * t.c_stride + left, right);
        }
    }
    const cw_real *v = t.v, *panel = t.panel;
    for (int64_t k = 0; k < t.depth; ++k, ++v, panel += CW_COLUMNS) {
        const cw_vec a = cw_load(panel), b = cw_load(panel + CW_LANES);
        CW_UNROLLED_ROWS {
            const cw_vec x = cw_splat(v[i * t.v_stride]);
            low[i] += x * a;
            high[i] += x * b;
        }
    }
    if (full) {
        CW_UNROLLED_ROWS {
            cw_store(t.y + i * t.y_stride, low[i]);
            cw_store(t.y + i * t.y_stride + CW_LANES, high[i]);
        }
    } else {
        CW_UNROLLED_ROWS {
            cw_store_part(t.y + i * t.y_stride, low[i], left);
            cw_store_part(t.y + i * t.y_stride + left, high[i], right);
        }
    }
}

#define CW_CASE(rows) \
    case rows: \
        cw_run_tile(rows, t); \
        break;
CW_FUNCTION void cw_run_rows(int64_t rows, cw_tile t) {
    switch (rows) {
        CW_CASE(1) CW_CASE(2) CW_CASE(3) CW_CASE(4) CW_CASE(5) CW_CASE(6)
#if CW_ROWS == 12
        CW_CASE(7) CW_CASE(8) CW_CASE(9) CW_CASE(10) CW_CASE(11) CW_CASE(12)
#endif
    }
}

/* y[rows, columns] = c + v[rows, depth] W^T with W packed. The strides are those of rows, in numbers; c may be null
   (no addend), y itself (accumulate), or one row for all (c_stride 0). */
CW_FUNCTION void cw_multiply(cw_real *y, int64_t y_stride, const cw_real *c, int64_t c_stride,
                             const cw_real *v, int64_t v_stride, const cw_real *packed, int64_t rows,
                             int64_t columns, int64_t depth) {
    const int64_t chunks = cw_parts(rows, CW_CHUNK), slices = depth ? cw_parts(depth, CW_DEPTH) : 1;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const int64_t top = cw_begin(rows, chunks, chunk), size = cw_begin(rows, chunks, chunk + 1) - top;
        const int64_t tiles = cw_parts(size, CW_ROWS);
        for (int64_t column = 0; column < columns; column += CW_COLUMNS)
            for (int64_t slice = 0; slice < slices; ++slice) {
                const int64_t k = cw_begin(depth, slices, slice), end = cw_begin(depth, slices, slice + 1);
                const cw_real *panel = packed + column * depth + k * CW_COLUMNS;
                const cw_real *addend = slice ? y : c;
                const int64_t addend_stride = slice ? y_stride : c_stride;
                for (int64_t tile = 0; tile < tiles; ++tile) {
                    const int64_t row = top + cw_begin(size, tiles, tile);
                    const int64_t count = top + cw_begin(size, tiles, tile + 1) - row;
                    cw_run_rows(count, (cw_tile){
                        .y = y + row * y_stride + column, .y_stride = y_stride,
                        .c = addend ? addend + row * addend_stride + column : 0, .c_stride = addend_stride,
                        .v = v + row * v_stride + k, .v_stride = v_stride,
                        .panel = panel, .depth = end - k, .columns = columns - column,
                    });
                }
            }
    }
}
