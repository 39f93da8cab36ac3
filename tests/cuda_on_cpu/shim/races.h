// Finds data races, in the mode "races" (part of runtime.cpp).
//
// `g++ -fsanitize=thread` puts a call before every access to memory (__tsan_read4(address), ...). ThreadSanitizer's own library would
// answer them; here the answer is this file, which knows what orders CUDA threads: barriers, warp collectives, the end of a launch.
// Of every byte it keeps who wrote it last and two who read it since. Two accesses of one byte by different threads, one of them a
// write and not both atomic, are a race unless one of these lies between them:
//   - a barrier of their block (each barrier begins a new epoch),
//   - collectives that join their lanes, directly or through others (`clock` and `seen`),
//   - for threads of different blocks: a __threadfence() and then an atomic in the first block, and an atomic in the second.
#pragma once

namespace races {
#ifndef SIM_RACES
static void new_launch() {}
static void new_block() {}
static void barrier() {}
static void joined(int, unsigned) {}
}
EXPORT void sim_access(const void*, int, Access) {}
EXPORT void sim_fence() {}
#else
}
#include <dlfcn.h>

#include <unordered_map>
#include <vector>

namespace races {

struct Mark {  // of one access
    uint32_t epoch, clock;
    uint64_t place : 48, thread : 15, atomic : 1;
};
struct Cell {  // of one byte of memory
    Mark write, reads[2];
};
static const size_t PAGE = 1024;
static const size_t MOST_PAGES = 8192;
static std::unordered_map<uintptr_t, Cell*> pages;
static uintptr_t last_page;
static Cell* last_cells;

static uint32_t epoch = 1, block_epoch, launch_epoch;  // the present one, and those in which the block and the launch began
static uint32_t clocks[MOST_THREADS], seen[MOST_THREADS][32];  // seen[t][l]: t comes after what lane l of its warp did up to that clock
struct Block {
    uint32_t epoch;  // its first
    bool fenced, published, observed;
    uint3 index;
};
static std::vector<Block> blocks;  // of this launch, in the order in which they ran

static void new_launch() {
    launch_epoch = ++epoch;
    blocks.clear();
    if (pages.size() > MOST_PAGES) {
        for (auto& page : pages) free(page.second);
        pages.clear();
        last_cells = nullptr;
    }
}
static void new_block() {
    block_epoch = ++epoch;
    blocks.push_back({epoch, false, false, false, blockIdx});
}
static void barrier() { ++epoch; }
static void joined(int first, unsigned mask) {
    uint32_t all[32] = {};
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) {
            for (int j = 0; j < 32; j++) all[j] = all[j] > seen[first + i][j] ? all[j] : seen[first + i][j];
            all[i] = clocks[first + i];
        }
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) {
            memcpy(seen[first + i], all, sizeof all);
            clocks[first + i]++;
        }
}

static Cell& cell(uintptr_t address) {
    const uintptr_t page = address / PAGE;
    if (page != last_page || !last_cells) {
        Cell*& cells = pages[page];
        if (!cells) cells = (Cell*)calloc(PAGE, sizeof(Cell));
        last_page = page, last_cells = cells;
    }
    return last_cells[address % PAGE];
}
static bool is_in(uintptr_t address, const uint64_t* ranges, int count) {
    for (int i = 0; i < count; i++)
        if (address - ranges[2 * i] < ranges[2 * i + 1]) return true;
    return false;
}
static bool is_shared(uintptr_t address) {
    if (is_in(address, launch.shared, launch.shared_count)) return true;
    return address - (uintptr_t)sim_dynamic_shared < sizeof sim_dynamic_shared;
}
static const Block& block_of(uint32_t of_epoch) {
    size_t i = blocks.size() - 1;
    while (blocks[i].epoch > of_epoch) i--;
    return blocks[i];
}
// Whether the access that left the mark comes before whatever the thread does now.
static bool comes_before(const Mark& mark, int thread, uintptr_t address) {
    if (mark.epoch < launch_epoch) return true;
    if (mark.epoch < block_epoch) return is_shared(address) || is_in(address, launch.guards, launch.guard_count) ||
                                              (block_of(mark.epoch).published && blocks.back().observed);
    if (mark.epoch < epoch || (int)mark.thread == thread || is_in(address, launch.guards, launch.guard_count)) return true;
    return (int)mark.thread / 32 == thread / 32 && seen[thread][mark.thread % 32] >= mark.clock;
}

static void append_source(uint64_t address) {  // simulator.py makes lines of these
    Dl_info info;
    if (dladdr((void*)address, &info) && info.dli_fname) append("@%s+0x%lx", info.dli_fname, (unsigned long)(address - (uint64_t)info.dli_fbase));
    else append("an unknown place");
}
[[noreturn]] static void report(const Mark& first, const char* did, const char* does, uint64_t place, uintptr_t address) {
    message[0] = 0;
    append_block();
    append(" ");
    append_thread(current->index);
    append(": race: %s at ", does);
    append_source(place);
    append(" %s memory that ", is_shared(address) ? "shared" : "global");
    if (first.epoch < block_epoch) {
        const uint3 b = block_of(first.epoch).index;
        append("block (%u,%u,%u) ", b.x, b.y, b.z);
    }
    append_thread(fibers[first.thread].index);
    append(" %s at ", did);
    append_source(first.place);
    append(", and nothing orders the two");
    end_launch();
}

static void access(const void* start, size_t bytes, Access kind, const void* from) {
    const uintptr_t first = (uintptr_t)start;
    if (!current || first - (uintptr_t)stacks < STACK * MOST_THREADS) return;  // a thread's own
    const int thread = (int)(current - fibers);
    const uint64_t place = (uint64_t)from;
    Mark mark{epoch, clocks[thread], 0, 0, 0};
    mark.place = place, mark.thread = thread, mark.atomic = kind == ACCESS_ATOMIC;
    for (uintptr_t address = first; address < first + bytes; address++) {
        Cell& c = cell(address);
        if (c.write.epoch && !(c.write.atomic && mark.atomic) && !comes_before(c.write, thread, address))
            report(c.write, c.write.atomic ? "changed atomically" : "wrote", kind == ACCESS_READ ? "reads" : "writes", place, address);
        if (kind == ACCESS_READ) {  // kept: the last reader, and one that is another thread
            if (c.reads[0].thread != mark.thread || c.reads[0].epoch != epoch) c.reads[1] = c.reads[0];
            c.reads[0] = mark;
            continue;
        }
        for (const Mark& read : c.reads)
            if (read.epoch && !comes_before(read, thread, address)) report(read, "read", "writes", place, address);
        c.write = mark;
    }
}

}
EXPORT void sim_access(const void* address, int bytes, Access kind) {
    races::access(address, bytes, kind, __builtin_return_address(0));
    if (kind != ACCESS_ATOMIC || !current) return;
    races::blocks.back().observed = true;
    races::blocks.back().published |= races::blocks.back().fenced;
}
EXPORT void sim_fence() { races::blocks.back().fenced = true; }

// What -fsanitize=thread calls.
#define ANSWER(name, bytes, kind) \
    EXPORT void name(void* address) { races::access(address, bytes, kind, __builtin_return_address(0)); }
#define ANSWERS(bytes) \
    ANSWER(__tsan_read##bytes, bytes, ACCESS_READ) \
    ANSWER(__tsan_write##bytes, bytes, ACCESS_WRITE) \
    ANSWER(__tsan_volatile_read##bytes, bytes, ACCESS_READ) \
    ANSWER(__tsan_volatile_write##bytes, bytes, ACCESS_WRITE) \
    ANSWER(__tsan_unaligned_read##bytes, bytes, ACCESS_READ) \
    ANSWER(__tsan_unaligned_write##bytes, bytes, ACCESS_WRITE)
ANSWERS(1)
ANSWERS(2)
ANSWERS(4)
ANSWERS(8)
ANSWERS(16)
EXPORT void __tsan_read_range(void* address, unsigned long bytes) { races::access(address, bytes, ACCESS_READ, __builtin_return_address(0)); }
EXPORT void __tsan_write_range(void* address, unsigned long bytes) { races::access(address, bytes, ACCESS_WRITE, __builtin_return_address(0)); }
EXPORT char __tsan_atomic8_load(const volatile char* address, int) { return __atomic_load_n(address, __ATOMIC_ACQUIRE); }  // of a static's guard
EXPORT void __tsan_init() {}
EXPORT void __tsan_func_entry(void*) {}
EXPORT void __tsan_func_exit() {}
EXPORT void __tsan_vptr_update(void**, void*) {}
EXPORT void __tsan_vptr_read(void**) {}
#endif
