/* Checks: shapes, sizes and values, before any kernel runs.
 *
 * nn_check_inputs matches arrays with the shapes that kernels.def gives them; the functions at the end check what
 * shapes cannot say. A kernel may rely on all of it. Every product of sizes is checked for overflow.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

/* ---- sentences ---- */
__attribute__((format(printf, 2, 3))) static bool fail(nn_error *error, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(error->message, sizeof error->message, format, list);
    va_end(list);
    return false;
}

typedef struct {
    char text[128];
    size_t length;
} text;

__attribute__((format(printf, 2, 3))) static void add(text *t, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const size_t room = sizeof t->text - t->length;
    const int n = vsnprintf(t->text + t->length, room, format, list);
    va_end(list);
    t->length = n < 0 ? t->length : (size_t)n < room ? t->length + (size_t)n : sizeof t->text - 1;
}

static text shape_text(int ndim, const intptr_t *shape) {
    text t = {"", 0};
    add(&t, "(");
    for (int i = 0; i < ndim; i++) add(&t, i ? ", %" PRIdPTR : "%" PRIdPTR, shape[i]);
    add(&t, ndim == 1 ? ",)" : ")");
    return t;
}

static int64_t *size_at(void *args, const nn_kernel_info *info, int field) {
    return (int64_t *)((char *)args + info->fields[field].offset);
}
static int64_t size_in(const void *args, const nn_kernel_info *info, int field) {
    return *(const int64_t *)((const char *)args + info->fields[field].offset);
}
static bool is_bound(const nn_shape *s, int field) { return s->bound >> field & 1; }

/* What the row wants: known sizes as numbers, the others by name. */
static text wanted_text(const nn_kernel_info *info, const nn_field *f, const void *args, const nn_shape *leading) {
    text t = {"", 0};
    int items = 0;
    add(&t, "(");
    if (f->leading >= 0) {
        if (leading->has_leading)
            for (int i = 0; i < leading->ndim; i++) add(&t, items++ ? ", %" PRId64 : "%" PRId64, leading->shape[i]);
        else
            add(&t, "%s...", items++ ? ", " : "");
    }
    for (int i = 0; i < f->ndim; i++) {
        add(&t, "%s", items++ ? ", " : "");
        if (is_bound(leading, f->dims[i]))
            add(&t, "%" PRId64, size_in(args, info, f->dims[i]));
        else
            add(&t, "%s", info->fields[f->dims[i]].name);
    }
    add(&t, items == 1 ? ",)" : ")");
    return t;
}

static bool wrong_shape(const nn_kernel_info *info, const nn_field *f, const nn_array *array, const void *args,
                        const nn_shape *leading, nn_error *error) {
    const text got = shape_text(array->ndim, array->shape), wanted = wanted_text(info, f, args, leading);
    return fail(error, "argument '%s' has shape %s, expected %s", f->name, got.text, wanted.text);
}

/* ---- matching ---- */
static bool product(int ndim, const int64_t *shape, int64_t *result) {
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < ndim; i++) zero |= shape[i] == 0;
    for (int i = 0; i < ndim && !zero; i++)
        if (__builtin_mul_overflow(n, shape[i], &n) || n > NN_MAX_COUNT) return false;
    *result = zero ? 0 : n;
    return true;
}

static bool match_named(const nn_kernel_info *info, const nn_field *f, const nn_array *array, void *args,
                        nn_shape *leading) {
    const int first = array->ndim - f->ndim;
    for (int i = 0; i < f->ndim; i++) {
        const int size = f->dims[i];
        if (!is_bound(leading, size)) {
            *size_at(args, info, size) = array->shape[first + i];
            leading->bound |= UINT64_C(1) << size;
        } else if (*size_at(args, info, size) != array->shape[first + i]) {
            return false;
        }
    }
    return true;
}

static bool match_leading(const nn_field *f, const nn_array *array, nn_shape *leading) {
    const int ndim = array->ndim - f->ndim;
    if (leading->has_leading) {
        if (ndim != leading->ndim) return false;
        for (int i = 0; i < ndim; i++)
            if (array->shape[i] != leading->shape[i]) return false;
    } else {
        leading->has_leading = true;
        leading->ndim = ndim;
        for (int i = 0; i < ndim; i++) leading->shape[i] = array->shape[i];
    }
    return true;
}

/* NumPy's broadcasting: align at the end; 1 stretches. */
static bool broadcast_leading(const nn_field *f, const nn_array *array, nn_shape *leading) {
    const int ndim = array->ndim - f->ndim;
    if (!leading->has_leading) return match_leading(f, array, leading);
    if (ndim > leading->ndim) {
        const int more = ndim - leading->ndim;
        memmove(leading->shape + more, leading->shape, (size_t)leading->ndim * sizeof *leading->shape);
        for (int i = 0; i < more; i++) leading->shape[i] = 1;
        leading->ndim = ndim;
    }
    for (int i = 0; i < ndim; i++) {
        int64_t *size = &leading->shape[leading->ndim - ndim + i];
        if (*size == 1)
            *size = array->shape[i];
        else if (array->shape[i] != 1 && array->shape[i] != *size)
            return false;
    }
    return true;
}

static bool fill_view(const nn_kernel_info *info, const nn_field *f, const nn_array *array, void *args,
                      const nn_shape *leading) {
    nn_view *view = (nn_view *)((char *)args + f->offset);
    const int lead = f->leading >= 0 ? leading->ndim : 0, own = array->ndim - f->ndim;
    view->data = array->data;
    view->dtype = array->dtype;
    view->ndim = lead + f->ndim;
    if (own > lead) return false;
    for (int i = 0; i < lead; i++) {
        const int at = i - (lead - own);
        const bool stretched = at < 0 || (array->shape[at] == 1 && leading->shape[i] != 1);
        if (!stretched && array->shape[at] != leading->shape[i]) return false;
        view->shape[i] = leading->shape[i];
        view->stride[i] = stretched ? 0 : array->stride[at] / array->itemsize;
    }
    for (int i = 0; i < f->ndim; i++) {
        view->shape[lead + i] = size_in(args, info, f->dims[i]);
        view->stride[lead + i] = array->stride[own + i] / array->itemsize;
    }
    return true;
}

static bool is_input(const nn_field *f) { return f->flags & NN_IN; }

bool nn_check_inputs(const nn_kernel_info *info, const nn_array *arrays, void *args, nn_shape *leading,
                     nn_error *error) {
    memset(leading, 0, sizeof *leading);
    for (int i = 0; i < info->count; i++)
        if (info->fields[i].kind == NN_FIELD_COUNT) {
            leading->bound |= UINT64_C(1) << i;
            if (size_in(args, info, i) < 0 || size_in(args, info, i) > NN_MAX_COUNT)
                return fail(error, "argument '%s' is %" PRId64 ", expected a size between 0 and 2**48",
                            info->fields[i].name, size_in(args, info, i));
        }

    int lead_field = -1;
    for (int pass = 0; pass < 2; pass++) { /* dense arrays say what the sizes are; views are then stretched to them */
        for (int i = 0; i < info->count; i++) {
            const nn_field *f = &info->fields[i];
            if (!is_input(f) || f->kind != (pass == 0 ? NN_FIELD_ARRAY : NN_FIELD_VIEW) || !arrays[i].data) continue;
            const bool wrong_ndim = f->leading >= 0 ? arrays[i].ndim < f->ndim : arrays[i].ndim != f->ndim;
            if (wrong_ndim || !match_named(info, f, &arrays[i], args, leading))
                return wrong_shape(info, f, &arrays[i], args, leading, error);
            if (f->leading < 0) continue;
            const bool dense_leads = lead_field >= 0 && info->fields[lead_field].kind == NN_FIELD_ARRAY;
            lead_field = lead_field < 0 ? i : lead_field;
            if (pass == 0 || dense_leads ? pass == 0 && !match_leading(f, &arrays[i], leading)
                                         : !broadcast_leading(f, &arrays[i], leading))
                return wrong_shape(info, f, &arrays[i], args, leading, error);
        }
    }
    if (lead_field >= 0) {
        const int size = info->fields[lead_field].leading;
        if (!product(leading->ndim, leading->shape, size_at(args, info, size)))
            return fail(error, "argument '%s' has more than 2**48 elements", info->fields[lead_field].name);
        leading->bound |= UINT64_C(1) << size;
    }

    for (int i = 0; i < info->count; i++) {
        const nn_field *f = &info->fields[i];
        if (!is_input(f) || !arrays[i].data) continue;
        if (f->kind == NN_FIELD_ARRAY)
            *(void **)((char *)args + f->offset) = arrays[i].data;
        else if (f->kind == NN_FIELD_VIEW && !fill_view(info, f, &arrays[i], args, leading))
            return wrong_shape(info, f, &arrays[i], args, leading, error);
    }
    if (!info->check) return true;
    if (!info->check(args, error)) return false;
    for (int i = 0; i < info->count; i++) /* a check sets the sizes that follow from others */
        if (info->fields[i].kind == NN_FIELD_SIZE) leading->bound |= UINT64_C(1) << i;
    return true;
}

int nn_output_shape(const nn_kernel_info *info, int field, const void *args, const nn_shape *leading, int64_t *shape) {
    const nn_field *f = &info->fields[field];
    int ndim = 0;
    if (f->leading >= 0) {
        if (!leading->has_leading) return -1;
        for (; ndim < leading->ndim; ndim++) shape[ndim] = leading->shape[ndim];
    }
    for (int i = 0; i < f->ndim; i++, ndim++) {
        if (ndim == NN_MAX_DIM || !is_bound(leading, f->dims[i])) return -1;
        shape[ndim] = size_in(args, info, f->dims[i]);
    }
    int64_t n;
    return product(ndim, shape, &n) ? ndim : -1;
}

bool nn_check_output(const nn_kernel_info *info, int field, const nn_array *array, void *args, const nn_shape *leading,
                     nn_error *error) {
    const nn_field *f = &info->fields[field];
    nn_shape s = *leading; /* an output may be the only one to know a size: random_uniform's n */
    const int lead_ndim = array->ndim - f->ndim;
    if (lead_ndim < 0 || (f->leading < 0 && lead_ndim != 0) || !match_named(info, f, array, args, &s) ||
        (f->leading >= 0 && !match_leading(f, array, &s)))
        return wrong_shape(info, f, array, args, leading, error);
    if (f->leading >= 0 && !product(s.ndim, s.shape, size_at(args, info, f->leading)))
        return fail(error, "argument '%s' has more than 2**48 elements", f->name);
    if (f->kind == NN_FIELD_VIEW)
        return fill_view(info, f, array, args, &s) || wrong_shape(info, f, array, args, leading, error);
    *(void **)((char *)args + f->offset) = array->data;
    return true;
}

/* ---- the check column ---- */
static bool check_something(int64_t outer, int64_t n, int64_t inner, nn_error *error) {
    if (n == 0 && outer > 0 && inner > 0)
        return fail(error,
                    "argument 'x' has shape (%" PRId64 ", 0, %" PRId64 "), expected at least one element to reduce",
                    outer, inner);
    return true;
}

bool nn_check_along(void *args, nn_error *error) {
    const nn_max_along_args *a = args;
    _Static_assert(offsetof(nn_max_along_args, inner) == offsetof(nn_min_along_args, inner), "one check for both");
    return check_something(a->outer, a->n, a->inner, error);
}

bool nn_check_reduce(void *args, nn_error *error) {
    const nn_max_args *a = args;
#define SAME_FIELDS(other)                                                                                             \
    _Static_assert(offsetof(nn_max_args, inner) == offsetof(other, inner), "one check for all reductions")
    SAME_FIELDS(nn_min_args);
    SAME_FIELDS(nn_argmax_args);
    SAME_FIELDS(nn_argmin_args);
#undef SAME_FIELDS
    return check_something(a->outer, a->n, a->inner, error);
}

static bool check_range(const char *name, const int64_t *index, int64_t n, int64_t limit, const int64_t *ignored,
                        nn_error *error) {
    for (int64_t i = 0; i < n; i++)
        if ((uint64_t)index[i] >= (uint64_t)limit && !(ignored && index[i] == *ignored))
            return fail(error,
                        "argument '%s' holds %" PRId64 " at position %" PRId64 ", expected 0 <= index < %" PRId64, name,
                        index[i], i, limit);
    return true;
}

bool nn_check_gather_rows(void *args, nn_error *error) {
    const nn_gather_rows_args *a = args;
    return check_range("index", a->index, a->n, a->rows, NULL, error);
}

bool nn_check_scatter_add_rows(void *args, nn_error *error) {
    const nn_scatter_add_rows_args *a = args;
    return check_range("index", a->index, a->n, a->rows, NULL, error);
}

bool nn_check_combine_rows(void *args, nn_error *error) {
    const nn_combine_rows_args *a = args;
    return check_range("index", a->index, a->terms, a->n, NULL, error) &&
           check_range("ends", a->ends, a->rows, a->terms + 1, NULL, error);
}

bool nn_check_gather_along(void *args, nn_error *error) {
    const nn_gather_along_args *a = args;
    return check_range("index", a->index, a->outer * a->m * a->inner, a->n, NULL, error);
}

bool nn_check_scatter_along(void *args, nn_error *error) {
    const nn_scatter_along_args *a = args;
    return check_range("index", a->index, a->outer * a->m * a->inner, a->n, NULL, error);
}

static bool check_unit_interval(const char *name, double value, nn_error *error) {
    if (!(value >= 0 && value <= 1))
        return fail(error, "argument '%s' is %g, expected 0 <= %s <= 1", name, value, name);
    return true;
}

bool nn_check_cross_entropy_forward(void *args, nn_error *error) {
    const nn_cross_entropy_forward_args *a = args;
    return check_unit_interval("label_smoothing", a->label_smoothing, error) &&
           check_range("target", a->target, a->rows, a->cols, &a->ignore_index, error);
}

bool nn_check_cross_entropy_backward(void *args, nn_error *error) {
    const nn_cross_entropy_backward_args *a = args;
    return check_unit_interval("label_smoothing", a->label_smoothing, error) &&
           check_range("target", a->target, a->rows, a->cols, &a->ignore_index, error);
}

bool nn_check_nll_loss_forward(void *args, nn_error *error) {
    const nn_nll_loss_forward_args *a = args;
    return check_range("target", a->target, a->rows, a->cols, &a->ignore_index, error);
}

bool nn_check_nll_loss_backward(void *args, nn_error *error) {
    const nn_nll_loss_backward_args *a = args;
    return check_range("target", a->target, a->rows, a->cols, &a->ignore_index, error);
}

bool nn_check_dropout(void *args, nn_error *error) {
    return check_unit_interval("p", ((nn_dropout_args *)args)->p, error);
}

static bool check_attention(int64_t heads, int64_t kv_heads, double p, nn_error *error) {
    if (kv_heads == 0 ? heads != 0 : heads % kv_heads)
        return fail(error, "argument 'k' has %" PRId64 " heads, expected a divisor of the %" PRId64 " heads of 'q'",
                    kv_heads, heads);
    return check_unit_interval("p", p, error);
}

bool nn_check_attention_forward(void *args, nn_error *error) {
    const nn_attention_forward_args *a = args;
    return check_attention(a->heads, a->kv_heads, a->p, error);
}

bool nn_check_attention_backward(void *args, nn_error *error) {
    const nn_attention_backward_args *a = args;
    return check_attention(a->heads, a->kv_heads, a->p, error);
}

static bool check_activation(int64_t activation, nn_error *error) {
    if (activation < 0 || activation >= NN_ACT_COUNT)
        return fail(error, "argument 'activation' is %" PRId64 ", expected 0 to %d", activation, NN_ACT_COUNT - 1);
    return true;
}

bool nn_check_linear_forward(void *args, nn_error *error) {
    return check_activation(((nn_linear_forward_args *)args)->activation, error);
}

bool nn_check_batch_norm_forward(void *args, nn_error *error) {
    const nn_batch_norm_forward_args *a = args;
    if (a->rows < 2 && a->C > 0)
        return fail(error, "argument 'x' has %" PRId64 " value per channel, expected more than 1 when training",
                    a->rows);
    return true;
}

/* ---- windows: convolution and pooling ---- */
#define PARAMETER_LIMIT (INT64_C(1) << 31)

static bool check_parameter(const char *name, int64_t value, int64_t least, nn_error *error) {
    if (value < least || value > PARAMETER_LIMIT)
        return fail(error, "argument '%s' is %" PRId64 ", expected %" PRId64 " to 2**31", name, value, least);
    return true;
}

static bool check_window(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, nn_error *error) {
    return check_parameter("kernel_size", kernel, 1, error) && check_parameter("stride", stride, 1, error) &&
           check_parameter("padding", padding, 0, error) && check_parameter("dilation", dilation, 1, error);
}

/* positions = (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down, or up if `ceil`: then the last
 * window may stick out, but begins before the padding behind. */
static bool window_positions(const char *axis, int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                             int64_t dilation, int64_t ceil, int64_t *positions, nn_error *error) {
    if (!check_window(kernel, stride, padding, dilation, error)) return false;
    int64_t extent; /* the only product that can pass 2**63 */
    const int64_t most = size + 2 * padding + (ceil ? stride - 1 : 0);
    if (__builtin_mul_overflow(dilation, kernel - 1, &extent) || extent + 1 > most || (ceil && size == 0))
        return fail(error,
                    "argument 'x' has %s %" PRId64 ", with padding %" PRId64 ", smaller than the kernel of %" PRId64
                    " (dilation %" PRId64 ")",
                    axis, size, size + 2 * padding, kernel, dilation);
    *positions = (most - extent - 1) / stride + 1;
    if (ceil && (*positions - 1) * stride >= size + padding) *positions -= 1;
    return true;
}

static bool check_channels(int64_t O, int64_t I, int64_t KH, int64_t KW, int64_t C, int64_t groups, nn_error *error) {
    if (!check_parameter("groups", groups, 1, error)) return false;
    if (C % groups)
        return fail(error, "argument 'groups' is %" PRId64 ", expected a divisor of the %" PRId64 " input channels",
                    groups, C);
    if (O % groups)
        return fail(error, "argument 'groups' is %" PRId64 ", expected a divisor of the %" PRId64 " output channels",
                    groups, O);
    if (I != C / groups)
        return fail(error,
                    "argument 'weight' has shape (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                    "), expected %" PRId64 " input channels (groups=%" PRId64 "), got %" PRId64,
                    O, I, KH, KW, C / groups, groups, I);
    return true;
}

bool nn_check_conv2d_forward(void *args, nn_error *error) {
    nn_conv2d_forward_args *a = args;
    return check_channels(a->O, a->I, a->KH, a->KW, a->C, a->groups, error) &&
           window_positions("height", a->H, a->KH, a->stride_h, a->padding_h, a->dilation_h, 0, &a->OH, error) &&
           window_positions("width", a->W, a->KW, a->stride_w, a->padding_w, a->dilation_w, 0, &a->OW, error) &&
           check_activation(a->activation, error);
}

/* dy must have the shape that the forward pass gave. */
static bool check_gradient(int64_t OH, int64_t OW, int64_t got_h, int64_t got_w, nn_error *error) {
    if (OH != got_h || OW != got_w)
        return fail(
            error, "argument 'dy' has height and width (%" PRId64 ", %" PRId64 "), expected (%" PRId64 ", %" PRId64 ")",
            got_h, got_w, OH, OW);
    return true;
}

bool nn_check_conv2d_backward(void *args, nn_error *error) {
    const nn_conv2d_backward_args *a = args;
    int64_t OH = 0, OW = 0;
    return check_channels(a->O, a->I, a->KH, a->KW, a->C, a->groups, error) &&
           window_positions("height", a->H, a->KH, a->stride_h, a->padding_h, a->dilation_h, 0, &OH, error) &&
           window_positions("width", a->W, a->KW, a->stride_w, a->padding_w, a->dilation_w, 0, &OW, error) &&
           check_gradient(OH, OW, a->OH, a->OW, error);
}

/* size = (count - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1: of the image that a convolution
 * with these windows makes `count` outputs of */
static bool image_size(const char *axis, int64_t count, int64_t kernel, int64_t stride, int64_t padding,
                       int64_t output_padding, int64_t dilation, int64_t *size, nn_error *error) {
    if (!check_window(kernel, stride, padding, dilation, error)) return false;
    if (output_padding < 0 || (output_padding >= stride && output_padding >= dilation))
        return fail(error,
                    "argument 'output_padding' is %" PRId64 ", expected less than stride %" PRId64
                    " or dilation %" PRId64,
                    output_padding, stride, dilation);
    int64_t extent, steps;
    if (__builtin_mul_overflow(dilation, kernel - 1, &extent) || __builtin_mul_overflow(count - 1, stride, &steps) ||
        __builtin_add_overflow(extent, steps, size))
        return fail(error, "argument 'x' has %s %" PRId64 ", which gives an image of more than 2**63", axis, count);
    *size += output_padding + 1 - 2 * padding;
    if (count < 1 || *size < 1)
        return fail(error, "argument 'x' has %s %" PRId64 ", which gives an image of %s %" PRId64, axis, count, axis,
                    *size);
    return true;
}

bool nn_check_conv_transpose2d_forward(void *args, nn_error *error) {
    nn_conv_transpose2d_forward_args *a = args;
    if (!check_parameter("groups", a->groups, 1, error)) return false;
    if (a->O % a->groups)
        return fail(error, "argument 'groups' is %" PRId64 ", expected a divisor of the %" PRId64 " input channels",
                    a->groups, a->O);
    a->C = a->I * a->groups;
    return image_size("height", a->H, a->KH, a->stride_h, a->padding_h, a->output_padding_h, a->dilation_h, &a->OH,
                      error) &&
           image_size("width", a->W, a->KW, a->stride_w, a->padding_w, a->output_padding_w, a->dilation_w, &a->OW,
                      error);
}

static bool check_pool_window(int64_t kernel_h, int64_t kernel_w, int64_t padding_h, int64_t padding_w,
                              nn_error *error) {
    if (padding_h > kernel_h / 2 || padding_w > kernel_w / 2)
        return fail(error,
                    "argument 'padding' is (%" PRId64 ", %" PRId64 "), expected at most half of kernel_size (%" PRId64
                    ", %" PRId64 ")",
                    padding_h, padding_w, kernel_h, kernel_w);
    if (kernel_h > INT32_MAX / kernel_w) /* max_pool2d numbers them */
        return fail(error, "argument 'kernel_size' is (%" PRId64 ", %" PRId64 "), expected less than 2**31 positions",
                    kernel_h, kernel_w);
    return true;
}

bool nn_check_max_pool2d_forward(void *args, nn_error *error) {
    nn_max_pool2d_forward_args *a = args;
    return window_positions("height", a->H, a->kernel_h, a->stride_h, a->padding_h, a->dilation_h, a->ceil_mode, &a->OH,
                            error) &&
           window_positions("width", a->W, a->kernel_w, a->stride_w, a->padding_w, a->dilation_w, a->ceil_mode, &a->OW,
                            error) &&
           check_pool_window(a->kernel_h, a->kernel_w, a->padding_h, a->padding_w, error);
}

bool nn_check_max_pool2d_backward(void *args, nn_error *error) {
    const nn_max_pool2d_backward_args *a = args;
    int64_t OH = 0, OW = 0; /* index needs no check: the kernel compares it, it never addresses memory with it */
    return window_positions("height", a->H, a->kernel_h, a->stride_h, a->padding_h, a->dilation_h, a->ceil_mode, &OH,
                            error) &&
           window_positions("width", a->W, a->kernel_w, a->stride_w, a->padding_w, a->dilation_w, a->ceil_mode, &OW,
                            error) &&
           check_pool_window(a->kernel_h, a->kernel_w, a->padding_h, a->padding_w, error) &&
           check_gradient(OH, OW, a->OH, a->OW, error);
}

bool nn_check_avg_pool2d_forward(void *args, nn_error *error) {
    nn_avg_pool2d_forward_args *a = args;
    return window_positions("height", a->H, a->kernel_h, a->stride_h, a->padding_h, 1, a->ceil_mode, &a->OH, error) &&
           window_positions("width", a->W, a->kernel_w, a->stride_w, a->padding_w, 1, a->ceil_mode, &a->OW, error) &&
           check_pool_window(a->kernel_h, a->kernel_w, a->padding_h, a->padding_w, error);
}

bool nn_check_avg_pool2d_backward(void *args, nn_error *error) {
    const nn_avg_pool2d_backward_args *a = args;
    int64_t OH = 0, OW = 0;
    return window_positions("height", a->H, a->kernel_h, a->stride_h, a->padding_h, 1, a->ceil_mode, &OH, error) &&
           window_positions("width", a->W, a->kernel_w, a->stride_w, a->padding_w, 1, a->ceil_mode, &OW, error) &&
           check_pool_window(a->kernel_h, a->kernel_w, a->padding_h, a->padding_w, error) &&
           check_gradient(OH, OW, a->OH, a->OW, error);
}

/* ---- recurrent layers ---- */
/* Steps of a block: as many as make a chunk of inner indices for the gradients of the weights. */
static int64_t block_steps(int64_t seq, int64_t batch) {
    const int64_t steps = batch < 1 ? 256 : batch > 256 ? 1 : 256 / batch;
    return steps < seq ? steps : seq > 0 ? seq : 1;
}

static bool check_gates(int64_t rows, int64_t gates, int64_t H, nn_error *error) {
    if (rows != gates * H)
        return fail(error,
                    "argument 'weight_hh' has shape (%" PRId64 ", %" PRId64 "), expected %" PRId64
                    " H rows, H = %" PRId64,
                    rows, H, gates, H);
    return true;
}

static bool check_lengths(const int64_t *lengths, int64_t batch, int64_t seq, nn_error *error) {
    for (int64_t b = 0; lengths && b < batch; b++)
        if (lengths[b] < 0 || lengths[b] > seq)
            return fail(error, "argument 'lengths' holds %" PRId64 " at position %" PRId64 ", expected 0 to %" PRId64,
                        lengths[b], b, seq);
    return true;
}

/* Those whose derivative is a function of the output. */
static bool check_rnn_activation(int64_t activation, nn_error *error) {
    if (activation < NN_ACT_NONE || activation > NN_ACT_TANH)
        return fail(error, "argument 'activation' is %" PRId64 ", expected %d to %d", activation, NN_ACT_NONE,
                    NN_ACT_TANH);
    return true;
}

/* The recurrent weight is packed where many rows use it, more than once. */
static bool reads_often(int64_t seq, int64_t batch) { return batch > 3 && seq > 1; }

bool nn_check_rnn_forward(void *args, nn_error *error) {
    nn_rnn_forward_args *a = args;
    a->steps = block_steps(a->seq, a->batch);
    a->packed = reads_often(a->seq, a->batch) ? nn_panels_size(a->H, a->H) : 0;
    return check_lengths(a->lengths, a->batch, a->seq, error) && check_rnn_activation(a->activation, error);
}

bool nn_check_rnn_backward(void *args, nn_error *error) {
    nn_rnn_backward_args *a = args;
    a->steps = block_steps(a->seq, a->batch);
    a->packed = nn_panels_size(a->H, a->H);
    return check_lengths(a->lengths, a->batch, a->seq, error) && check_rnn_activation(a->activation, error);
}

bool nn_check_lstm_forward(void *args, nn_error *error) {
    nn_lstm_forward_args *a = args;
    a->steps = block_steps(a->seq, a->batch);
    a->packed = reads_often(a->seq, a->batch) ? nn_panels_size(a->H, a->H4) : 0;
    return check_gates(a->H4, 4, a->H, error) && check_lengths(a->lengths, a->batch, a->seq, error);
}

bool nn_check_lstm_backward(void *args, nn_error *error) {
    nn_lstm_backward_args *a = args;
    a->steps = block_steps(a->seq, a->batch);
    a->packed = nn_panels_size(a->H4, a->H);
    return check_gates(a->H4, 4, a->H, error) && check_lengths(a->lengths, a->batch, a->seq, error);
}

bool nn_check_gru_forward(void *args, nn_error *error) {
    nn_gru_forward_args *a = args;
    a->steps = block_steps(a->seq, a->batch);
    a->packed = reads_often(a->seq, a->batch) ? nn_panels_size(a->H, 2 * a->H) + nn_panels_size(a->H, a->H) : 0;
    return check_gates(a->H3, 3, a->H, error) && check_lengths(a->lengths, a->batch, a->seq, error);
}

bool nn_check_gru_backward(void *args, nn_error *error) {
    nn_gru_backward_args *a = args;
    a->steps = block_steps(a->seq, a->batch);
    a->packed = nn_panels_size(a->H3, a->H);
    return check_gates(a->H3, 3, a->H, error) && check_lengths(a->lengths, a->batch, a->seq, error);
}
