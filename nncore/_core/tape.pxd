cpdef bint is_grad_enabled() noexcept
