/* Every shape of the packed product and every partial vector, in arrays without a spare byte; run by
   test_sanitized.py after the prelude. PLACE 0: malloc, for the address sanitizer. 1 and 2: arrays that end or
   begin at a page that may not be touched, for instructions that the sanitizer does not see. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static cw_real *array(int64_t count) {
#if PLACE
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = count * sizeof(cw_real);
    const size_t inner = (bytes + page - 1) / page * page;
    char *base = mmap(0, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (inner && mprotect(base + page, inner, PROT_READ | PROT_WRITE)) exit(2);
    cw_real *p = (cw_real *)(PLACE == 1 ? base + page + inner - bytes : base + page);
#else
    cw_real *p = malloc(count * sizeof(cw_real));
#endif
    for (int64_t i = 0; i < count; ++i) p[i] = (cw_real)(i % 7) - 3;
    return p;
}

int main(void) {
    const int64_t sizes[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 330}, kinds = sizeof sizes / sizeof *sizes;
    int64_t checked = 0;
    for (int64_t a = 0; a < kinds; ++a)
        for (int64_t b = 0; b < kinds; ++b)
            for (int64_t rows = 0; rows < 15; rows += 1 + rows / 8) {
                const int64_t columns = sizes[a], depth = sizes[b];
                cw_real *w = array(columns * depth), *packed = array(cw_packed_size(columns, depth));
                cw_real *v = array(rows * depth), *y = array(rows * columns), *c = array(columns);
                cw_pack(packed, w, columns, depth, depth, 1);
                cw_multiply(y, columns, c, 0, v, depth, packed, rows, columns, depth);
                cw_multiply(y, columns, y, columns, v, depth, packed, rows, columns, depth);
                for (int64_t row = 0; row < rows; ++row)
                    for (int64_t column = 0; column < columns; ++column, ++checked) {
                        cw_real sum = 0; /* small whole numbers: exact */
                        for (int64_t k = 0; k < depth; ++k) sum += v[row * depth + k] * w[column * depth + k];
                        if (y[row * columns + column] != c[column] + 2 * sum) return 3;
                    }
                cw_pack(packed, w, columns, depth, 1, columns); /* w as (depth, columns) */
                cw_multiply(y, columns, 0, 0, v, depth, packed, rows, columns, depth);
#if !PLACE
                free(w), free(packed), free(v), free(y), free(c);
#endif
            }
    for (int count = 0; count <= CW_LANES; ++count) {
        cw_real *x = array(count);
        cw_vec values = cw_load_part(x, count);
        values = cw_tanh(values) + cw_exp(values) + cw_expm1(values) + cw_sigmoid(values) + cw_log1p(values);
        cw_store_part(x, values, count);
#if !PLACE
        free(x);
#endif
    }
    printf("%lld sums are right\n", (long long)checked);
    return 0;
}
