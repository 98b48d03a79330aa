// The kernel of udm: decode metadata of every draft backend in one launch.
//
// SPDX-License-Identifier: Apache-2.0
//
// The contract is in include/udm.h. This file includes nothing: it is compiled
// by NVRTC on the user's machine, and by the tests for the host CPU.
//
// Grid: the first page_table_blocks write the page tables, the length_blocks() after
// them the lengths and their prefix sums. The columns that are live at run time are
// cut into units: each block counts the units of all rows for itself, and each warp
// finds the row of a unit by search. So no block waits for another, the cost follows
// the live columns alone, and the grid depends on the launch's arguments alone: a
// recorded launch stays right whatever the lengths are when it is replayed.

namespace {

typedef long long int64;

constexpr int kThreads = 256;         // and in runtime/kernel_interface.h
constexpr int kMaxLengthBlocks = 32;  // and in runtime/kernel_interface.h
constexpr int kBlocks = 2;            // of a multiprocessor at a time
constexpr unsigned kUnit = 128;       // positions: see Layout; and in runtime/kernel_interface.h
constexpr unsigned kUnits = 4;        // a warp has at most so many units in flight
constexpr int kMaxBackends = 8;
constexpr int kWarps = kThreads / 32;
constexpr unsigned kInt32Max = 0x7fffffff;
constexpr unsigned kWholeWarp = 0xffffffffu;

// udm_backend_outputs of include/udm.h, in the order of the contract.
enum Output {
  kCacheSeqlens = 0,
  kCuSeqlensK = 1,
  kPageTable1 = 2,
  kNsaCacheSeqlens = 3,
  kNsaCuSeqlensK = 4,
  kRealPageTable = 5,
  kSeqlensExpanded = 6,
  kOutputs = 7,
};

// Also in runtime/kernel_interface.h.
enum Flag {
  kSeqLensInt64 = 1,
  kReqPoolIndicesInt64 = 2,
  kExtentBatchMax = 4,
  kPages = 8,     // a real_page_table is written
  kSlots = 16,    // a page_table_1 is written
  kVectors = 32,  // a 16-byte boundary of one page_table_1 is one of all
};
// The flags from here up: the element of its 128-byte line at which the first page_table_1 begins.
constexpr int kAnchorShift = 8;

struct Arguments {
  const void *seq_lens;
  const void *req_pool_indices;
  const int *req_to_token;
  int batch_size;
  unsigned flags;
  int max_len;
  int page_table_blocks;
  int64 req_to_token_stride;
  int64 page_table_stride;
  int64 real_page_table_stride;
  int real_page_size;
  unsigned page_reciprocal;  // of real_page_size: see Divider
  int nsa_index_topk;
  int num_backends;
};

__device__ unsigned lane_index() { return threadIdx.x % 32; }

__device__ unsigned address_in_elements(const int *pointer) {
  return static_cast<unsigned>(reinterpret_cast<unsigned long long>(pointer) / 4);
}

// The first lane that says yes; one does.
__device__ int first_lane(bool yes) { return __ffs(__ballot_sync(kWholeWarp, yes)) - 1; }

// The pointers of up to 3 backends: kernel arguments, indexed by constants only, so
// that they stay in the constant bank. Those past num_backends are null.
struct DirectOutputs {
  int *pointers[3][kOutputs];

  __device__ void load() {}
  __device__ int *get(int backend, Output output) const { return pointers[backend][output]; }
  __device__ unsigned layout_flags(const Arguments &args) const { return args.flags; }

  template <class Body>
  __device__ void for_each(Body body) const {
#pragma unroll
    for (int b = 0; b < 3; ++b) body(b);
  }
  // the tensors of one output that are not null
  template <class Body>
  __device__ void for_each_tensor(Output output, Body body) const {
    for_each([&](int b) {
      if (pointers[b][output]) body(pointers[b][output]);
    });
  }
  // the warps share the backends out: here the first warp takes all, so that indices are constant
  template <class Body>
  __device__ void for_each_of_warp(unsigned warp, Body body) const {
    if (warp == 0) for_each(body);
  }
};

struct Backends {
  int *pointers[kMaxBackends][kOutputs];
};

// The pointers of up to 8 backends, those of one in each lane: of a table in device
// memory where there is one, else of `backends`. To be used by whole warps alone.
struct LaneOutputs {
  const int64 *table;
  int64 table_stride;
  const Backends &backends;
  int count;
  int *mine[kOutputs];

  __device__ void load() {
    const int lane = static_cast<int>(lane_index());
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      mine[o] = nullptr;
      if (lane >= count) continue;
      mine[o] = table ? reinterpret_cast<int *>(table[o * table_stride + lane])
                      : backends.pointers[lane][o];
    }
  }
  __device__ int *get(int backend, Output output) const {
    const unsigned long long address = reinterpret_cast<unsigned long long>(mine[output]);
    return reinterpret_cast<int *>(__shfl_sync(kWholeWarp, address, backend));
  }

  template <class Body>
  __device__ void for_each(Body body) const {
#pragma unroll 1
    for (int b = 0; b < count; ++b) body(b);
  }
  template <class Body>
  __device__ void for_each_tensor(Output output, Body body) const {
    int *next = get(0, output);
#pragma unroll 1
    for (int b = 1; b <= count; ++b) {
      int *const tensor = next;
      next = get(b, output);  // on its way while the present one is stored to
      if (tensor) body(tensor);
    }
  }
  template <class Body>
  __device__ void for_each_of_warp(unsigned warp, Body body) const {
    if (static_cast<int>(warp) < count) body(static_cast<int>(warp));
  }
  // What the host works out for DirectOutputs: page_table_1_flags() of runtime/launch.c.
  __device__ unsigned layout_flags(const Arguments &args) const {
    const unsigned element = address_in_elements(mine[kPageTable1]);
    const unsigned some = __ballot_sync(kWholeWarp, mine[kPageTable1] != nullptr);
    if (!some || args.page_table_stride <= 0) return args.flags;
    const unsigned anchor = __shfl_sync(kWholeWarp, element, __ffs(some) - 1);
    const bool misaligned = mine[kPageTable1] && (element - anchor) % 4 != 0;
    const unsigned vectors = __ballot_sync(kWholeWarp, misaligned) ? 0 : kVectors;
    return args.flags | kSlots | vectors | anchor % 32 << kAnchorShift;
  }
};

// An int32 or int64 as it lies in memory. Loading and making sense of it are two
// steps, so that other work can stand between them.
struct Words {
  unsigned low;
  int high;  // the sign's word: of an int32 the same one

  __device__ void load(const void *integers, bool wide, unsigned i) {
    const unsigned *words = static_cast<const unsigned *>(integers);
    words += static_cast<int64>(i) << wide;
    low = words[0];
    high = static_cast<int>(words[wide]);
  }
  __device__ int64 value(bool wide) const {
    const int upper = wide ? high : high >> 31;
    return static_cast<int64>(static_cast<unsigned long long>(upper) << 32 | low);
  }
  __device__ int clamped(bool wide) const {  // to what an int32 holds, and to 0
    if (high < 0) return 0;
    if (wide && high > 0) return static_cast<int>(kInt32Max);
    return low > kInt32Max ? static_cast<int>(kInt32Max) : static_cast<int>(low);
  }
};

__device__ bool has_wide_lengths(const Arguments &args) { return args.flags & kSeqLensInt64; }
__device__ bool has_wide_indices(const Arguments &args) {
  return args.flags & kReqPoolIndicesInt64;
}

__device__ int load_length(const Arguments &args, unsigned row) {
  Words words;
  words.load(args.seq_lens, has_wide_lengths(args), row);
  return words.clamped(has_wide_lengths(args));
}

__device__ int min_int(int a, int b) { return a < b ? a : b; }
__device__ unsigned min_unsigned(unsigned a, unsigned b) { return a < b ? a : b; }

// Over the first kLanes lanes; the others add to none of them.
template <int kLanes = 32>
__device__ unsigned warp_inclusive_scan(unsigned value) {
#pragma unroll
  for (int delta = 1; delta < kLanes; delta *= 2) {
    const unsigned below = __shfl_up_sync(kWholeWarp, value, delta);
    if (static_cast<int>(lane_index()) >= delta) value += below;
  }
  return value;
}

// Division by a number known only at run time: one multiplication and a correction.
struct Divider {
  unsigned divisor;
  unsigned reciprocal;  // rounded down, so a quotient is right or one too small
  __device__ unsigned divide(unsigned n) const {
    const unsigned quotient = __umulhi(n, reciprocal);
    return quotient + (n - quotient * divisor >= divisor);
  }
  __device__ unsigned divide_up(unsigned n) const { return divide(n + divisor - 1); }
  // C's division, towards 0
  __device__ int divide_slot(int slot) const {
    const unsigned sign = slot < 0 ? ~0u : 0u;
    return static_cast<int>((divide((static_cast<unsigned>(slot) ^ sign) - sign) ^ sign) - sign);
  }
};

// ---- lengths and prefix sums ----

// Two running sums side by side. Unsigned: the contract's sums wrap.
struct Sums {
  unsigned k;
  unsigned nsa;
};

// Inclusive scan over the block; *total receives the sum of all threads.
__device__ Sums block_inclusive_scan(Sums value, Sums *total) {
  __shared__ Sums warp_totals[kWarps];
  const unsigned warp = threadIdx.x / 32;
  value = {warp_inclusive_scan(value.k), warp_inclusive_scan(value.nsa)};
  if (lane_index() == 31) warp_totals[warp] = value;
  __syncthreads();
  const Sums other = warp_totals[lane_index() % kWarps];
  const Sums ends = {warp_inclusive_scan<kWarps>(other.k), warp_inclusive_scan<kWarps>(other.nsa)};
  *total = {__shfl_sync(kWholeWarp, ends.k, kWarps - 1),
            __shfl_sync(kWholeWarp, ends.nsa, kWarps - 1)};
  value.k += __shfl_sync(kWholeWarp, ends.k - other.k, warp);
  value.nsa += __shfl_sync(kWholeWarp, ends.nsa - other.nsa, warp);
  __syncthreads();  // the next scan reuses warp_totals
  return value;
}

// What row i of the batch writes to a backend. A thread without a row calls it, too:
// LaneOutputs::get() takes the whole warp.
template <class Outputs>
__device__ void store_lengths(const Arguments &args, const Outputs &outputs, int b, unsigned i,
                              bool has_row, int length, Sums sums) {
  int *const cache_seqlens = outputs.get(b, kCacheSeqlens);
  int *const cu_seqlens_k = outputs.get(b, kCuSeqlensK);
  int *const nsa_cache_seqlens = outputs.get(b, kNsaCacheSeqlens);
  int *const nsa_cu_seqlens_k = outputs.get(b, kNsaCuSeqlensK);
  int *const seqlens_expanded = outputs.get(b, kSeqlensExpanded);
  if (!cu_seqlens_k || !has_row) return;
  cache_seqlens[i] = length;
  seqlens_expanded[i] = length;
  nsa_cache_seqlens[i] = min_int(length, args.nsa_index_topk);
  cu_seqlens_k[i + 1] = static_cast<int>(sums.k);
  nsa_cu_seqlens_k[i + 1] = static_cast<int>(sums.nsa);
}

template <class Outputs>
__device__ void store_zeros(const Outputs &outputs, int b, bool is_writer) {
  int *const cu_seqlens_k = outputs.get(b, kCuSeqlensK);
  int *const nsa_cu_seqlens_k = outputs.get(b, kNsaCuSeqlensK);
  if (!cu_seqlens_k || !is_writer) return;
  cu_seqlens_k[0] = 0;
  nsa_cu_seqlens_k[0] = 0;
}

__device__ Sums length_sums(const Arguments &args, int length) {
  return {static_cast<unsigned>(length),
          static_cast<unsigned>(min_int(length, args.nsa_index_topk))};
}

// Up to 32 rows, all in one warp: no barrier.
template <class Outputs>
__device__ void write_few_lengths(const Arguments &args, Outputs &outputs) {
  const bool wide = has_wide_lengths(args);
  const unsigned i = lane_index();
  const bool has_row = i < static_cast<unsigned>(args.batch_size);
  Words words = {0, 0};
  if (has_row) words.load(args.seq_lens, wide, i);
  outputs.load();
  const int length = words.clamped(wide);
  Sums sums = length_sums(args, length);
  sums = {warp_inclusive_scan(sums.k), warp_inclusive_scan(sums.nsa)};
  outputs.for_each_of_warp(threadIdx.x / 32, [&](int b) {
    store_zeros(outputs, b, i == 0);
    store_lengths(args, outputs, b, i, has_row, length, sums);
  });
}

// Rows [first, last) of the batch. What lies before them is summed again, not waited for.
template <class Outputs>
__device__ void write_lengths(const Arguments &args, Outputs &outputs, unsigned first,
                              unsigned last) {
  Sums before = {0, 0};
  outputs.load();
  if (first == 0) {
    outputs.for_each([&](int b) { store_zeros(outputs, b, threadIdx.x == kThreads - 1); });
  }
  if (first > 0) {
    Sums mine = {0, 0};
#pragma unroll 8
    for (unsigned i = threadIdx.x; i < first; i += kThreads) {
      const Sums one = length_sums(args, load_length(args, i));
      mine.k += one.k;
      mine.nsa += one.nsa;
    }
    block_inclusive_scan(mine, &before);
  }
#pragma unroll 1
  for (; first < last; first += kThreads) {
    const unsigned i = first + threadIdx.x;
    const int length = i < last ? load_length(args, i) : 0;
    Sums total;
    Sums sums = block_inclusive_scan(length_sums(args, length), &total);
    sums.k += before.k;
    sums.nsa += before.nsa;
    before.k += total.k;
    before.nsa += total.nsa;
    outputs.for_each([&](int b) { store_lengths(args, outputs, b, i, i < last, length, sums); });
  }
}

// ---- page tables ----

// How the live columns are cut into units. A position is a column counted from
// the 128-byte boundary at or before the row's first element in the first
// page_table_1, so that a warp stores whole lines; where no page_table_1 is
// written, it is a page. A unit is kUnit positions of one row.
struct Layout {
  unsigned flags;
  unsigned line_mask;  // 31 where rows begin anywhere in a line, 0 where all begin at position 0
  Divider page_size;
  Divider position_size;  // columns of a position

  __device__ bool has(Flag flag) const { return flags & flag; }
  __device__ unsigned anchor() const { return flags >> kAnchorShift; }
};

template <class Outputs>
__device__ Layout make_layout(const Arguments &args, const Outputs &outputs) {
  Layout layout;
  layout.flags = outputs.layout_flags(args);
  layout.page_size = {static_cast<unsigned>(args.real_page_size), args.page_reciprocal};
  const bool slots = layout.has(kSlots);
  layout.line_mask = slots ? 31 : 0;
  layout.position_size = {slots ? 1 : layout.page_size.divisor,
                          slots ? ~0u : layout.page_size.reciprocal};
  return layout;
}

// One row of the batch.
struct Row {
  unsigned number;
  unsigned first;      // the position of column 0
  unsigned end;        // and that after the last live column; 0 where none is live
  const int *columns;  // of req_to_token
};

// A row of no live column may have any index.
__device__ const int *row_columns(const Arguments &args, const Row &row, const Words &index) {
  const int64 req_pool_index = row.end > 0 ? index.value(has_wide_indices(args)) : 0;
  return args.req_to_token + req_pool_index * args.req_to_token_stride;
}

// longest: the extent of every row for kExtentBatchMax; otherwise -1
__device__ int extent_of(const Arguments &args, int longest, int length) {
  return longest >= 0 ? longest : min_int(length, args.max_len);
}

__device__ unsigned first_position(const Arguments &args, const Layout &layout, unsigned row) {
  return (layout.anchor() + row * static_cast<unsigned>(args.page_table_stride)) & layout.line_mask;
}

__device__ unsigned end_position(const Layout &layout, unsigned first, int extent) {
  const unsigned end = first + layout.position_size.divide_up(static_cast<unsigned>(extent));
  return extent > 0 ? end : 0;
}

__device__ unsigned units_of(unsigned end) { return (end + kUnit - 1) / kUnit; }

// kExtentBatchMax: the longest of all rows. Every block reads all lengths: the price
// of a launch in which no block waits.
__device__ int longest_extent(const Arguments &args) {
  __shared__ int warp_max[kWarps];
  int longest = 0;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < static_cast<unsigned>(args.batch_size); i += kThreads) {
    const int extent = min_int(load_length(args, i), args.max_len);
    longest = extent > longest ? extent : longest;
  }
#pragma unroll
  for (int delta = 16; delta > 0; delta /= 2) {
    const int other = __shfl_down_sync(kWholeWarp, longest, delta);
    longest = other > longest ? other : longest;
  }
  if (lane_index() == 0) warp_max[threadIdx.x / 32] = longest;
  __syncthreads();
  longest = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) longest = warp_max[w] > longest ? warp_max[w] : longest;
  return longest;
}

// 32 rows, one a lane, and where the lane's units end in the batch. The units
// follow each other row by row, but the rows in any order.
struct Chunk {
  Row row;
  unsigned units;
  unsigned ends;
  unsigned begin;  // the first unit of the first row
  unsigned end;    // the unit after the last row

  __device__ void count(unsigned units_of_lane) {
    units = units_of_lane;
    ends = begin + warp_inclusive_scan(units);
    end = __shfl_sync(kWholeWarp, ends, 31);
  }
};

// Where the units of the batch lie. The rows are dealt to the threads in turn: the
// list of thread t is the rows t, t + kThreads, ...
struct Directory {
  int longest;
  unsigned units;  // of the lists of the warp whose number is the lane's
  unsigned ends;
  const unsigned *list_ends;  // shared memory: counted from the first list of its warp
  const Row *rows;            // shared memory: the first of each list
};

// Brings the chunk that holds unit `at`: the rows of a warp where each thread has one at most,
// else 32 rows of a list, which is walked from its beginning.
__device__ void find_chunk(const Arguments &args, const Layout &layout, const Directory &directory,
                           unsigned at, Chunk *chunk) {
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  const unsigned lane = lane_index();
  const int warp = first_lane(directory.ends > at);
  chunk->begin = __shfl_sync(kWholeWarp, directory.ends - directory.units, warp);
  const unsigned ends = directory.list_ends[warp * 32 + lane];
  if (batch_size <= kThreads) {
    const unsigned before = __shfl_up_sync(kWholeWarp, ends, 1);
    chunk->row = directory.rows[warp * 32 + lane];
    chunk->units = ends - (lane > 0 ? before : 0);
    chunk->ends = chunk->begin + ends;
    chunk->end = __shfl_sync(kWholeWarp, chunk->ends, 31);
    return;
  }
  const int list = first_lane(chunk->begin + ends > at);
  if (list > 0) chunk->begin += __shfl_sync(kWholeWarp, ends, list - 1);
  chunk->row.number = warp * 32 + list + lane * kThreads;
#pragma unroll 1
  while (true) {
    unsigned units = 0;
    if (chunk->row.number < batch_size) {
      Words index;
      index.load(args.req_pool_indices, has_wide_indices(args), chunk->row.number);
      const int length = load_length(args, chunk->row.number);
      chunk->row.first = first_position(args, layout, chunk->row.number);
      chunk->row.end =
          end_position(layout, chunk->row.first, extent_of(args, directory.longest, length));
      chunk->row.columns = row_columns(args, chunk->row, index);
      units = units_of(chunk->row.end);
    }
    chunk->count(units);
    if (chunk->end > at) return;
    chunk->begin = chunk->end;
    chunk->row.number += 32 * kThreads;
  }
}

// The units of the thread's list but for its first row.
__device__ unsigned count_list(const Arguments &args, const Layout &layout, int longest) {
  const bool wide = has_wide_lengths(args);
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  unsigned units = 0;
  constexpr unsigned kAtOnce = 8;
#pragma unroll 1
  for (unsigned row = threadIdx.x + kThreads; row < batch_size; row += kAtOnce * kThreads) {
    Words lengths[kAtOnce];
#pragma unroll
    for (unsigned v = 0; v < kAtOnce; ++v) {
      lengths[v].load(args.seq_lens, wide, min_unsigned(row + v * kThreads, batch_size - 1));
    }
#pragma unroll
    for (unsigned v = 0; v < kAtOnce; ++v) {
      const int extent = extent_of(args, longest, lengths[v].clamped(wide));
      const unsigned first = first_position(args, layout, row + v * kThreads);
      const unsigned some = units_of(end_position(layout, first, extent));
      if (row + v * kThreads < batch_size) units += some;
    }
  }
  return units;
}

// What a warp copies at a time: positions [begin, end) of a row, at most kUnits units.
struct Piece {
  unsigned row;
  const int *columns;
  unsigned first;
  unsigned begin;
  unsigned end;
};

// Whole units of vectors. All loads are in flight before the first store, here and below.
template <unsigned kCount, class Outputs>
__device__ void copy_vectors(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  const unsigned column = piece.begin - piece.first + lane_index() * 4;
  const int4 *from = reinterpret_cast<const int4 *>(piece.columns + column);
  int4 slots[kCount];
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) slots[v] = __ldg(from + v * 32);
  const int64 offset = piece.row * args.page_table_stride + column;
  outputs.for_each_tensor(kPageTable1, [&](int *table) {
    int4 *to = reinterpret_cast<int4 *>(table + offset);
    // NVCC makes four stores of some plain ones
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) __stwb(to + v * 32, slots[v]);
  });
}

// Any positions of up to kCount / 4 units, an element at a time.
template <unsigned kCount, class Outputs>
__device__ void copy_elements(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  const unsigned before = piece.begin < piece.first ? piece.first - piece.begin : 0;
  const unsigned count = piece.end - piece.begin - before;
  const unsigned mine = lane_index() - before;
  const int column = static_cast<int>(piece.begin + lane_index() - piece.first);
  const int *from = piece.columns + column;
  int slots[kCount];
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if (mine + v * 32 < count) slots[v] = __ldg(from + v * 32);
  }
  const int64 offset = piece.row * args.page_table_stride + column;
  outputs.for_each_tensor(kPageTable1, [&](int *table) {
    int *to = table + offset;
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (mine + v * 32 < count) to[v * 32] = slots[v];
    }
  });
}

template <class Outputs>
__device__ void copy_slots(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           const Piece &piece) {
  const unsigned size = piece.end - piece.begin;
  const unsigned misaligned = (address_in_elements(piece.columns) - piece.first) % 4;
  if (!layout.has(kVectors) || misaligned || piece.begin < piece.first || size % kUnit) {
    if (size <= kUnit) {
      copy_elements<kUnit / 32>(args, outputs, piece);
    } else {
      copy_elements<kUnits * kUnit / 32>(args, outputs, piece);
    }
  } else if (size == kUnit) {
    copy_vectors<1>(args, outputs, piece);
  } else if (size == 2 * kUnit) {
    copy_vectors<2>(args, outputs, piece);
  } else if (size == 3 * kUnit) {
    copy_vectors<3>(args, outputs, piece);
  } else {
    copy_vectors<kUnits>(args, outputs, piece);
  }
}

// The pages [begin, end) of a row whose first slots are in a piece, one a lane. The
// first 32 are loaded before the piece is stored.
struct Pages {
  unsigned begin;
  unsigned end;
  int slot;  // the first of the lane's page

  __device__ bool has_page() const { return begin + lane_index() < end; }
  __device__ void load(const Layout &layout, const Piece &piece) {
    const unsigned page = begin + lane_index();
    if (has_page()) slot = __ldg(piece.columns + page * layout.page_size.divisor);
  }
};

__device__ Pages load_pages(const Layout &layout, const Piece &piece) {
  Pages pages = {piece.begin, piece.end, 0};
  if (layout.has(kSlots)) {
    const unsigned column = piece.begin < piece.first ? 0 : piece.begin - piece.first;
    pages.begin = layout.page_size.divide_up(column);
    pages.end = layout.page_size.divide_up(piece.end - piece.first);
  }
  if (!layout.has(kPages)) pages.end = 0;
  pages.load(layout, piece);
  return pages;
}

template <class Outputs>
__device__ void store_pages(const Arguments &args, const Outputs &outputs, const Layout &layout,
                            const Piece &piece, Pages pages) {
  const int64 row = piece.row * args.real_page_table_stride;
#pragma unroll 1
  while (pages.begin < pages.end) {
    const int slot = layout.page_size.divide_slot(pages.slot);
    const int64 offset = row + pages.begin + lane_index();
    const bool has_page = pages.has_page();
    pages.begin += 32;
    pages.load(layout, piece);
    outputs.for_each_tensor(kRealPageTable, [&](int *table) {
      if (has_page) table[offset] = slot;
    });
  }
}

// The runs of units that a block copies: the blocks have them in turn, and of a block's
// each warp takes the next one when it is done, as memory is not equally near to all.
struct Runs {
  unsigned total;   // units of the batch
  unsigned length;  // units of a run
  unsigned block;
  unsigned blocks;
  unsigned *taken;  // shared memory: how many of the block's are; null where there is one a warp
  unsigned at;      // the next unit of the present run
  unsigned end;

  __device__ void take(unsigned run) {
    at = min_unsigned((run * blocks + block) * length, total);
    end = min_unsigned(at + length, total);
  }
  __device__ void take_next() {
    unsigned run = 0;
    if (lane_index() == 0) run = atomicAdd(taken, 1u);
    take(__shfl_sync(kWholeWarp, run, 0));
  }
};

// The next piece of the run.
__device__ Piece find_piece(const Arguments &args, const Layout &layout, const Directory &directory,
                            Chunk *chunk, Runs *runs) {
  const unsigned at = runs->at;
  if (at < chunk->begin || at >= chunk->end) find_chunk(args, layout, directory, at, chunk);
  const int k = first_lane(chunk->ends > at);
  const unsigned row_end = __shfl_sync(kWholeWarp, chunk->ends, k);
  const unsigned unit = at - row_end + __shfl_sync(kWholeWarp, chunk->units, k);
  const unsigned end = __shfl_sync(kWholeWarp, chunk->row.end, k);
  Piece piece;
  piece.row = __shfl_sync(kWholeWarp, chunk->row.number, k);
  piece.columns = reinterpret_cast<const int *>(
      __shfl_sync(kWholeWarp, reinterpret_cast<unsigned long long>(chunk->row.columns), k));
  piece.first = __shfl_sync(kWholeWarp, chunk->row.first, k);
  piece.begin = unit * kUnit;
  const unsigned units = min_unsigned(min_unsigned(runs->end, row_end) - at, kUnits);
  piece.end = min_unsigned((unit + units) * kUnit, end);
  runs->at = at + units;
  return piece;
}

template <class Outputs>
__device__ void copy_runs(const Arguments &args, const Outputs &outputs, const Layout &layout,
                          const Directory &directory, Runs runs, Chunk chunk) {
#pragma unroll 1
  while (runs.at < runs.total) {
    const Piece piece = find_piece(args, layout, directory, &chunk, &runs);
    const Pages pages = load_pages(layout, piece);
    if (layout.has(kSlots)) copy_slots(args, outputs, layout, piece);
    store_pages(args, outputs, layout, piece, pages);
    if (runs.at < runs.end) continue;
    if (!runs.taken) return;
    runs.take_next();
  }
}

// The thread's row of up to 32, which each warp has all of; or the first of its list.
// What does not depend on the length is done while that is on its way.
template <class Outputs>
__device__ Row first_row(const Arguments &args, Outputs &outputs, unsigned number, Layout *layout,
                         int *longest) {
  const unsigned readable = min_unsigned(number, static_cast<unsigned>(args.batch_size) - 1);
  Words length, index;
  length.load(args.seq_lens, has_wide_lengths(args), readable);
  index.load(args.req_pool_indices, has_wide_indices(args), readable);
  outputs.load();
  *layout = make_layout(args, outputs);
  Row row = {number, first_position(args, *layout, number), 0, nullptr};
  *longest = args.flags & kExtentBatchMax ? longest_extent(args) : -1;
  const int extent = extent_of(args, *longest, length.clamped(has_wide_lengths(args)));
  row.end = end_position(*layout, row.first, extent);
  row.columns = row_columns(args, row, index);
  return row;
}

template <class Outputs>
__device__ void write_page_tables(const Arguments &args, Outputs &outputs, unsigned block,
                                  unsigned blocks) {
  __shared__ unsigned list_ends[kThreads];
  __shared__ unsigned warp_units[kWarps];
  __shared__ Row rows[kThreads];
  __shared__ unsigned taken;
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  const unsigned warp = threadIdx.x / 32;
  const bool few = batch_size <= 32;
  Layout layout;
  Directory directory = {-1, 0, 0, list_ends, rows};
  Chunk chunk;
  chunk.row =
      first_row(args, outputs, few ? lane_index() : threadIdx.x, &layout, &directory.longest);
  unsigned units = chunk.row.number < batch_size ? units_of(chunk.row.end) : 0;
  if (batch_size > kThreads) units += count_list(args, layout, directory.longest);
  chunk.begin = 0;
  chunk.count(units);
  unsigned total = chunk.end;
  if (threadIdx.x == 0) taken = kWarps;
  if (!few) {
    rows[threadIdx.x] = chunk.row;
    list_ends[threadIdx.x] = chunk.ends;
    if (lane_index() == 31) warp_units[warp] = chunk.ends;
    __syncthreads();
    directory.units = warp_units[lane_index() % kWarps];
    directory.ends = warp_inclusive_scan<kWarps>(directory.units);
    total = __shfl_sync(kWholeWarp, directory.ends, kWarps - 1);
    chunk.end = 0;  // none yet
  }
  // short runs where there are few units, so that all warps have one
  const unsigned warps = blocks * kWarps;
  unsigned run = total > 2 * warps ? kUnits : total > warps ? 2 : 1;
  // long ones where rows are looked up
  if (batch_size > kThreads && total > 2 * kUnits * warps) run = total / (2 * warps);
  const bool is_one_a_warp = total <= run * warps;
  if (few && !is_one_a_warp) __syncthreads();  // for `taken`
  Runs runs = {total, run, block, blocks, is_one_a_warp ? nullptr : &taken, 0, 0};
  runs.take(warp);
  copy_runs(args, outputs, layout, directory, runs, chunk);
}

__device__ unsigned length_blocks(const Arguments &args) {
  const unsigned blocks = (static_cast<unsigned>(args.batch_size) + kThreads - 1) / kThreads;
  return blocks > kMaxLengthBlocks ? kMaxLengthBlocks : blocks > 0 ? blocks : 1;
}

template <class Outputs>
__device__ void decode_metadata(const Arguments &args, Outputs &outputs) {
  const unsigned copiers = static_cast<unsigned>(args.page_table_blocks);
  if (blockIdx.x < copiers) {
    write_page_tables(args, outputs, blockIdx.x, copiers);
    return;
  }
  const unsigned writers = length_blocks(args);
  if (args.batch_size <= 32) {
    write_few_lengths(args, outputs);
    return;
  }
  // whole chunks of kThreads rows for each block
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  const unsigned chunks = (batch_size + kThreads - 1) / kThreads;
  const unsigned rows = (chunks + writers - 1) / writers * kThreads;
  const unsigned first = min_unsigned((blockIdx.x - copiers) * rows, batch_size);
  write_lengths(args, outputs, first, min_unsigned(first + rows, batch_size));
}

}  // namespace

// The parameters common to both entries. runtime/launch.c packs them in this order.
#define UDM_INPUTS const void *seq_lens, const void *req_pool_indices, const int *req_to_token
#define UDM_SCALARS                                                                   \
  int batch_size, unsigned flags, int max_len, int page_table_blocks,                 \
      long long req_to_token_stride, long long page_table_stride,                     \
      long long real_page_table_stride, int real_page_size, unsigned page_reciprocal, \
      int nsa_index_topk, int num_backends
#define UDM_ARGUMENTS                                                                        \
  {                                                                                          \
    seq_lens, req_pool_indices, req_to_token, batch_size, flags, max_len, page_table_blocks, \
        req_to_token_stride, page_table_stride, real_page_table_stride, real_page_size,      \
        page_reciprocal, nsa_index_topk, num_backends                                        \
  }

#define UDM_BACKEND(b)                                                                 \
  int *cache_seqlens_##b, int *cu_seqlens_k_##b, int *page_table_1_##b,                \
      int *nsa_cache_seqlens_##b, int *nsa_cu_seqlens_k_##b, int *real_page_table_##b, \
      int *seqlens_expanded_##b
#define UDM_BACKEND_POINTERS(b)                                                   \
  {                                                                               \
    cache_seqlens_##b, cu_seqlens_k_##b, page_table_1_##b, nsa_cache_seqlens_##b, \
        nsa_cu_seqlens_k_##b, real_page_table_##b, seqlens_expanded_##b           \
  }

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_direct(UDM_INPUTS, UDM_SCALARS, UDM_BACKEND(0), UDM_BACKEND(1),
                               UDM_BACKEND(2)) {
  const Arguments args = UDM_ARGUMENTS;
  DirectOutputs outputs = {
      {UDM_BACKEND_POINTERS(0), UDM_BACKEND_POINTERS(1), UDM_BACKEND_POINTERS(2)}};
  decode_metadata(args, outputs);
}

// Of up to 8 backends: the pointers of the table where there is one, else those of `backends`.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_table(UDM_INPUTS, UDM_SCALARS, const long long *backend_pointers,
                              long long backend_pointers_stride, const Backends backends) {
  const Arguments args = UDM_ARGUMENTS;
  LaneOutputs outputs = {backend_pointers, backend_pointers_stride, backends, num_backends, {}};
  decode_metadata(args, outputs);
}
