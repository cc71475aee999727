CW_INLINE cw_vec cw_get(const cw_real *p, int count) {
    return count == CW_LANES ? cw_load(p) : cw_load_part(p, count);
}
CW_INLINE void cw_put(cw_real *p, cw_vec x, int count) {
    if (count == CW_LANES)
        cw_store(p, x);
    else
        cw_store_part(p, x, count);
}
CW_INLINE cw_vec cw_first(cw_vec x, int count) {
    if (count == CW_LANES) return x;
    cw_real lanes[CW_LANES] = {0};
    cw_store_part(lanes, x, count);
    return cw_load(lanes);
}
CW_INLINE cw_real cw_sum(cw_vec x) {
    cw_real total = 0;
    for (int i = 0; i < CW_LANES; ++i) total += x[i];
    return total;
}

CW_EXPORT int64_t forward_packed(int64_t steps, int64_t batch, int64_t slots, int64_t outside, int64_t size_m, int64_t size_n) {
    return cw_packed_size(3 * size_n, size_m) + cw_packed_size(2 * size_n, size_n) + cw_packed_size(size_n, size_n);
}

CW_EXPORT void forward_pack(void *const *tensors, const int64_t *sizes, int64_t first, int64_t last) {
    const int64_t size_m = sizes[4];
    const int64_t size_n = sizes[5];
    cw_real *packed = tensors[0];
    cw_pack(packed, tensors[1], 3 * size_n, size_m, size_m, 1);
    packed += cw_packed_size(3 * size_n, size_m);
    cw_pack(packed, tensors[2], 2 * size_n, size_n, size_n, 1);
    packed += cw_packed_size(2 * size_n, size_n);
    cw_pack(packed, tensors[3], size_n, size_n, size_n, 1);
    packed += cw_packed_size(size_n, size_n);
}

CW_EXPORT void forward(void *const *tensors, const int64_t *sizes, int64_t first, int64_t last) {
    const int64_t steps = sizes[0];
    const int64_t batch = sizes[1];
    const int64_t slots = sizes[2];
    const int64_t outside = sizes[3];
    const int64_t size_m = sizes[4];
    const int64_t size_n = sizes[5];
    const cw_real *const packed = tensors[0];
    const cw_real *const all_v_b = tensors[1];
    const cw_real *const all_v_b_r = tensors[2];
    const cw_real *const all_v_b_z = tensors[3];
    const cw_real *const block_0 = tensors[4];
    cw_real *const kept_v_s = tensors[5];
    cw_real *const values = tensors[6];
    const cw_real *const initial_v_s = tensors[7];
    cw_real *const room_0 = tensors[8];
    const cw_real *const packed_0 = packed;
    const cw_real *const packed_1 = packed_0 + cw_packed_size(3 * size_n, size_m);
    const cw_real *const packed_2 = packed_1 + cw_packed_size(2 * size_n, size_n);
    for (int64_t t = 0; t < steps; ++t) {
        const cw_real *const block_0_t = block_0 + t * batch * size_m;
        cw_real *const kept_v_s_t = kept_v_s + t * batch * size_n;
        cw_real *const values_t = values + (t % slots) * batch * (4 * size_n);
        const cw_real *const initial_v_s_t = t ? kept_v_s + (t - 1) * batch * size_n + 0 : initial_v_s;
        const int64_t initial_v_s_width = t ? size_n : size_n;
        cw_real *const room_0_t = room_0 + (outside ? t : 0) * batch * (3 * size_n);
        if (!outside) cw_multiply(room_0_t + first * (3 * size_n), 3 * size_n, 0, 0, block_0_t + first * size_m, size_m, packed_0, last - first, 3 * size_n, size_m);
        cw_multiply(room_0_t + first * (3 * size_n), 3 * size_n, room_0_t + first * (3 * size_n), 3 * size_n, initial_v_s_t + first * initial_v_s_width, initial_v_s_width, packed_1, last - first, 2 * size_n, size_n);
        for (int64_t row = first; row < last; ++row) {
            const cw_real *const from_v_a_r_1 = room_0_t + row * (3 * size_n);
            cw_real *const to_v_r_1 = values_t + row * (4 * size_n);
            const cw_real *const from_v_a_z_1 = room_0_t + row * (3 * size_n) + size_n;
            cw_real *const to_v_z_1 = values_t + row * (4 * size_n) + size_n;
            const cw_real *const from_v_s_prev_1 = initial_v_s_t + row * initial_v_s_width;
            cw_real *const to_v_r_s_prev_1 = values_t + row * (4 * size_n) + 2 * size_n;
            for (int64_t j = 0; j < size_n; j += CW_LANES) {
                const int count = size_n - j < CW_LANES ? (int)(size_n - j) : CW_LANES;
                const cw_vec v_a_r = cw_get(from_v_a_r_1 + j, count);
                const cw_vec v_b_r = cw_get(all_v_b_r + j, count);
                const cw_vec v_r = cw_sigmoid(v_a_r + v_b_r);
                cw_put(to_v_r_1 + j, v_r, count);
                const cw_vec v_a_z = cw_get(from_v_a_z_1 + j, count);
                const cw_vec v_b_z = cw_get(all_v_b_z + j, count);
                const cw_vec v_z = cw_sigmoid(v_a_z + v_b_z);
                cw_put(to_v_z_1 + j, v_z, count);
                const cw_vec v_s_prev = cw_get(from_v_s_prev_1 + j, count);
                const cw_vec v_r_s_prev = v_r * v_s_prev;
                cw_put(to_v_r_s_prev_1 + j, v_r_s_prev, count);
            }
        }
        cw_multiply(room_0_t + first * (3 * size_n) + 2 * size_n, 3 * size_n, room_0_t + first * (3 * size_n) + 2 * size_n, 3 * size_n, values_t + first * (4 * size_n) + 2 * size_n, 4 * size_n, packed_2, last - first, size_n, size_n);
        for (int64_t row = first; row < last; ++row) {
            const cw_real *const from_v_a_s_tilde_2 = room_0_t + row * (3 * size_n) + 2 * size_n;
            cw_real *const to_v_s_tilde_2 = values_t + row * (4 * size_n) + 3 * size_n;
            const cw_real *const from_v_s_prev_2 = initial_v_s_t + row * initial_v_s_width;
            const cw_real *const from_v_z_2 = values_t + row * (4 * size_n) + size_n;
            cw_real *const to_v_s_2 = kept_v_s_t + row * size_n;
            for (int64_t j = 0; j < size_n; j += CW_LANES) {
                const int count = size_n - j < CW_LANES ? (int)(size_n - j) : CW_LANES;
                const cw_vec v_a_s_tilde = cw_get(from_v_a_s_tilde_2 + j, count);
                const cw_vec v_b = cw_get(all_v_b + j, count);
                const cw_vec v_s_tilde = cw_tanh(v_a_s_tilde + v_b);
                cw_put(to_v_s_tilde_2 + j, v_s_tilde, count);
                const cw_vec v_s_prev = cw_get(from_v_s_prev_2 + j, count);
                const cw_vec v_z = cw_get(from_v_z_2 + j, count);
                const cw_vec v_s = v_z * v_s_prev + ((cw_real)1 - v_z) * v_s_tilde;
                cw_put(to_v_s_2 + j, v_s, count);
            }
        }
    }
}

CW_EXPORT int64_t backward_packed(int64_t steps, int64_t batch, int64_t slots, int64_t outside, int64_t size_m, int64_t size_n) {
    return cw_packed_size(size_m, 3 * size_n) + cw_packed_size(size_n, 2 * size_n) + cw_packed_size(size_n, size_n);
}

CW_EXPORT void backward_pack(void *const *tensors, const int64_t *sizes, int64_t first, int64_t last) {
    const int64_t size_m = sizes[4];
    const int64_t size_n = sizes[5];
    cw_real *packed = tensors[0];
    cw_pack(packed, tensors[1], size_m, 3 * size_n, 1, size_m);
    packed += cw_packed_size(size_m, 3 * size_n);
    cw_pack(packed, tensors[2], size_n, 2 * size_n, 1, size_n);
    packed += cw_packed_size(size_n, 2 * size_n);
    cw_pack(packed, tensors[3], size_n, size_n, 1, size_n);
    packed += cw_packed_size(size_n, size_n);
}

CW_EXPORT void backward(void *const *tensors, const int64_t *sizes, int64_t first, int64_t last) {
    const int64_t steps = sizes[0];
    const int64_t batch = sizes[1];
    const int64_t slots = sizes[2];
    const int64_t outside = sizes[3];
    const int64_t size_m = sizes[4];
    const int64_t size_n = sizes[5];
    const cw_real *const packed = tensors[0];
    const cw_real *const all_v_b = tensors[1];
    const cw_real *const all_v_b_r = tensors[2];
    const cw_real *const all_v_b_z = tensors[3];
    const cw_real *const block_0 = tensors[4];
    const cw_real *const kept_v_s = tensors[5];
    const cw_real *const values = tensors[6];
    const cw_real *const initial_v_s = tensors[7];
    const cw_real *const carried_v_s = tensors[8];
    cw_real *const ring_v_s = tensors[9];
    const cw_real *const arriving_v_s = tensors[10];
    cw_real *const gradient_0 = tensors[11];
    cw_real *const delta_0 = tensors[12];
    cw_real *const sums = tensors[13];
    cw_real *const room_v_d_r_s_prev_read = tensors[14];
    cw_real *const room_v_d_s_read = tensors[15];
    cw_real *const room_v_d_s = tensors[16];
    const cw_real *const packed_0 = packed;
    const cw_real *const packed_1 = packed_0 + cw_packed_size(size_m, 3 * size_n);
    const cw_real *const packed_2 = packed_1 + cw_packed_size(size_n, 2 * size_n);
    for (int64_t t = steps - 1; t >= 0; --t) {
        const cw_real *const block_0_t = block_0 + t * batch * size_m;
        const cw_real *const kept_v_s_t = kept_v_s + t * batch * size_n;
        const cw_real *const values_t = values + t * batch * (4 * size_n);
        const cw_real *const initial_v_s_t = t ? kept_v_s + (t - 1) * batch * size_n + 0 : initial_v_s;
        const int64_t initial_v_s_width = t ? size_n : size_n;
        cw_real *const ring_v_s_t = ring_v_s + (t % 2) * batch * size_n;
        const cw_real *const carried_v_s_t = t + 1 < steps ? ring_v_s + (t + 1) % 2 * batch * size_n : carried_v_s;
        const cw_real *const arriving_v_s_t = arriving_v_s + t * batch * size_n;
        cw_real *const gradient_0_t = gradient_0 + t * batch * size_m;
        cw_real *const delta_0_t = delta_0 + t * batch * (3 * size_n);
        for (int64_t row = first; row < last; ++row) {
            const cw_real *const from_v_d_s_next_1 = carried_v_s_t + row * size_n;
            const cw_real *const from_v_d_s_out_1 = arriving_v_s_t + row * size_n;
            cw_real *const to_v_d_s_1 = room_v_d_s + row * size_n;
            const cw_real *const from_v_z_1 = values_t + row * (4 * size_n) + size_n;
            const cw_real *const from_v_s_tilde_1 = values_t + row * (4 * size_n) + 3 * size_n;
            cw_real *const to_v_d_a_s_tilde_1 = delta_0_t + row * (3 * size_n) + 2 * size_n;
            const cw_real *const from_v_s_prev_1 = initial_v_s_t + row * initial_v_s_width;
            cw_real *const to_v_d_a_z_1 = delta_0_t + row * (3 * size_n) + size_n;
            const cw_real *const from_sums_0_before_1 = sums + row * (3 * size_n);
            cw_real *const to_sums_0_after_1 = sums + row * (3 * size_n);
            const cw_real *const from_sums_2_before_1 = sums + row * (3 * size_n) + 2 * size_n;
            cw_real *const to_sums_2_after_1 = sums + row * (3 * size_n) + 2 * size_n;
            for (int64_t j = 0; j < size_n; j += CW_LANES) {
                const int count = size_n - j < CW_LANES ? (int)(size_n - j) : CW_LANES;
                const cw_vec v_d_s_next = cw_get(from_v_d_s_next_1 + j, count);
                const cw_vec v_d_s_out = cw_get(from_v_d_s_out_1 + j, count);
                const cw_vec v_d_s = v_d_s_next + v_d_s_out;
                cw_put(to_v_d_s_1 + j, v_d_s, count);
                const cw_vec v_z = cw_get(from_v_z_1 + j, count);
                const cw_vec v_d_s_tilde = ((cw_real)1 - v_z) * v_d_s;
                const cw_vec v_s_tilde = cw_get(from_v_s_tilde_1 + j, count);
                const cw_vec v_d_a_s_tilde = ((cw_real)1 - (v_s_tilde * v_s_tilde)) * v_d_s_tilde;
                cw_put(to_v_d_a_s_tilde_1 + j, v_d_a_s_tilde, count);
                const cw_vec v_s_prev = cw_get(from_v_s_prev_1 + j, count);
                const cw_vec v_d_z = (v_s_prev - v_s_tilde) * v_d_s;
                const cw_vec v_d_a_z = v_z * ((cw_real)1 - v_z) * v_d_z;
                cw_put(to_v_d_a_z_1 + j, v_d_a_z, count);
                const cw_vec sums_0_before = cw_get(from_sums_0_before_1 + j, count);
                const cw_vec sums_0_after = v_d_a_s_tilde + sums_0_before;
                cw_put(to_sums_0_after_1 + j, sums_0_after, count);
                const cw_vec sums_2_before = cw_get(from_sums_2_before_1 + j, count);
                const cw_vec sums_2_after = v_d_a_z + sums_2_before;
                cw_put(to_sums_2_after_1 + j, sums_2_after, count);
            }
        }
        cw_multiply(room_v_d_r_s_prev_read + first * size_n, size_n, 0, 0, delta_0_t + first * (3 * size_n) + 2 * size_n, 3 * size_n, packed_2, last - first, size_n, size_n);
        for (int64_t row = first; row < last; ++row) {
            const cw_real *const from_v_d_r_s_prev_read_2 = room_v_d_r_s_prev_read + row * size_n;
            const cw_real *const from_v_s_prev_2 = initial_v_s_t + row * initial_v_s_width;
            const cw_real *const from_v_r_2 = values_t + row * (4 * size_n);
            cw_real *const to_v_d_a_r_2 = delta_0_t + row * (3 * size_n);
            const cw_real *const from_sums_1_before_2 = sums + row * (3 * size_n) + size_n;
            cw_real *const to_sums_1_after_2 = sums + row * (3 * size_n) + size_n;
            for (int64_t j = 0; j < size_n; j += CW_LANES) {
                const int count = size_n - j < CW_LANES ? (int)(size_n - j) : CW_LANES;
                const cw_vec v_d_r_s_prev_read = cw_get(from_v_d_r_s_prev_read_2 + j, count);
                const cw_vec v_s_prev = cw_get(from_v_s_prev_2 + j, count);
                const cw_vec v_d_r = v_d_r_s_prev_read * v_s_prev;
                const cw_vec v_r = cw_get(from_v_r_2 + j, count);
                const cw_vec v_d_a_r = v_r * ((cw_real)1 - v_r) * v_d_r;
                cw_put(to_v_d_a_r_2 + j, v_d_a_r, count);
                const cw_vec sums_1_before = cw_get(from_sums_1_before_2 + j, count);
                const cw_vec sums_1_after = v_d_a_r + sums_1_before;
                cw_put(to_sums_1_after_2 + j, sums_1_after, count);
            }
        }
        cw_multiply(room_v_d_s_read + first * size_n, size_n, 0, 0, delta_0_t + first * (3 * size_n), 3 * size_n, packed_1, last - first, size_n, 2 * size_n);
        for (int64_t row = first; row < last; ++row) {
            const cw_real *const from_v_d_r_s_prev_read_3 = room_v_d_r_s_prev_read + row * size_n;
            const cw_real *const from_v_d_s_3 = room_v_d_s + row * size_n;
            const cw_real *const from_v_d_s_read_3 = room_v_d_s_read + row * size_n;
            const cw_real *const from_v_r_3 = values_t + row * (4 * size_n);
            const cw_real *const from_v_z_3 = values_t + row * (4 * size_n) + size_n;
            cw_real *const to_v_d_s_prev_3 = ring_v_s_t + row * size_n;
            for (int64_t j = 0; j < size_n; j += CW_LANES) {
                const int count = size_n - j < CW_LANES ? (int)(size_n - j) : CW_LANES;
                const cw_vec v_d_r_s_prev_read = cw_get(from_v_d_r_s_prev_read_3 + j, count);
                const cw_vec v_d_s = cw_get(from_v_d_s_3 + j, count);
                const cw_vec v_d_s_read = cw_get(from_v_d_s_read_3 + j, count);
                const cw_vec v_r = cw_get(from_v_r_3 + j, count);
                const cw_vec v_z = cw_get(from_v_z_3 + j, count);
                const cw_vec v_d_s_prev = v_r * v_d_r_s_prev_read + v_z * v_d_s + v_d_s_read;
                cw_put(to_v_d_s_prev_3 + j, v_d_s_prev, count);
            }
        }
        if (!outside) cw_multiply(gradient_0_t + first * size_m, size_m, 0, 0, delta_0_t + first * (3 * size_n), 3 * size_n, packed_0, last - first, size_m, 3 * size_n);
    }
}
