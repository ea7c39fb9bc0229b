/* Runs recorded kernel calls and writes down what they leave in memory (test_neon.py).
 *
 * Standard input is a row of 64-bit words. A call is the number of a kernel, a dtype, then its fields in the order of
 * kernels.def:
 *   array, view    dtype (-1: absent), ndim, shape, strides in bytes, size in bytes, elements
 *   list           arrays (-1: absent), then size in bytes and elements of each
 *   sizes          how many, then each
 *   real, int, count, size   the value
 * Elements are padded to whole words. Kernels work on them in place; standard output is the same words afterwards.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nncore.h"

#define MAX_LIST 64

static int64_t *next, *end; /* the words that are left */

static void require(bool good, const char *sentence) {
    if (good) return;
    fprintf(stderr, "replay: %s\n", sentence);
    exit(1);
}

static int64_t *take(int64_t words) {
    require(words >= 0 && words <= end - next, "the input ends within a call");
    int64_t *at = next;
    next += words;
    return at;
}

static int64_t *take_bytes(int64_t bytes) { return take((bytes + 7) / 8); }

static const int itemsize[] = {
#define X(suffix, ctype, name) sizeof(ctype),
    NN_DTYPES(X)
#undef X
};

static void read_array(nn_array *array) {
    array->dtype = (int)*take(1);
    if (array->dtype < 0) return;
    array->itemsize = itemsize[array->dtype];
    array->ndim = (int)*take(1);
    array->shape = (const intptr_t *)take(array->ndim);
    array->stride = (const intptr_t *)take(array->ndim);
    const int64_t bytes = *take(1);
    array->data = take_bytes(bytes);
}

static void run_call(void) {
    const nn_kernel_info *info = nn_info((int)*take(1));
    const int dtype = (int)*take(1);
    require(info && nn_table(dtype), "no such kernel");
    int64_t args[256] = {0};
    require(info->size <= sizeof args, "the argument block is larger than expected");
    nn_array arrays[NN_MAX_FIELDS] = {0};
    void *lists[NN_MAX_FIELDS][MAX_LIST];
    bool has_lists = false;
    for (int i = 0; i < info->count; i++) {
        const nn_field *f = &info->fields[i];
        void *field = (char *)args + f->offset;
        if (f->kind == NN_FIELD_ARRAY || f->kind == NN_FIELD_VIEW) {
            read_array(&arrays[i]);
        } else if (f->kind == NN_FIELD_LIST) {
            const int64_t count = *take(1);
            require(count <= MAX_LIST, "a long list");
            for (int64_t j = 0; j < count; j++) {
                const int64_t bytes = *take(1);
                lists[i][j] = take_bytes(bytes);
            }
            if (count >= 0) *(void ***)field = lists[i];
            has_lists = true;
        } else if (f->kind == NN_FIELD_SIZES) {
            const int64_t count = *take(1);
            *(int64_t **)field = take(count);
        } else {
            *(int64_t *)field = *take(1);
        }
    }
    nn_shape leading;
    nn_error error;
    if (!has_lists) {
        require(nn_check_inputs(info, arrays, args, &leading, &error), error.message);
        for (int i = 0; i < info->count; i++)
            if ((info->fields[i].flags & NN_INOUT) == NN_OUT && arrays[i].data)
                require(nn_check_output(info, i, &arrays[i], args, &leading, &error), error.message);
    }
    require(nn_run(nn_table(dtype)->fn[info - nn_info(0)], args, info->work(args)), "no scratch memory");
}

int main(void) {
    int64_t words = 0, room = 1 << 20;
    int64_t *all = malloc((size_t)room * sizeof *all);
    while (all) {
        words += (int64_t)fread(all + words, sizeof *all, (size_t)(room - words), stdin);
        if (words < room) break;
        all = realloc(all, (size_t)(room *= 2) * sizeof *all);
    }
    require(all, "no memory");
    require(nn_init(NULL), "no ISA");
    nn_parallel_init(2);
    for (next = all, end = all + words; next < end;) run_call();
    require(fwrite(all, sizeof *all, (size_t)words, stdout) == (size_t)words, "the output cannot be written");
    return 0;
}
