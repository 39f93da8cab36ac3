// What the library gives to Python of each kernel: a function that calls it by an array of addresses of arguments (as
// cuLaunchKernel takes them), the types of its parameters, and its address (by which its shared arrays are found).
#pragma once

template <class... A, size_t... I> void sim_call_with(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*(std::remove_cv_t<A>*)arguments[I]...);
}
template <class... A> void sim_call(void (*kernel)(A...), void** arguments) {
    sim_call_with(kernel, arguments, std::index_sequence_for<A...>{});
}

// "Pf4" is float*, "i4" int, "u8" unsigned long long, "b1" bool, "s2" a struct of two bytes such as __half. Returns the length.
template <class T> int sim_describe(char* out) {
    if constexpr (std::is_pointer_v<T>) {
        *out = 'P';
        return 1 + sim_describe<std::remove_cv_t<std::remove_pointer_t<T>>>(out + 1);
    } else if constexpr (std::is_void_v<T>) {
        return sprintf(out, "v0 ");
    } else {
        const char kind = std::is_floating_point_v<T> ? 'f' : !std::is_integral_v<T> ? 's' : std::is_same_v<T, bool> ? 'b'
                        : std::is_signed_v<T> ? 'i' : 'u';
        return sprintf(out, "%c%zu ", kind, sizeof(T));
    }
}
template <class... A> const char* sim_signature(void (*)(A...)) {
    static char text[2048];
    char* end = text;
    *end = 0;
    ((end += sim_describe<A>(end)), ...);
    return text;
}

#define SIM_EXPORT(symbol, ...) \
    extern "C" __attribute__((visibility("default"))) void sim_call_##symbol(void** arguments) { sim_call(&__VA_ARGS__, arguments); } \
    extern "C" __attribute__((visibility("default"))) const char* sim_signature_##symbol() { return sim_signature(&__VA_ARGS__); } \
    extern "C" __attribute__((visibility("default"))) void* sim_address_##symbol() { return (void*)&__VA_ARGS__; }
