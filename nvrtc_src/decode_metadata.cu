// The kernel of udm: decode metadata of every draft backend in one launch.
//
// SPDX-License-Identifier: Apache-2.0
//
// The contract is in include/udm.h. This file includes nothing: it is compiled
// by NVRTC on the user's machine, and by the tests for the host CPU.
//
// Four kernels, at the end of this file, do the same work. They differ in what they leave out:
// numbers of rows, numbers of backends, places where the outputs' pointers can be.
//
// Grid: the first page_table_blocks write the page tables, those after them the
// lengths and their prefix sums, each of rows_of_length_block(). The columns that are live at run
// time are cut into units. The first units of each row are dealt to the warps by the number of rows
// alone: a warp reads one length and copies. While these are stored, the units that remain of all
// rows are counted, by each warp or by each block, and each warp finds the row of a unit by search.
// So no block waits for another, the cost follows the live columns alone, and the grid depends on
// the launch's arguments alone: a recorded launch stays right whatever the lengths are when it is
// replayed.

namespace {

typedef long long int64;

constexpr int kThreads = 256;         // and in runtime/kernel_interface.h
constexpr int kMaxLengthBlocks = 32;  // and in runtime/kernel_interface.h
constexpr int kBlocks = 2;            // of a multiprocessor at a time
constexpr unsigned kUnit = 128;       // positions: see Layout; and in runtime/kernel_interface.h
constexpr unsigned kUnits = 4;        // a warp has at most so many units in flight
constexpr int kMaxBackends = 8;
constexpr unsigned kRowsOfWarp = 64;  // up to so many, each warp has the whole batch: two a lane
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
  unsigned batch_size;
  unsigned batch_reciprocal;  // of batch_size: see Divider
  unsigned head_pieces;       // of each row: see Heads
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

// The tensors of a backend that hold lengths and their sums. None where the first is null.
struct LengthTensors {
  int *cu_seqlens_k;
  int *nsa_cu_seqlens_k;
  int *cache_seqlens;
  int *nsa_cache_seqlens;
  int *seqlens_expanded;
};

template <class Outputs>
__device__ LengthTensors length_tensors(const Outputs &outputs, int backend) {
  return {outputs.get(backend, kCuSeqlensK), outputs.get(backend, kNsaCuSeqlensK),
          outputs.get(backend, kCacheSeqlens), outputs.get(backend, kNsaCacheSeqlens),
          outputs.get(backend, kSeqlensExpanded)};
}

constexpr int kGroup = 3;  // backends whose code is unrolled

// The batches a kernel is for: of up to kThreads rows, of more, of any. The code that only other
// batches need is left out of it, since code costs even when it is not run.
enum Rows { kFewRows, kManyRows, kAnyRows };

// The pointers of up to 3 backends: kernel arguments, indexed by constants only, so that they
// stay in the constant bank. Those past num_backends are null.
template <Rows kSomeRows>
struct DirectOutputs {
  static constexpr Rows kRows = kSomeRows;
  int *pointers[kOutputs][kGroup];

  __device__ void load() {}
  __device__ int *get(int backend, Output output) const { return pointers[output][backend]; }

  // the tensors of one output that are not null
  template <class Body>
  __device__ void for_each_tensor(Output output, Body body) const {
#pragma unroll
    for (int b = 0; b < kGroup; ++b) {
      if (pointers[output][b]) body(pointers[output][b]);
    }
  }
  template <class Body>
  __device__ void for_each_backend(Body body) const {
#pragma unroll
    for (int b = 0; b < kGroup; ++b) body(length_tensors(*this, b));
  }
  // the warps share the backends out: here the first warp takes all, so that indices are constant
  template <class Body>
  __device__ void for_each_backend_of_warp(unsigned warp, Body body) const {
    if (warp == 0) for_each_backend(body);
  }
};

struct Backends {
  int *pointers[kMaxBackends][kOutputs];
};

// The pointers of up to kGroup backends, in a table in device memory. With kAny: of up to 8, there
// or in a Backends; both are read through one pointer, as a branch would have each load waited for.
// The page tables of the first group are loaded once, before they are needed.
template <bool kAny>
struct TableOutputs {
  static constexpr Rows kRows = kAny ? kAnyRows : kFewRows;
  const int64 *pointers;
  int64 output_stride;
  int64 backend_stride;
  int count;
  int *page_table_1[kGroup];
  int *real_page_table[kGroup];

  __device__ int *get(int backend, Output output) const {
    if (backend >= count) return nullptr;
    return reinterpret_cast<int *>(pointers[output * output_stride + backend * backend_stride]);
  }
  __device__ void load() {
#pragma unroll
    for (int b = 0; b < kGroup; ++b) {
      page_table_1[b] = get(b, kPageTable1);
      real_page_table[b] = get(b, kRealPageTable);
    }
  }

  template <class Body>
  __device__ void for_each_tensor(Output output, Body body) const {
    int *group[kGroup];
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      group[i] = output == kPageTable1 ? page_table_1[i] : real_page_table[i];
    }
    const int backends = kAny ? count : kGroup;
    int b = kGroup;
#pragma unroll 1
    while (true) {
#pragma unroll
      for (int i = 0; i < kGroup; ++i) {
        if (group[i]) body(group[i]);
      }
      if (b >= backends) return;
#pragma unroll
      for (int i = 0; i < kGroup; ++i) group[i] = get(b + i, output);
      b += kGroup;
    }
  }
  template <class Body>
  __device__ void for_each_backend(Body body) const {
    LengthTensors next = length_tensors(*this, 0);
#pragma unroll 1
    for (int b = 1; b <= count; ++b) {
      const LengthTensors tensors = next;
      next = length_tensors(*this, b);  // on its way while the present ones are stored to
      body(tensors);
    }
  }
  template <class Body>
  __device__ void for_each_backend_of_warp(unsigned warp, Body body) const {
    if (static_cast<int>(warp) < count) body(length_tensors(*this, static_cast<int>(warp)));
  }
};

// The flags, and in them how the page_table_1 lie. page_table_1_flags() of runtime/launch.c has
// done this, except where it had only a table's address.
template <Rows kRows>
__device__ unsigned layout_flags(const Arguments &args, const DirectOutputs<kRows> &) {
  return args.flags;
}
template <bool kAny>
__device__ unsigned layout_flags(const Arguments &args, const TableOutputs<kAny> &outputs) {
  if (kAny && (args.flags & kSlots)) return args.flags;
  unsigned long long first = 0;
  unsigned vectors = kVectors;
  const auto look_at = [&](const int *tensor) {
    const unsigned long long address = reinterpret_cast<unsigned long long>(tensor);
    if (!first) first = address;
    if (address && (address - first) % 16) vectors = 0;
  };
#pragma unroll
  for (int b = 0; b < kGroup; ++b) look_at(outputs.page_table_1[b]);
#pragma unroll 1
  for (int b = kGroup; kAny && b < outputs.count; ++b) look_at(outputs.get(b, kPageTable1));
  if (!first || args.page_table_stride <= 0) return args.flags;
  return args.flags | kSlots | vectors | static_cast<unsigned>(first / 4 % 32) << kAnchorShift;
}

// Whether the batch has at most so many rows (kThreads or less). Where Rows decides it, this is a
// constant.
template <class Outputs>
__device__ bool has_up_to(unsigned most, const Arguments &args, const Outputs &) {
  if (Outputs::kRows == kManyRows) return false;
  if (Outputs::kRows == kFewRows && most >= kThreads) return true;
  return args.batch_size <= most;
}

__device__ int min_int(int a, int b) { return a < b ? a : b; }
__device__ unsigned min_unsigned(unsigned a, unsigned b) { return a < b ? a : b; }

// To what an int32 holds, and to 0.
__device__ int clamp_length(int value) { return value < 0 ? 0 : value; }
__device__ int clamp_length(int64 value) {
  return value < 0 ? 0 : static_cast<int>(value > kInt32Max ? kInt32Max : value);
}

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
    const bool above = wide & (high > 0);
    const unsigned value = above ? kInt32Max : min_unsigned(low, kInt32Max);
    return high < 0 ? 0 : static_cast<int>(value);
  }
};

__device__ bool has_wide_lengths(const Arguments &args) { return args.flags & kSeqLensInt64; }
__device__ bool has_wide_indices(const Arguments &args) {
  return args.flags & kReqPoolIndicesInt64;
}

__device__ int load_length(const Arguments &args, unsigned row) {
  return has_wide_lengths(args) ? clamp_length(static_cast<const int64 *>(args.seq_lens)[row])
                                : clamp_length(static_cast<const int *>(args.seq_lens)[row]);
}

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

// What row i of the batch writes to a backend.
__device__ void store_lengths(const Arguments &args, const LengthTensors &tensors, unsigned i,
                              int length, Sums sums) {
  tensors.cache_seqlens[i] = length;
  tensors.seqlens_expanded[i] = length;
  tensors.nsa_cache_seqlens[i] = min_int(length, args.nsa_index_topk);
  tensors.cu_seqlens_k[i + 1] = static_cast<int>(sums.k);
  tensors.nsa_cu_seqlens_k[i + 1] = static_cast<int>(sums.nsa);
}

__device__ void store_zeros(const LengthTensors &tensors) {
  tensors.cu_seqlens_k[0] = 0;
  tensors.nsa_cu_seqlens_k[0] = 0;
}

__device__ Sums length_sums(const Arguments &args, int length) {
  return {static_cast<unsigned>(length),
          static_cast<unsigned>(min_int(length, args.nsa_index_topk))};
}

// Up to 32 rows, all in one warp: no barrier.
template <class Outputs>
__device__ void write_few_lengths(const Arguments &args, const Outputs &outputs) {
  const unsigned i = lane_index();
  const bool has_row = i < args.batch_size;
  const int length = has_row ? load_length(args, i) : 0;
  Sums sums = length_sums(args, length);
  sums = {warp_inclusive_scan(sums.k), warp_inclusive_scan(sums.nsa)};
  outputs.for_each_backend_of_warp(threadIdx.x / 32, [&](const LengthTensors &tensors) {
    if (!tensors.cu_seqlens_k) return;
    if (i == 0) store_zeros(tensors);
    if (has_row) store_lengths(args, tensors, i, length, sums);
  });
}

// Of the lengths before row `first`, those of the thread.
template <class Integer>
__device__ Sums sum_lengths(const Arguments &args, unsigned first) {
  const Integer *const lengths = static_cast<const Integer *>(args.seq_lens);
  Sums sums = {0, 0};
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < first; i += kThreads) {
    const Sums one = length_sums(args, clamp_length(lengths[i]));
    sums.k += one.k;
    sums.nsa += one.nsa;
  }
  return sums;
}

// Rows [first, last) of the batch. What lies before them is summed again, not waited for.
template <class Outputs>
__device__ void write_lengths(const Arguments &args, const Outputs &outputs, unsigned first,
                              unsigned last) {
  Sums before = {0, 0};
  if (first > 0) {
    const Sums mine =
        has_wide_lengths(args) ? sum_lengths<int64>(args, first) : sum_lengths<int>(args, first);
    block_inclusive_scan(mine, &before);
  } else {
    outputs.for_each_backend([&](const LengthTensors &tensors) {
      if (tensors.cu_seqlens_k && threadIdx.x == kThreads - 1) store_zeros(tensors);
    });
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
    outputs.for_each_backend([&](const LengthTensors &tensors) {
      if (tensors.cu_seqlens_k && i < last) store_lengths(args, tensors, i, length, sums);
    });
    if (has_up_to(kThreads, args, outputs)) return;  // so that these kernels have no loop
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

  __device__ bool has(Flag flag) const { return flags & flag; }
  __device__ unsigned anchor() const { return flags >> kAnchorShift; }
};

template <class Outputs>
__device__ Layout make_layout(const Arguments &args, const Outputs &outputs) {
  Layout layout;
  layout.flags = layout_flags(args, outputs);
  layout.page_size = {static_cast<unsigned>(args.real_page_size), args.page_reciprocal};
  layout.line_mask = layout.has(kSlots) ? 31 : 0;
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
  unsigned positions = static_cast<unsigned>(extent);
  if (!layout.has(kSlots)) positions = layout.page_size.divide_up(positions);
  return positions > 0 ? first + positions : 0;
}

__device__ unsigned units_of(unsigned end) { return (end + kUnit - 1) / kUnit; }

// A row's units that are not dealt as its head: see Heads.
__device__ unsigned head_units(const Arguments &args) { return args.head_pieces * kUnits; }
__device__ unsigned units_after_head(const Arguments &args, unsigned end) {
  const unsigned units = units_of(end);
  return units > head_units(args) ? units - head_units(args) : 0;
}

// kExtentBatchMax: the longest of all rows. Every block reads all lengths: the price
// of a launch in which no block waits.
__device__ int longest_extent(const Arguments &args) {
  __shared__ int warp_max[kWarps];
  int longest = 0;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < args.batch_size; i += kThreads) {
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

// A row's length and index on their way.
struct RowLoad {
  Words length;
  Words index;

  __device__ void load(const Arguments &args, unsigned row) {
    length.load(args.seq_lens, has_wide_lengths(args), row);
    index.load(args.req_pool_indices, has_wide_indices(args), row);
  }
  __device__ Row row(const Arguments &args, const Layout &layout, int longest,
                     unsigned number) const {
    const bool wide = has_wide_lengths(args);
    const int tokens = length.clamped(wide);
    Row row = {number, first_position(args, layout, number), 0, nullptr};
    row.end = end_position(layout, row.first, extent_of(args, longest, tokens));
    row.columns = row_columns(args, row, index);
    return row;
  }
};

// Rows of the batch, one a lane, or two that follow each other, and where their units lie in the
// batch. The units follow each other row by row, but the rows in any order.
struct Chunk {
  Row row;
  Row second;
  unsigned second_begin;
  unsigned second_end;
  unsigned begin;  // the first unit of the first row
  unsigned end;    // the unit after the last row

  __device__ void count(unsigned units, unsigned second_units) {
    second_end = begin + warp_inclusive_scan(units + second_units);
    second_begin = second_end - second_units;
    end = __shfl_sync(kWholeWarp, second_end, 31);
  }
};

// Where the units of the batch lie. The rows are dealt to the threads in turn: the
// list of thread t is the rows t, t + kThreads, ...
struct Directory {
  int longest;
  unsigned units;  // of the lists of the warp whose number is the lane's
  unsigned ends;
  unsigned *list_ends;  // shared memory: counted from the first list of its warp
  Row *rows;            // shared memory: the first of each list
};

// Brings the chunk that holds unit `at`: of up to kThreads rows those of a warp, else 32 rows of a
// list, which is walked from its beginning.
template <class Outputs>
__device__ void find_chunk(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           const Directory &directory, unsigned at, Chunk *chunk) {
  const unsigned lane = lane_index();
  const int warp = first_lane(directory.ends > at);
  chunk->begin = __shfl_sync(kWholeWarp, directory.ends - directory.units, warp);
  const unsigned ends = directory.list_ends[warp * 32 + lane];
  if (has_up_to(kThreads, args, outputs)) {
    chunk->row = directory.rows[warp * 32 + lane];
    chunk->second_begin = chunk->second_end = chunk->begin + ends;
    chunk->end = __shfl_sync(kWholeWarp, chunk->second_end, 31);
    return;
  }
  const int list = first_lane(chunk->begin + ends > at);
  if (list > 0) chunk->begin += __shfl_sync(kWholeWarp, ends, list - 1);
  chunk->row.number = warp * 32 + list + lane * kThreads;
#pragma unroll 1
  while (true) {
    unsigned units = 0;
    if (chunk->row.number < args.batch_size) {
      RowLoad loaded;
      loaded.load(args, chunk->row.number);
      chunk->row = loaded.row(args, layout, directory.longest, chunk->row.number);
      units = units_after_head(args, chunk->row.end);
    }
    chunk->count(units, 0);
    if (chunk->end > at) return;
    chunk->begin = chunk->end;
    chunk->row.number += 32 * kThreads;
  }
}

// The units of the thread's list but for its first row.
template <class Integer>
__device__ unsigned count_list(const Arguments &args, const Layout &layout, int longest) {
  const Integer *const seq_lens = static_cast<const Integer *>(args.seq_lens);
  unsigned units = 0;
  constexpr unsigned kAtOnce = 4;
#pragma unroll 1
  for (unsigned row = threadIdx.x + kThreads; row < args.batch_size; row += kAtOnce * kThreads) {
    Integer lengths[kAtOnce];
#pragma unroll
    for (unsigned v = 0; v < kAtOnce; ++v) {
      lengths[v] = seq_lens[min_unsigned(row + v * kThreads, args.batch_size - 1)];
    }
#pragma unroll
    for (unsigned v = 0; v < kAtOnce; ++v) {
      const int extent = extent_of(args, longest, clamp_length(lengths[v]));
      const unsigned first = first_position(args, layout, row + v * kThreads);
      const unsigned some = units_after_head(args, end_position(layout, first, extent));
      if (row + v * kThreads < args.batch_size) units += some;
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

// The pages [begin, end) of a row whose first slots are in a piece, one a lane. The
// first 32 are loaded together with the piece.
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

__device__ Pages pages_of(const Layout &layout, const Piece &piece) {
  Pages pages = {piece.begin, piece.end, 0};
  if (layout.has(kSlots)) {
    const unsigned column = piece.begin < piece.first ? 0 : piece.begin - piece.first;
    pages.begin = layout.page_size.divide_up(column);
    pages.end = layout.page_size.divide_up(piece.end - piece.first);
  }
  if (!layout.has(kPages)) pages.end = 0;
  return pages;
}

// An address of which the compiler knows nothing, so that the vectors' loads follow one another
// with constant offsets, and that of pages, whose lines they bring, comes after them.
__device__ const int4 *opaque(const int4 *address) {
#ifdef __CUDA_ARCH__
  asm("" : "+l"(address));
#endif
  return address;
}

// Up to kCount whole units of vectors. All loads are in flight before the first store, here
// and below; those of pages come last, as what they load is then on its way.
template <unsigned kCount, class Outputs>
__device__ void copy_vectors(const Arguments &args, const Outputs &outputs, const Layout &layout,
                             const Piece &piece, Pages *pages) {
  const unsigned column = piece.begin - piece.first + lane_index() * 4;
  const unsigned size = piece.end - piece.begin;
  const int4 *from = opaque(reinterpret_cast<const int4 *>(piece.columns + column));
  int4 slots[kCount];
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if (v == 0 || v * kUnit < size) slots[v] = __ldg(from + v * 32);
  }
  pages->load(layout, piece);
  const int64 offset = piece.row * args.page_table_stride + column;
  outputs.for_each_tensor(kPageTable1, [&](int *table) {
    int4 *to = reinterpret_cast<int4 *>(table + offset);
    // NVCC makes four stores of some plain ones
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (v == 0 || v * kUnit < size) __stwb(to + v * 32, slots[v]);
    }
  });
}

// Any positions of up to kCount / 4 units, an element at a time.
template <unsigned kCount, class Outputs>
__device__ void copy_elements(const Arguments &args, const Outputs &outputs, const Layout &layout,
                              const Piece &piece, Pages *pages) {
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
  pages->load(layout, piece);
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
                           const Piece &piece, Pages *pages) {
  const unsigned size = piece.end - piece.begin;
  const unsigned misaligned = (address_in_elements(piece.columns) - piece.first) % 4;
  if (!layout.has(kVectors) || misaligned || piece.begin < piece.first || size % kUnit) {
    if (size <= kUnit) {
      copy_elements<kUnit / 32>(args, outputs, layout, piece, pages);
    } else {
      copy_elements<kUnits * kUnit / 32>(args, outputs, layout, piece, pages);
    }
  } else if (size == kUnit) {
    copy_vectors<1>(args, outputs, layout, piece, pages);
  } else {
    copy_vectors<kUnits>(args, outputs, layout, piece, pages);
  }
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

template <class Outputs>
__device__ void copy_piece(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           const Piece &piece) {
  Pages pages = pages_of(layout, piece);
  if (layout.has(kSlots)) {
    copy_slots(args, outputs, layout, piece, &pages);
  } else {
    pages.load(layout, piece);
  }
  store_pages(args, outputs, layout, piece, pages);
}

// The heads of all rows: head_pieces pieces of each, of as many units as the row fills
// evenly, kUnits at most. They are dealt to the warps of the grid in turn, row by row:
// to find one takes a row's length, and no count. What a row has beyond is left to Runs.
struct Heads {
  Divider batch_size;
  unsigned total;
  unsigned at;
  unsigned part;  // piece of its row

  __device__ unsigned row() const { return at - part * batch_size.divisor; }
  __device__ void take(unsigned head) {
    at = head;
    part = batch_size.divide(head);
  }
  __device__ Piece piece(const Arguments &args, const Row &row) const {
    const unsigned units = units_of(row.end);
    const unsigned pieces = args.head_pieces;
    const unsigned more = (units > pieces) + (units > 2 * pieces) + (units > 3 * pieces);
    const unsigned size = (1 + more) * kUnit;
    return {row.number, row.columns, row.first, part * size,
            min_unsigned(part * size + size, row.end)};
  }
};

template <class Outputs>
__device__ void copy_heads(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           int longest, unsigned warps, Heads heads, RowLoad loaded) {
#pragma unroll 1
  while (heads.at < heads.total) {
    const Row row = loaded.row(args, layout, longest, heads.row());
    const Piece piece = heads.piece(args, row);
    heads.take(heads.at + warps);
    if (heads.at < heads.total) loaded.load(args, heads.row());
    if (piece.begin < piece.end) copy_piece(args, outputs, layout, piece);
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
template <class Outputs>
__device__ Piece find_piece(const Arguments &args, const Outputs &outputs, const Layout &layout,
                            const Directory &directory, Chunk *chunk, Runs *runs) {
  const unsigned at = runs->at;
  if (at >= chunk->end) find_chunk(args, outputs, layout, directory, at, chunk);
  const bool second = at >= chunk->second_begin;
  const int k = first_lane(chunk->second_end > at);
  // the row's, computed rather than kept in a register
  const unsigned first_begin = chunk->second_begin - units_after_head(args, chunk->row.end);
  const unsigned row_begin = __shfl_sync(kWholeWarp, second ? chunk->second_begin : first_begin, k);
  const unsigned row_end =
      __shfl_sync(kWholeWarp, second ? chunk->second_end : chunk->second_begin, k);
  const int *const columns = second ? chunk->second.columns : chunk->row.columns;
  const unsigned end = __shfl_sync(kWholeWarp, second ? chunk->second.end : chunk->row.end, k);
  const unsigned unit = head_units(args) + at - row_begin;
  Piece piece;
  piece.row = __shfl_sync(kWholeWarp, chunk->row.number + second, k);
  piece.columns = reinterpret_cast<const int *>(
      __shfl_sync(kWholeWarp, reinterpret_cast<unsigned long long>(columns), k));
  piece.first =
      __shfl_sync(kWholeWarp, first_position(args, layout, chunk->row.number + second), k);
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
    const Piece piece = find_piece(args, outputs, layout, directory, &chunk, &runs);
    copy_piece(args, outputs, layout, piece);
    if (runs.at < runs.end) continue;
    if (!runs.taken) return;
    runs.take_next();
  }
}

// Units of a run: few where there are few, so that all warps have one; many where rows are
// looked up.
template <class Outputs>
__device__ unsigned run_length(const Arguments &args, const Outputs &outputs, unsigned total,
                               unsigned warps) {
  if (!has_up_to(kThreads, args, outputs) && total > 2 * kUnits * warps) return total / (2 * warps);
  return total > 2 * warps ? kUnits : total > warps ? 2 : 1;
}

// The rows whose units the thread counts, on their way: two where each warp has all, else the
// first of its list.
struct OwnRows {
  unsigned number;
  RowLoad row;
  RowLoad second;

  template <class Outputs>
  __device__ void load(const Arguments &args, const Outputs &outputs) {
    number = has_up_to(kRowsOfWarp, args, outputs) ? 2 * lane_index() : threadIdx.x;
    row.load(args, min_unsigned(number, args.batch_size - 1));
    if (has_up_to(kRowsOfWarp, args, outputs)) {
      second.load(args, min_unsigned(number + 1, args.batch_size - 1));
    }
  }
};

// Up to kRowsOfWarp rows: all are the warp's chunk. Returns whether they have units.
__device__ bool take_all_rows(const Arguments &args, const Layout &layout, int longest,
                              const OwnRows &own, Chunk *chunk) {
  const unsigned number = own.number;
  chunk->row = own.row.row(args, layout, longest, number);
  chunk->second = own.second.row(args, layout, longest, number + 1);
  unsigned units = units_after_head(args, chunk->row.end);
  unsigned second_units = units_after_head(args, chunk->second.end);
  if (number >= args.batch_size) units = 0;
  if (number + 1 >= args.batch_size) second_units = 0;
  if (!__any_sync(kWholeWarp, units + second_units > 0)) return false;
  chunk->count(units, second_units);
  return true;
}

// More than kRowsOfWarp rows: the block's threads tell each other what their lists have. No chunk
// is taken yet. Returns the units of the batch.
template <class Outputs>
__device__ unsigned make_directory(const Arguments &args, const Outputs &outputs,
                                   const Layout &layout, const OwnRows &own, Directory *directory,
                                   Chunk *chunk) {
  __shared__ unsigned warp_units[kWarps];
  const unsigned number = own.number;
  const Row row = own.row.row(args, layout, directory->longest, number);
  unsigned units = number < args.batch_size ? units_after_head(args, row.end) : 0;
  if (!has_up_to(kThreads, args, outputs)) {
    units += has_wide_lengths(args) ? count_list<int64>(args, layout, directory->longest)
                                    : count_list<int>(args, layout, directory->longest);
  }
  if (!__syncthreads_or(units > 0)) return 0;
  const unsigned ends = warp_inclusive_scan(units);
  directory->rows[threadIdx.x] = row;
  directory->list_ends[threadIdx.x] = ends;
  if (lane_index() == 31) warp_units[threadIdx.x / 32] = ends;
  __syncthreads();
  directory->units = warp_units[lane_index() % kWarps];
  directory->ends = warp_inclusive_scan<kWarps>(directory->units);
  chunk->end = 0;
  return __shfl_sync(kWholeWarp, directory->ends, kWarps - 1);
}

// What the heads leave. `taken` is kWarps, for all threads of the block.
template <class Outputs>
__device__ void copy_rest(const Arguments &args, const Outputs &outputs, const Layout &layout,
                          Directory directory, const OwnRows &own, unsigned block, unsigned blocks,
                          unsigned *taken) {
  const unsigned warps = blocks * kWarps;
  unsigned total;
  Chunk chunk;
  chunk.begin = 0;
  if (has_up_to(kRowsOfWarp, args, outputs)) {
    if (!take_all_rows(args, layout, directory.longest, own, &chunk)) return;
    total = chunk.end;
  } else {
    total = make_directory(args, outputs, layout, own, &directory, &chunk);
    if (total == 0) return;
  }
  const unsigned run = run_length(args, outputs, total, warps);
  const bool is_one_a_warp = total <= run * warps;
  Runs runs = {total, run, block, blocks, is_one_a_warp ? nullptr : taken, 0, 0};
  runs.take(threadIdx.x / 32);
  copy_runs(args, outputs, layout, directory, runs, chunk);
}

template <class Outputs>
__device__ void write_page_tables(const Arguments &args, Outputs &outputs, unsigned block,
                                  unsigned blocks) {
  __shared__ unsigned list_ends[kThreads];
  __shared__ Row rows[kThreads];
  __shared__ unsigned taken;
  // all loads that depend on arguments alone
  Heads heads = {
      {args.batch_size, args.batch_reciprocal}, args.batch_size * args.head_pieces, 0, 0};
  RowLoad head;
  OwnRows own;
  heads.take(threadIdx.x / 32 * blocks + block);
  head.load(args, heads.row());
  own.load(args, outputs);
  outputs.load();
  // here, where the warps wait for their loads anyway, and not after the heads
  if (threadIdx.x == 0) taken = kWarps;
  __syncthreads();
  const Layout layout = make_layout(args, outputs);
  Directory directory = {-1, 0, 0, list_ends, rows};
  if (args.flags & kExtentBatchMax) directory.longest = longest_extent(args);

  copy_heads(args, outputs, layout, directory.longest, blocks * kWarps, heads, head);
  copy_rest(args, outputs, layout, directory, own, block, blocks, &taken);
}

// Whole chunks of kThreads rows. length_blocks() of runtime/launch.c counts the blocks.
__device__ unsigned rows_of_length_block(const Arguments &args) {
  const unsigned chunks = (args.batch_size + kThreads - 1) / kThreads;
  return (chunks + kMaxLengthBlocks - 1) / kMaxLengthBlocks * kThreads;
}

template <class Outputs>
__device__ void decode_metadata(const Arguments &args, Outputs &outputs) {
  const unsigned copiers = static_cast<unsigned>(args.page_table_blocks);
  if (blockIdx.x < copiers) {
    write_page_tables(args, outputs, blockIdx.x, copiers);
    return;
  }
  if (has_up_to(32, args, outputs)) {
    write_few_lengths(args, outputs);
    return;
  }
  const unsigned rows = has_up_to(kThreads, args, outputs) ? kThreads : rows_of_length_block(args);
  const unsigned first = has_up_to(kThreads, args, outputs) ? 0 : (blockIdx.x - copiers) * rows;
  write_lengths(args, outputs, first, min_unsigned(first + rows, args.batch_size));
}

}  // namespace

// The parameters common to all kernels. runtime/launch.c packs them in this order.
#define UDM_INPUTS const void *seq_lens, const void *req_pool_indices, const int *req_to_token
#define UDM_SCALARS                                                                      \
  unsigned batch_size, unsigned batch_reciprocal, unsigned head_pieces, unsigned flags,  \
      int max_len, int page_table_blocks, long long req_to_token_stride,                 \
      long long page_table_stride, long long real_page_table_stride, int real_page_size, \
      unsigned page_reciprocal, int nsa_index_topk, int num_backends
#define UDM_ARGUMENTS                                                                           \
  {                                                                                             \
    seq_lens, req_pool_indices, req_to_token, batch_size, batch_reciprocal, head_pieces, flags, \
        max_len, page_table_blocks, req_to_token_stride, page_table_stride,                     \
        real_page_table_stride, real_page_size, page_reciprocal, nsa_index_topk, num_backends   \
  }

// An output of three backends. The page tables come first: they are needed first, and the
// constant cache brings what stands together.
#define UDM_TENSORS(name) int *name##_0, int *name##_1, int *name##_2
#define UDM_POINTERS(name) \
  { name##_0, name##_1, name##_2 }

#define UDM_OUTPUTS                                                                             \
  UDM_TENSORS(page_table_1), UDM_TENSORS(real_page_table), UDM_TENSORS(cache_seqlens),          \
      UDM_TENSORS(cu_seqlens_k), UDM_TENSORS(nsa_cache_seqlens), UDM_TENSORS(nsa_cu_seqlens_k), \
      UDM_TENSORS(seqlens_expanded)
#define UDM_DIRECT_OUTPUTS                                                                 \
  {                                                                                        \
    {                                                                                      \
      UDM_POINTERS(cache_seqlens), UDM_POINTERS(cu_seqlens_k), UDM_POINTERS(page_table_1), \
          UDM_POINTERS(nsa_cache_seqlens), UDM_POINTERS(nsa_cu_seqlens_k),                 \
          UDM_POINTERS(real_page_table), UDM_POINTERS(seqlens_expanded)                    \
    }                                                                                      \
  }

// Up to kThreads rows and 3 backends.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_direct(UDM_INPUTS, UDM_SCALARS, UDM_OUTPUTS) {
  const Arguments args = UDM_ARGUMENTS;
  DirectOutputs<kFewRows> outputs = UDM_DIRECT_OUTPUTS;
  decode_metadata(args, outputs);
}

// More than kThreads rows, up to 3 backends.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_direct_large_batch(UDM_INPUTS, UDM_SCALARS, UDM_OUTPUTS) {
  const Arguments args = UDM_ARGUMENTS;
  DirectOutputs<kManyRows> outputs = UDM_DIRECT_OUTPUTS;
  decode_metadata(args, outputs);
}

// Up to kThreads rows and 3 backends, whose pointers are in a table.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_table(UDM_INPUTS, UDM_SCALARS, const long long *backend_pointers,
                              long long backend_pointers_stride) {
  const Arguments args = UDM_ARGUMENTS;
  TableOutputs<false> outputs = {
      backend_pointers, backend_pointers_stride, 1, num_backends, {}, {}};
  decode_metadata(args, outputs);
}

// Before CUDA 11.7 a parameter whose address is taken is copied, to each thread's local memory.
#if defined(__CUDACC_RTC__) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1107
#define __grid_constant__
#endif

// Any rows and up to 8 backends: the pointers of the table where there is one, else of `backends`.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_general(UDM_INPUTS, UDM_SCALARS, const long long *backend_pointers,
                                long long backend_pointers_stride,
                                const __grid_constant__ Backends backends) {
  const Arguments args = UDM_ARGUMENTS;
  TableOutputs<true> outputs = {
      reinterpret_cast<const long long *>(&backends), 1, kOutputs, num_backends, {}, {}};
  if (backend_pointers) {
    outputs.pointers = backend_pointers;
    outputs.output_stride = backend_pointers_stride;
    outputs.backend_stride = 1;
  }
  decode_metadata(args, outputs);
}
