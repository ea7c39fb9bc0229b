/* Put the kernels of this ISA and dtype into a table, over what is there. */
#include "cpu.h"

void NN_FN(register)(nn_kernels *table);

#define ISA_TEXT_(isa) #isa
#define ISA_TEXT(isa) ISA_TEXT_(isa)

#define ROW(name)                                                                                                      \
    table->fn[NN_KERNEL_##name] = NN_FN(name);                                                                         \
    table->isa[NN_KERNEL_##name] = ISA_TEXT(NN_ISA);
#define ROW_ANY(name) ROW(name)
#if NN_IS_FLOAT
#define ROW_FLOAT(name) ROW(name)
#else
#define ROW_FLOAT(name)
#endif

void NN_FN(register)(nn_kernels *table) {
#define NN_KERNEL(types, name, check, work, doc, ...) ROW_##types(name)
#include "../kernels.def"
}
