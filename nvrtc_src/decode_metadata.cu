// The kernel of udm: decode metadata of every draft backend in one launch.
//
// SPDX-License-Identifier: Apache-2.0
//
// The contract is in include/udm.h. This file includes nothing: it is compiled
// by NVRTC on the user's machine, and by the tests for the host CPU.
//
// Grid: the first length_blocks() blocks write the lengths and their prefix sums,
// all others the page tables. The columns that are live at run time are cut into
// units, and the warps take them in turn: each block counts the units of all rows
// for itself, and each warp finds the row of a unit by search. So no block waits
// for another, the cost follows the live columns alone, and the grid depends on
// the launch's arguments alone: a recorded launch stays right whatever the lengths
// are when it is replayed.

namespace {

typedef long long int64;

constexpr int kThreads = 256;         // and in runtime/kernel_interface.h
constexpr int kMaxLengthBlocks = 32;  // and in runtime/kernel_interface.h
constexpr int kBlocks = 2;            // of a multiprocessor at a time
constexpr int kUnits = 4;             // a warp has at most so many units in flight
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
};
constexpr int kUnitShift = 8;  // the flags above this bit: by how much units are larger

struct Arguments {
  const void *seq_lens;
  const void *req_pool_indices;
  const int *req_to_token;
  int batch_size;
  int max_len;
  int num_backends;
  int nsa_index_topk;
  int real_page_size;
  unsigned flags;
  unsigned page_reciprocal;  // of real_page_size: see Divider
  int64 req_to_token_stride;
  int64 page_table_stride;
  int64 real_page_table_stride;
};

__device__ unsigned lane_index() { return threadIdx.x % 32; }

__device__ unsigned address_in_elements(const int *pointer) {
  return static_cast<unsigned>(reinterpret_cast<unsigned long long>(pointer) / 4);
}

// The first lane that says yes; one does.
__device__ int first_lane(bool yes) { return __ffs(__ballot_sync(kWholeWarp, yes)) - 1; }

// The direct entry's pointers: kernel arguments, indexed by constants only, so
// that they stay in the constant bank. Those past num_backends are null.
template <int kBackends>
struct DirectOutputs {
  static constexpr int kMax = kBackends;
  int *pointers[kMax][kOutputs];

  __device__ void stage() const {}
  __device__ int *get(int backend, Output output) const { return pointers[backend][output]; }

  template <class Body>
  __device__ void for_each(Body body) const {
#pragma unroll
    for (int b = 0; b < kMax; ++b) body(b);
  }
  // the warps share the backends out: here the first warp takes all, so that indices are constant
  template <class Body>
  __device__ void for_each_of_warp(unsigned warp, Body body) const {
    if (warp == 0) for_each(body);
  }
  __device__ const int *first_page_table_1() const {
    const int *first = nullptr;
    for_each([&](int b) { first = first ? first : pointers[b][kPageTable1]; });
    return first;
  }
  __device__ bool page_tables_1_are_aligned(unsigned offset) const {
    unsigned misaligned = 0;
    for_each([&](int b) {
      const int *table = pointers[b][kPageTable1];
      if (table) misaligned |= address_in_elements(table) + offset;
    });
    return misaligned % 4 == 0;
  }
};

// The table entry's pointers: int64[7][N] in device memory, brought to shared memory.
struct TableOutputs {
  static constexpr int kMax = 8;
  const int64 *pointers;
  int64 stride;
  int count;
  int64 *staged;  // shared memory, [kOutputs][kMax]; null past count

  __device__ void stage() const {
    const int output = threadIdx.x / kMax;
    const int backend = threadIdx.x % kMax;
    if (output < kOutputs) {
      staged[threadIdx.x] = backend < count ? pointers[output * stride + backend] : 0;
    }
    __syncthreads();
  }
  __device__ int *get(int backend, Output output) const {
    return reinterpret_cast<int *>(staged[output * kMax + backend]);
  }
  template <class Body>
  __device__ void for_each(Body body) const {
#pragma unroll 1
    for (int b = 0; b < count; ++b) body(b);
  }
  template <class Body>
  __device__ void for_each_of_warp(unsigned warp, Body body) const {
    if (static_cast<int>(warp) < count) body(static_cast<int>(warp));
  }
  // these two with a lane for each backend
  __device__ const int *first_page_table_1() const {
    const unsigned some =
        __ballot_sync(kWholeWarp, lane_index() < kMax && get(lane_index() % kMax, kPageTable1));
    return some ? get(__ffs(some) - 1, kPageTable1) : nullptr;
  }
  __device__ bool page_tables_1_are_aligned(unsigned offset) const {
    const int *table = get(lane_index() % kMax, kPageTable1);
    const unsigned misaligned = table ? (address_in_elements(table) + offset) % 4 : 0;
    return !__ballot_sync(kWholeWarp, misaligned != 0);
  }
};

// An int32 or int64 as it lies in memory. Loading and making sense of it are two
// steps, so that other work can stand between them.
struct Words {
  unsigned low;
  int high;  // 0 for an int32

  __device__ void load(const void *integers, bool wide, unsigned i) {
    const unsigned *words = static_cast<const unsigned *>(integers);
    const int64 at = wide ? 2 * static_cast<int64>(i) : i;
    low = words[at];
    high = 0;
    if (wide) high = static_cast<int>(words[at + 1]);
  }
  __device__ int64 value(bool wide) const {
    if (!wide) return static_cast<int>(low);
    return static_cast<int64>(static_cast<unsigned long long>(high) << 32 | low);
  }
  __device__ int clamped(bool wide) const {  // to what an int32 holds, and to 0
    const int sign = wide ? high : static_cast<int>(low);
    if (sign < 0) return 0;
    return high > 0 || low > kInt32Max ? static_cast<int>(kInt32Max) : static_cast<int>(low);
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

__device__ unsigned warp_sum(unsigned value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  return __reduce_add_sync(kWholeWarp, value);
#else
  return __shfl_sync(kWholeWarp, warp_inclusive_scan(value), 31);
#endif
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

template <class Outputs>
__device__ void store_lengths(const Arguments &args, const Outputs &outputs, int b, unsigned i,
                              int length, Sums sums) {
  if (!outputs.get(b, kCuSeqlensK)) return;
  outputs.get(b, kCacheSeqlens)[i] = length;
  outputs.get(b, kSeqlensExpanded)[i] = length;
  outputs.get(b, kNsaCacheSeqlens)[i] = min_int(length, args.nsa_index_topk);
  outputs.get(b, kCuSeqlensK)[i + 1] = static_cast<int>(sums.k);
  outputs.get(b, kNsaCuSeqlensK)[i + 1] = static_cast<int>(sums.nsa);
}

template <class Outputs>
__device__ void store_zeros(const Outputs &outputs, int b) {
  if (!outputs.get(b, kCuSeqlensK)) return;
  outputs.get(b, kCuSeqlensK)[0] = 0;
  outputs.get(b, kNsaCuSeqlensK)[0] = 0;
}

__device__ Sums length_sums(const Arguments &args, int length) {
  return {static_cast<unsigned>(length),
          static_cast<unsigned>(min_int(length, args.nsa_index_topk))};
}

// Up to 32 rows, all in one warp: no barrier.
template <class Outputs>
__device__ void write_few_lengths(const Arguments &args, const Outputs &outputs) {
  static_assert(kWarps >= Outputs::kMax, "a warp for each backend");
  const bool wide = has_wide_lengths(args);
  const unsigned i = lane_index();
  const bool has_row = i < static_cast<unsigned>(args.batch_size);
  Words words = {0, 0};
  if (has_row) words.load(args.seq_lens, wide, i);
  outputs.stage();
  const int length = words.clamped(wide);
  Sums sums = length_sums(args, length);
  sums = {warp_inclusive_scan(sums.k), warp_inclusive_scan(sums.nsa)};
  outputs.for_each_of_warp(threadIdx.x / 32, [&](int b) {
    if (i == 0) store_zeros(outputs, b);
    if (has_row) store_lengths(args, outputs, b, i, length, sums);
  });
}

// Rows [first, last) of the batch. What lies before them is summed again, not waited for.
template <class Outputs>
__device__ void write_lengths(const Arguments &args, const Outputs &outputs, unsigned first,
                              unsigned last) {
  Sums before = {0, 0};
  outputs.stage();
  if (first == 0 && threadIdx.x == kThreads - 1) {
    outputs.for_each([&](int b) { store_zeros(outputs, b); });
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
    if (i < last) {
      outputs.for_each([&](int b) { store_lengths(args, outputs, b, i, length, sums); });
    }
  }
}

// ---- page tables ----

// How the live columns are cut into units. A position is a column counted from
// the 128-byte boundary at or before the row's first element in the first
// page_table_1, so that a warp stores whole lines; where no page_table_1 is
// written, it is a page. A unit is 2^log2_unit positions.
struct Layout {
  bool slots;       // a page_table_1 is written
  bool pages;       // a real_page_table is written
  unsigned anchor;  // address of the first page_table_1 in elements, modulo 2^32
  unsigned log2_unit;
  Divider page_size;
};

// One row of the batch; of no extent past its end.
struct Row {
  unsigned number;
  int extent;
  int64 req_pool_index;
};

// longest: the extent of every row for kExtentBatchMax; otherwise -1
__device__ int load_extent(const Arguments &args, int longest, unsigned row) {
  return longest >= 0 ? longest : min_int(load_length(args, row), args.max_len);
}

// The position of column 0 of a row.
__device__ unsigned first_position(const Arguments &args, const Layout &layout, unsigned row) {
  const unsigned element = layout.anchor + row * static_cast<unsigned>(args.page_table_stride);
  return layout.slots ? element % 32 : 0;
}

__device__ unsigned end_position(const Layout &layout, unsigned first, int extent) {
  const unsigned columns = static_cast<unsigned>(extent);
  return layout.slots ? first + columns : layout.page_size.divide_up(columns);
}

__device__ unsigned units_of(const Arguments &args, const Layout &layout, unsigned row,
                             int extent) {
  const unsigned end = end_position(layout, first_position(args, layout, row), extent);
  return extent > 0 ? (end + (1u << layout.log2_unit) - 1) >> layout.log2_unit : 0;
}

template <class Outputs>
__device__ Layout make_layout(const Arguments &args, const Outputs &outputs) {
  Layout layout;
  layout.page_size = {static_cast<unsigned>(args.real_page_size), args.page_reciprocal};
  // a stride of 0 says that no backend has that table
  layout.pages = args.real_page_size > 1 && args.real_page_table_stride > 0;
  const int *anchor = outputs.first_page_table_1();
  layout.slots = anchor && args.page_table_stride > 0;
  layout.anchor = address_in_elements(anchor);
  layout.log2_unit = (layout.slots ? 7 : 5) + (args.flags >> kUnitShift);
  return layout;
}

// kExtentBatchMax: the longest of the thread's extent and those of all rows. Every
// block reads all lengths: the price of a launch in which no block waits.
__device__ int longest_extent(const Arguments &args, int longest) {
  __shared__ int warp_max[kWarps];
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < static_cast<unsigned>(args.batch_size); i += kThreads) {
    const int extent = load_extent(args, -1, i);
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

// Stores kCount pages of one row, 32 apart, those before `end`.
template <unsigned kCount, class Outputs>
__device__ void store_pages(const Arguments &args, const Outputs &outputs, const Layout &layout,
                            unsigned row, unsigned page, unsigned end, int (&slots)[kCount]) {
  const int64 offset = row * args.real_page_table_stride + page;
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) slots[v] = layout.page_size.divide_slot(slots[v]);
  outputs.for_each([&](int b) {
    int *table = outputs.get(b, kRealPageTable);
    if (!table) return;
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (page + v * 32 < end) table[offset + v * 32] = slots[v];
    }
  });
}

// Where no page_table_1 is written: of the row's slots only the first of each page is read.
template <class Outputs>
__device__ void copy_pages(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           unsigned row, const int *columns, unsigned begin, unsigned end) {
#pragma unroll 1
  for (unsigned page = begin + lane_index(); page < end; page += kUnits * 32) {
    int slots[kUnits];
#pragma unroll
    for (unsigned v = 0; v < kUnits; ++v) {
      const unsigned at = page + v * 32;
      slots[v] = at < end ? __ldg(columns + at * layout.page_size.divisor) : 0;
    }
    store_pages(args, outputs, layout, row, page, end, slots);
  }
}

__device__ void store(int *to, int slot) { *to = slot; }
// NVCC makes four stores of some plain ones.
__device__ void store(int4 *to, int4 slots) { __stwb(to, slots); }

// Positions [begin, end) of a row, at most kUnits * 128 of them.
struct Piece {
  unsigned row;
  const int *source;  // of position 0
  unsigned first;     // the position of column 0
  unsigned begin;
  unsigned end;
};

// Copies one piece, as T's: int, or int4 where all tables are aligned; the slots
// of its first and last int4 that are not whole go one by one. The loads are all
// in flight before the first store.
template <class T, class Outputs>
__device__ void copy_piece(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           const Piece &piece) {
  constexpr unsigned kWidth = sizeof(T) / sizeof(int);
  constexpr unsigned kCount = kUnits * 4 / kWidth;
  constexpr unsigned kStep = 32 * kWidth;
  const unsigned lane = lane_index();
  const unsigned inside = (piece.first + kWidth - 1) / kWidth * kWidth;
  // vectors begin inside the row, elements on a line, where only the first can be before the row
  const unsigned start = kWidth > 1 && inside > piece.begin ? inside : piece.begin;
  const unsigned begin = start + lane * kWidth;
  const int room = static_cast<int>(piece.end - begin);
  const auto is_whole = [&](unsigned v) {
    const bool is_before = kWidth == 1 && v == 0 && begin < piece.first;
    return room >= static_cast<int>(v * kStep + kWidth) && !is_before;
  };
  const T *source = reinterpret_cast<const T *>(piece.source + begin);
  T slots[kCount];
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if (is_whole(v)) slots[v] = __ldg(source + v * 32);
  }
  const unsigned edge =
      lane < 4 ? piece.first / kWidth * kWidth + lane : piece.end / kWidth * kWidth + lane - 4;
  const bool has_edge =
      kWidth > 1 && lane < 8 && edge < piece.end &&
      (lane < 4 ? piece.begin == 0 && edge >= piece.first && edge < inside : edge >= inside);
  const int edge_slot = has_edge ? piece.source[edge] : 0;
  // the pages whose first slot is in the piece; columns where they begin
  const int *columns = piece.source + piece.first;
  const unsigned page_size = layout.page_size.divisor;
  const unsigned end_column = layout.pages ? piece.end - piece.first : 0;
  unsigned page =
      lane + layout.page_size.divide_up(piece.begin > piece.first ? piece.begin - piece.first : 0);
  const auto is_inside = [&] {
    return static_cast<unsigned long long>(page) * page_size < end_column;
  };
  int page_slot[1] = {0};
  if (is_inside()) page_slot[0] = __ldg(columns + page * page_size);

  const int64 row_offset = piece.row * args.page_table_stride - piece.first;
  outputs.for_each([&](int b) {
    int *table = outputs.get(b, kPageTable1);
    if (!table) return;
    table += row_offset;
    int *to = table + begin;
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (is_whole(v)) store(reinterpret_cast<T *>(to + v * kStep), slots[v]);
    }
    if (has_edge) table[edge] = edge_slot;
  });
#pragma unroll 1
  while (is_inside()) {
    store_pages(args, outputs, layout, piece.row, page, page + 1, page_slot);
    page += 32;
    if (is_inside()) page_slot[0] = __ldg(columns + page * page_size);
  }
}

// Whether vectors of the source and of every table row begin at multiples of 4 positions.
template <class Outputs>
__device__ bool is_aligned(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  const unsigned offset = piece.row * static_cast<unsigned>(args.page_table_stride) - piece.first;
  return address_in_elements(piece.source) % 4 == 0 && outputs.page_tables_1_are_aligned(offset);
}

template <class T, class Outputs>
__device__ void copy_pieces(const Arguments &args, const Outputs &outputs, const Layout &layout,
                            Piece piece, unsigned end) {
#pragma unroll 1
  for (; piece.begin < end; piece.begin = piece.end) {
    piece.end = piece.begin + min_unsigned(kUnits * 128, end - piece.begin);
    copy_piece<T>(args, outputs, layout, piece);
  }
}

// Units [begin, end) of one row.
template <class Outputs>
__device__ void copy_units(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           const Row &row, unsigned begin, unsigned end) {
  const int *columns = args.req_to_token + row.req_pool_index * args.req_to_token_stride;
  const unsigned first = first_position(args, layout, row.number);
  const unsigned row_end = end_position(layout, first, row.extent);
  const unsigned stop = end > row_end >> layout.log2_unit ? row_end : end << layout.log2_unit;
  const Piece piece = {row.number, columns - first, first, begin << layout.log2_unit, stop};
  if (!layout.slots) {
    copy_pages(args, outputs, layout, row.number, columns, piece.begin, stop);
  } else if (is_aligned(args, outputs, piece)) {
    copy_pieces<int4>(args, outputs, layout, piece, stop);
  } else {
    copy_pieces<int>(args, outputs, layout, piece, stop);
  }
}

// 32 rows that follow each other, one a lane, and where the lane's units end in the batch.
struct Chunk {
  Row row;
  unsigned units;
  unsigned ends;
  unsigned begin;  // of the first row
  unsigned end;    // of the last one
};

// Where the units of the batch lie. The rows are cut into lists, a list a thread:
// of one row, or of whole chunks where there are more rows than threads.
struct Directory {
  int longest;
  unsigned list_rows;
  unsigned units;  // of the lists of the warp whose number is the lane's
  unsigned ends;
  const unsigned *list_ends;  // shared memory: counted from the first list of its warp
  const Row *rows;            // shared memory: the first of each list
};

__device__ void finish_chunk(Chunk *chunk) {
  chunk->ends = chunk->begin + warp_inclusive_scan(chunk->units);
  chunk->end = __shfl_sync(kWholeWarp, chunk->ends, 31);
}

// Brings the chunk that holds unit `at`.
__device__ void find_chunk(const Arguments &args, const Layout &layout, const Directory &directory,
                           unsigned at, Chunk *chunk) {
  const unsigned lane = lane_index();
  const int warp = first_lane(directory.ends > at);
  chunk->begin = __shfl_sync(kWholeWarp, directory.ends - directory.units, warp);
  const unsigned ends = directory.list_ends[warp * 32 + lane];
  if (directory.list_rows == 1) {
    const unsigned before = __shfl_up_sync(kWholeWarp, ends, 1);
    chunk->row = directory.rows[warp * 32 + lane];
    chunk->units = ends - (lane > 0 ? before : 0);
    chunk->ends = chunk->begin + ends;
    chunk->end = __shfl_sync(kWholeWarp, chunk->ends, 31);
    return;
  }
  const int list = first_lane(chunk->begin + ends > at);
  if (list > 0) chunk->begin += __shfl_sync(kWholeWarp, ends, list - 1);
  chunk->row.number = (warp * 32 + list) * directory.list_rows + lane;
#pragma unroll 1
  while (true) {
    chunk->units = 0;
    if (chunk->row.number < static_cast<unsigned>(args.batch_size)) {
      Words index;
      index.load(args.req_pool_indices, has_wide_indices(args), chunk->row.number);
      chunk->row.extent = load_extent(args, directory.longest, chunk->row.number);
      chunk->row.req_pool_index = index.value(has_wide_indices(args));
      chunk->units = units_of(args, layout, chunk->row.number, chunk->row.extent);
    }
    finish_chunk(chunk);
    if (chunk->end > at) return;
    chunk->begin = chunk->end;
    chunk->row.number += 32;
  }
}

// Counts the units of all lists, a warp a list; returns those of the thread's own.
__device__ unsigned count_lists(const Arguments &args, const Layout &layout,
                                const Directory &directory, unsigned *counts) {
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  counts[threadIdx.x] = 0;
  __syncthreads();
  constexpr unsigned kAtOnce = 4;
  const unsigned warp = threadIdx.x / 32;
#pragma unroll 1
  for (unsigned list = warp; list * directory.list_rows < batch_size; list += kAtOnce * kWarps) {
    unsigned units[kAtOnce] = {};
#pragma unroll 1
    for (unsigned i = lane_index(); i < directory.list_rows; i += 32) {
#pragma unroll
      for (unsigned v = 0; v < kAtOnce; ++v) {
        const unsigned row = (list + v * kWarps) * directory.list_rows + i;
        const unsigned readable = min_unsigned(row, batch_size - 1);
        const int extent = load_extent(args, directory.longest, readable);
        if (row < batch_size) units[v] += units_of(args, layout, row, extent);
      }
    }
#pragma unroll
    for (unsigned v = 0; v < kAtOnce; ++v) {
      const unsigned sum = warp_sum(units[v]);
      if (lane_index() == 0 && list + v * kWarps < kThreads) counts[list + v * kWarps] = sum;
    }
  }
  __syncthreads();
  return counts[threadIdx.x];
}

template <class Outputs>
__device__ void write_page_tables(const Arguments &args, const Outputs &outputs, unsigned block,
                                  unsigned blocks) {
  __shared__ unsigned list_ends[kThreads];
  __shared__ unsigned warp_units[kWarps];
  __shared__ Row rows[kThreads];
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  const unsigned lane = lane_index();
  const unsigned warp = threadIdx.x / 32;
  const bool few = batch_size <= 32;  // then each warp has all rows, as its only chunk
  Words length, index;
  Row mine;
  mine.number = few ? lane : threadIdx.x;
  const unsigned readable = min_unsigned(mine.number, batch_size - 1);
  length.load(args.seq_lens, has_wide_lengths(args), readable);
  index.load(args.req_pool_indices, has_wide_indices(args), readable);
  outputs.stage();
  const Layout layout = make_layout(args, outputs);
  if (!layout.slots && !layout.pages) return;
  mine.req_pool_index = index.value(has_wide_indices(args));
  mine.extent = min_int(length.clamped(has_wide_lengths(args)), args.max_len);
  Directory directory = {-1, 1, 0, 0, list_ends, rows};
  if (args.flags & kExtentBatchMax) {
    directory.longest = mine.extent = longest_extent(args, mine.extent);
  }
  Chunk chunk;
  chunk.row = mine;
  chunk.begin = 0;
  chunk.units = mine.number < batch_size ? units_of(args, layout, mine.number, mine.extent) : 0;
  if (batch_size > kThreads) {
    directory.list_rows = (batch_size - 1) / (32 * kThreads) * 32 + 32;
    chunk.units = count_lists(args, layout, directory, list_ends);
  }
  finish_chunk(&chunk);
  unsigned total = chunk.end;
  if (!few) {
    rows[threadIdx.x] = mine;
    list_ends[threadIdx.x] = chunk.ends;
    if (lane == 31) warp_units[warp] = chunk.ends;
    __syncthreads();
    directory.units = warp_units[lane % kWarps];
    directory.ends = warp_inclusive_scan<kWarps>(directory.units);
    total = __shfl_sync(kWholeWarp, directory.ends, kWarps - 1);
    chunk.end = 0;  // none yet
  }

  // runs of units in turn: short ones where there are few, so that all warps have one
  const unsigned warps = blocks * kWarps;
  unsigned run = 1;
  while (run < kUnits && total > run * warps) ++run;
  if (batch_size > kThreads && total > run * warps) run = total / warps + 1;
#pragma unroll 1
  for (unsigned turn = (warp * blocks + block) * run; turn < total; turn += warps * run) {
    const unsigned turn_end = min_unsigned(turn + run, total);
#pragma unroll 1
    for (unsigned at = turn; at < turn_end;) {
      if (at < chunk.begin || at >= chunk.end) find_chunk(args, layout, directory, at, &chunk);
      const int k = first_lane(chunk.ends > at);
      const unsigned row_end = __shfl_sync(kWholeWarp, chunk.ends, k);
      const unsigned row_begin = row_end - __shfl_sync(kWholeWarp, chunk.units, k);
      const Row row = {__shfl_sync(kWholeWarp, chunk.row.number, k),
                       __shfl_sync(kWholeWarp, chunk.row.extent, k),
                       __shfl_sync(kWholeWarp, chunk.row.req_pool_index, k)};
      const unsigned end = min_unsigned(turn_end, row_end);
      copy_units(args, outputs, layout, row, at - row_begin, end - row_begin);
      at = end;
    }
  }
}

__device__ unsigned length_blocks(const Arguments &args) {
  const unsigned blocks = (static_cast<unsigned>(args.batch_size) + kThreads - 1) / kThreads;
  return blocks > kMaxLengthBlocks ? kMaxLengthBlocks : blocks > 0 ? blocks : 1;
}

template <class Outputs>
__device__ void decode_metadata(const Arguments &args, const Outputs &outputs) {
  const unsigned writers = length_blocks(args);
  if (blockIdx.x >= writers) {
    if (args.batch_size == 0) return;
    write_page_tables(args, outputs, blockIdx.x - writers, gridDim.x - writers);
    return;
  }
  if (args.batch_size <= 32) {
    write_few_lengths(args, outputs);
    return;
  }
  // whole chunks of kThreads rows for each block
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  const unsigned chunks = (batch_size + kThreads - 1) / kThreads;
  const unsigned rows = (chunks + writers - 1) / writers * kThreads;
  const unsigned first = min_unsigned(blockIdx.x * rows, batch_size);
  write_lengths(args, outputs, first, min_unsigned(first + rows, batch_size));
}

}  // namespace

// The parameters common to both entries. runtime/launch.c packs them in this order.
#define UDM_INPUTS const void *seq_lens, const void *req_pool_indices, const int *req_to_token
#define UDM_SCALARS                                                                      \
  int batch_size, int max_len, int num_backends, int nsa_index_topk, int real_page_size, \
      unsigned flags, unsigned page_reciprocal, long long req_to_token_stride,           \
      long long page_table_stride, long long real_page_table_stride
#define UDM_ARGUMENTS                                                                            \
  {                                                                                              \
    seq_lens, req_pool_indices, req_to_token, batch_size, max_len, num_backends, nsa_index_topk, \
        real_page_size, flags, page_reciprocal, req_to_token_stride, page_table_stride,          \
        real_page_table_stride                                                                   \
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
    udm_decode_metadata_direct(UDM_INPUTS, UDM_BACKEND(0), UDM_BACKEND(1), UDM_BACKEND(2),
                               UDM_SCALARS) {
  const Arguments args = UDM_ARGUMENTS;
  const DirectOutputs<3> outputs = {
      {UDM_BACKEND_POINTERS(0), UDM_BACKEND_POINTERS(1), UDM_BACKEND_POINTERS(2)}};
  decode_metadata(args, outputs);
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    udm_decode_metadata_table(UDM_INPUTS, const long long *backend_pointers,
                              long long backend_pointers_stride, UDM_SCALARS) {
  const Arguments args = UDM_ARGUMENTS;
  __shared__ long long staged[kOutputs * TableOutputs::kMax];
  const TableOutputs outputs = {backend_pointers, backend_pointers_stride, num_backends, staged};
  decode_metadata(args, outputs);
}
