"""Memory for the arrays of a book: aligned to cache lines, with huge pages for large arrays.

A book of a million orders is accessed at random. With pages of 4 KiB each access also misses the
TLB; with pages of 2 MiB few do. Small arrays come from the C library. So do all arrays if
FASTBOOK_PLAIN_MEMORY is defined, because AddressSanitizer only knows the bounds of those.
"""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #if !defined(FASTBOOK_PLAIN_MEMORY) && (defined(__unix__) || defined(__APPLE__))
    #include <sys/mman.h>
    #endif

    #define MEMORY_LINE ((size_t)64)
    #define MEMORY_HUGE ((size_t)1 << 21)

    #if !defined(FASTBOOK_PLAIN_MEMORY) && defined(MADV_HUGEPAGE) && defined(MAP_ANONYMOUS)
    static int memory_is_mapped(size_t size) { return size >= 2 * MEMORY_HUGE; }

    static size_t memory_whole(size_t size) {
        return (size + MEMORY_HUGE - 1) & ~(MEMORY_HUGE - 1);
    }

    /* Whole huge pages, aligned to their size: maps one more and unmaps the ends. */
    static void* memory_map(size_t size) {
        size_t whole = memory_whole(size), before;
        char* found;
        if (whole < size || whole + MEMORY_HUGE < whole) return NULL;
        found = (char*)mmap(NULL, whole + MEMORY_HUGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (found == (char*)MAP_FAILED) return NULL;
        before = memory_whole((size_t)found) - (size_t)found;
        if (before != 0) munmap(found, before);
        if (before != MEMORY_HUGE) munmap(found + before + whole, MEMORY_HUGE - before);
        madvise(found + before, whole, MADV_HUGEPAGE);
        return found + before;
    }

    static void memory_unmap(void* memory, size_t size) { munmap(memory, memory_whole(size)); }
    #else
    static int memory_is_mapped(size_t size) { (void)size; return 0; }
    static void* memory_map(size_t size) { (void)size; return NULL; }
    static void memory_unmap(void* memory, size_t size) { (void)memory; (void)size; }
    #endif

    static void* memory_take(size_t size) {
        void* memory;
        if (memory_is_mapped(size)) return memory_map(size);
        return posix_memalign(&memory, MEMORY_LINE, size) == 0 ? memory : NULL;
    }

    static void memory_free(void* memory, size_t size) {
        if (memory != NULL && memory_is_mapped(size)) memory_unmap(memory, size);
        else free(memory);
    }

    static void* memory_zeroed(size_t size) {
        void* memory = memory_take(size);
        if (memory != NULL && !memory_is_mapped(size)) memset(memory, 0, size);
        return memory;
    }

    static void* memory_grow(void* memory, size_t size, size_t new_size) {
        void* moved = memory_take(new_size);
        if (moved == NULL) return NULL;
        if (size != 0) memcpy(moved, memory, size);
        memory_free(memory, size);
        return moved;
    }
    """
    # All return NULL if out of memory; `memory_free` takes the size that was requested.
    void* memory_take(size_t size) noexcept nogil
    void* memory_zeroed(size_t size) noexcept nogil
    void memory_free(void* memory, size_t size) noexcept nogil
    # Enlarges `memory` of `size` bytes (both 0 at first), perhaps moving it; NULL leaves it as is.
    void* memory_grow(void* memory, size_t size, size_t new_size) noexcept nogil


# Hints: the likely outcome of a branch (compiler), a cache line needed soon (processor).
cdef extern from *:
    """
    #define hint_likely(x) __builtin_expect(!!(x), 1)
    #define hint_unlikely(x) __builtin_expect(!!(x), 0)

    /* The empty asm counts as a side effect. Without one, GCC takes a function that only prefetches
       for one that does nothing, and removes the calls. */
    static inline __attribute__((always_inline)) void hint_load(const void* address) {
        __builtin_prefetch(address, 0, 3);
        __asm__ volatile("");
    }

    static inline __attribute__((always_inline)) void hint_store(const void* address) {
        __builtin_prefetch(address, 1, 3);
        __asm__ volatile("");
    }
    """
    bint hint_likely(bint holds) noexcept nogil
    bint hint_unlikely(bint holds) noexcept nogil
    # Safe with any address.
    void hint_load(const void* address) noexcept nogil
    void hint_store(const void* address) noexcept nogil


# The bits of a word that is not 0.
cdef extern from *:
    int count_trailing_zeros "__builtin_ctz"(uint32_t word) noexcept nogil
    int count_trailing_zeros64 "__builtin_ctzll"(uint64_t word) noexcept nogil
    int count_leading_zeros "__builtin_clzll"(uint64_t word) noexcept nogil
