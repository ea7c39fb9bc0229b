"""The compiled core: tensors, the tape, and the door to the C kernels."""
