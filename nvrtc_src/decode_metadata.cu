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
constexpr int kUnits = 4;             // a warp has at most so many units in flight
constexpr int kWarps = kThreads / 32;
constexpr int kInt32Max = 0x7fffffff;
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
  int64 req_to_token_stride;
  int64 page_table_stride;
  int64 real_page_table_stride;
};

// The direct entry's pointers: kernel arguments, indexed by constants only, so
// that they stay in the constant bank.
template <int kMax>
struct DirectOutputs {
  int *pointers[kMax][kOutputs];
  __device__ void stage() const {}
  __device__ int *get(int backend, Output output) const { return pointers[backend][output]; }
  template <class Body>
  __device__ void for_each(int count, Body body) const {
#pragma unroll
    for (int b = 0; b < kMax; ++b) {
      if (b < count) body(b);
    }
  }
};

// The table entry's pointers: int64[7][N] in device memory, brought to shared memory.
struct TableOutputs {
  static constexpr int kMax = 8;
  const int64 *pointers;
  int64 stride;
  int count;
  int64 *staged;  // shared memory, [kOutputs][kMax]
  __device__ void stage() const {
    const int output = threadIdx.x / kMax;
    const int backend = threadIdx.x % kMax;
    if (output < kOutputs && backend < count) {
      staged[threadIdx.x] = pointers[output * stride + backend];
    }
    __syncthreads();
  }
  __device__ int *get(int backend, Output output) const {
    return reinterpret_cast<int *>(staged[output * kMax + backend]);
  }
  template <class Body>
  __device__ void for_each(int, Body body) const {
#pragma unroll 1
    for (int b = 0; b < count; ++b) body(b);
  }
};

__device__ int lane_index() { return threadIdx.x % 32; }

__device__ int clamp_to_int32(int64 value) {
  if (value < 0) return 0;
  return value > kInt32Max ? kInt32Max : static_cast<int>(value);
}

__device__ int load_length(const Arguments &args, int64 i) {
  if (args.flags & kSeqLensInt64) {
    return clamp_to_int32(static_cast<const int64 *>(args.seq_lens)[i]);
  }
  return clamp_to_int32(static_cast<const int *>(args.seq_lens)[i]);
}

__device__ int64 load_req_pool_index(const Arguments &args, int64 i) {
  if (args.flags & kReqPoolIndicesInt64) {
    return static_cast<const int64 *>(args.req_pool_indices)[i];
  }
  return static_cast<const int *>(args.req_pool_indices)[i];
}

__device__ int min_int(int a, int b) { return a < b ? a : b; }
__device__ unsigned min_unsigned(unsigned a, unsigned b) { return a < b ? a : b; }

__device__ unsigned warp_inclusive_scan(unsigned value) {
#pragma unroll
  for (int delta = 1; delta < 32; delta *= 2) {
    const unsigned below = __shfl_up_sync(kWholeWarp, value, delta);
    if (lane_index() >= delta) value += below;
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
  const int warp = threadIdx.x / 32;
  value.k = warp_inclusive_scan(value.k);
  value.nsa = warp_inclusive_scan(value.nsa);
  if (lane_index() == 31) warp_totals[warp] = value;
  __syncthreads();
  const Sums other = lane_index() < kWarps ? warp_totals[lane_index()] : Sums{0, 0};
  const unsigned ends_k = warp_inclusive_scan(other.k);
  const unsigned ends_nsa = warp_inclusive_scan(other.nsa);
  *total = {__shfl_sync(kWholeWarp, ends_k, 31), __shfl_sync(kWholeWarp, ends_nsa, 31)};
  value.k += __shfl_sync(kWholeWarp, ends_k - other.k, warp);
  value.nsa += __shfl_sync(kWholeWarp, ends_nsa - other.nsa, warp);
  __syncthreads();  // the next scan reuses warp_totals
  return value;
}

template <class Outputs>
__device__ void store_lengths(const Arguments &args, const Outputs &outputs, int64 i, int length,
                              Sums sums) {
  const int nsa_length = min_int(length, args.nsa_index_topk);
  outputs.for_each(args.num_backends, [&](int b) {
    outputs.get(b, kCacheSeqlens)[i] = length;
    outputs.get(b, kSeqlensExpanded)[i] = length;
    outputs.get(b, kNsaCacheSeqlens)[i] = nsa_length;
    outputs.get(b, kCuSeqlensK)[i + 1] = static_cast<int>(sums.k);
    outputs.get(b, kNsaCuSeqlensK)[i + 1] = static_cast<int>(sums.nsa);
  });
}

__device__ Sums length_sums(const Arguments &args, int length) {
  return {static_cast<unsigned>(length),
          static_cast<unsigned>(min_int(length, args.nsa_index_topk))};
}

// Rows [first, last) of the batch. What lies before them is summed again, not waited for.
template <class Outputs>
__device__ void write_lengths(const Arguments &args, const Outputs &outputs, int64 first,
                              int64 last) {
  const bool has_zeros = first == 0 && threadIdx.x == 0;
  Sums before = {0, 0};
  outputs.stage();
  if (first > 0) {
    Sums mine = {0, 0};
#pragma unroll 4
    for (int64 i = threadIdx.x; i < first; i += kThreads) {
      const Sums one = length_sums(args, load_length(args, i));
      mine.k += one.k;
      mine.nsa += one.nsa;
    }
    block_inclusive_scan(mine, &before);
  }
  for (; first < last; first += kThreads) {
    const int64 i = first + threadIdx.x;
    const int length = i < last ? load_length(args, i) : 0;
    Sums total;
    Sums sums = block_inclusive_scan(length_sums(args, length), &total);
    sums.k += before.k;
    sums.nsa += before.nsa;
    before.k += total.k;
    before.nsa += total.nsa;
    if (i < last) store_lengths(args, outputs, i, length, sums);
  }
  if (has_zeros) {
    outputs.for_each(args.num_backends, [&](int b) {
      outputs.get(b, kCuSeqlensK)[0] = 0;
      outputs.get(b, kNsaCuSeqlensK)[0] = 0;
    });
  }
}

// ---- page tables ----

// How the live columns are cut into units. A position is a column counted from
// the 128-byte boundary at or before the row's first element in the first
// page_table_1, so that a warp stores whole lines; where no page_table_1 is
// written, it is a page. A unit is 2^log2_unit positions, so many that the units
// of the batch can be counted in 31 bits.
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

__device__ Row load_row(const Arguments &args, int longest, unsigned number) {
  if (number >= static_cast<unsigned>(args.batch_size)) return {number, 0, 0};
  return {number, load_extent(args, longest, number), load_req_pool_index(args, number)};
}

__device__ unsigned address_in_elements(const int *pointer) {
  return static_cast<unsigned>(reinterpret_cast<unsigned long long>(pointer) / 4);
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
  Layout layout = {};
  const unsigned page_size = static_cast<unsigned>(args.real_page_size);
  layout.page_size = {page_size, 0xffffffffu / page_size};
  // a stride of 0 says that no backend has that table
  layout.pages = page_size > 1 && args.real_page_table_stride > 0;
  if (args.page_table_stride > 0) {
    outputs.for_each(args.num_backends, [&](int b) {
      const int *table = outputs.get(b, kPageTable1);
      if (table && !layout.slots) layout.anchor = address_in_elements(table);
      layout.slots = layout.slots || table;
    });
  }
  layout.log2_unit = layout.slots ? 7 : 5;
  const unsigned most = end_position(layout, 31, args.max_len);
  const unsigned long long batch_size = static_cast<unsigned>(args.batch_size);
  while (((most >> layout.log2_unit) + 1) * batch_size >> 31) ++layout.log2_unit;
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

// Pages of one row: of its slots only the first of each page is read. kCount
// pages a lane are in flight.
template <int kCount>
struct Pages {
  int slots[kCount];

  __device__ void load(const Layout &layout, const int *columns, unsigned page, unsigned end) {
#pragma unroll
    for (int v = 0; v < kCount; ++v) {
      const unsigned at = page + v * 32;
      slots[v] = at < end ? columns[at * layout.page_size.divisor] : 0;
    }
  }

  template <class Outputs>
  __device__ void store(const Arguments &args, const Outputs &outputs, const Layout &layout,
                        unsigned row, unsigned page, unsigned end) {
    const int64 offset = row * args.real_page_table_stride + page;
#pragma unroll
    for (int v = 0; v < kCount; ++v) slots[v] = layout.page_size.divide_slot(slots[v]);
    outputs.for_each(args.num_backends, [&](int b) {
      int *table = outputs.get(b, kRealPageTable);
      if (!table) return;
      table += offset;
#pragma unroll
      for (int v = 0; v < kCount; ++v) {
        if (page + v * 32 < end) table[v * 32] = slots[v];
      }
    });
  }
};

template <class Outputs>
__device__ void copy_pages(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           unsigned row, const int *columns, unsigned begin, unsigned end) {
  for (unsigned page = begin + lane_index(); page < end; page += kUnits * 32) {
    Pages<kUnits> pages;
    pages.load(layout, columns, page, end);
    pages.store(args, outputs, layout, row, page, end);
  }
}

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
  const unsigned begin = piece.begin + lane * kWidth;
  // Column 0 is at a position below 32, so only the first of the lane's can be before it.
  const int room = begin >= piece.first ? static_cast<int>(piece.end - begin) : -1;
  const int later = static_cast<int>(piece.end - begin);
  const auto is_whole = [&](unsigned v) {
    return (v > 0 ? later : room) >= static_cast<int>(v * kStep + kWidth);
  };
  const T *source = reinterpret_cast<const T *>(piece.source + begin);
  T slots[kCount] = {};
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if (is_whole(v)) slots[v] = source[v * 32];
  }
  const unsigned inside = (piece.first + kWidth - 1) / kWidth * kWidth;
  const unsigned edge = lane < 4 ? piece.first / kWidth * kWidth + lane
                                 : piece.end / kWidth * kWidth + lane - 4;
  const bool has_edge = kWidth > 1 && lane < 8 && edge < piece.end &&
                        (lane < 4 ? piece.begin == 0 && edge >= piece.first && edge < inside
                                  : edge >= inside);
  const int edge_slot = has_edge ? piece.source[edge] : 0;
  // the pages whose first slot is in the piece
  const int *columns = piece.source + piece.first;
  unsigned page = lane, end_page = 0;
  if (layout.pages) {
    page += layout.page_size.divide_up(piece.begin > piece.first ? piece.begin - piece.first : 0);
    end_page = layout.page_size.divide_up(piece.end - piece.first);
  }
  Pages<1> pages;
  pages.load(layout, columns, page, end_page);

  const int64 row_offset = piece.row * args.page_table_stride - piece.first;
  outputs.for_each(args.num_backends, [&](int b) {
    int *table = outputs.get(b, kPageTable1);
    if (!table) return;
    table += row_offset;
    T *to = reinterpret_cast<T *>(table + begin);
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (is_whole(v)) to[v * 32] = slots[v];
    }
    if (has_edge) table[edge] = edge_slot;
  });
  while (page < end_page) {
    pages.store(args, outputs, layout, piece.row, page, end_page);
    page += 32;
    pages.load(layout, columns, page, end_page);
  }
}

// Whether vectors of the source and of every table row begin at multiples of 4 positions.
template <class Outputs>
__device__ bool is_aligned(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  const unsigned offset = piece.row * static_cast<unsigned>(args.page_table_stride) - piece.first;
  unsigned misaligned = address_in_elements(piece.source);
  outputs.for_each(args.num_backends, [&](int b) {
    const int *table = outputs.get(b, kPageTable1);
    if (table) misaligned |= address_in_elements(table) + offset;
  });
  return misaligned % 4 == 0;
}

// Units [begin, end) of one row.
template <class Outputs>
__device__ void copy_units(const Arguments &args, const Outputs &outputs, const Layout &layout,
                           const Row &row, unsigned begin, unsigned end) {
  const int *columns = args.req_to_token + row.req_pool_index * args.req_to_token_stride;
  Piece piece;
  piece.row = row.number;
  piece.first = first_position(args, layout, row.number);
  piece.source = columns - piece.first;
  piece.begin = begin << layout.log2_unit;
  const unsigned row_end = end_position(layout, piece.first, row.extent);
  const unsigned long long cut = static_cast<unsigned long long>(end) << layout.log2_unit;
  const unsigned stop = cut < row_end ? static_cast<unsigned>(cut) : row_end;
  if (!layout.slots) {
    copy_pages(args, outputs, layout, row.number, columns, piece.begin, stop);
    return;
  }
  const bool aligned = is_aligned(args, outputs, piece);
  for (; piece.begin < stop; piece.begin = piece.end) {
    piece.end = piece.begin + min_unsigned(kUnits * 128, stop - piece.begin);
    if (aligned) {
      copy_piece<int4>(args, outputs, layout, piece);
    } else {
      copy_piece<int>(args, outputs, layout, piece);
    }
  }
}

// The first lane that says yes; one does.
__device__ int first_lane(bool yes) { return __ffs(__ballot_sync(kWholeWarp, yes)) - 1; }

// A row, and the units of the batch that are its own.
struct Found {
  Row row;
  unsigned begin;
  unsigned end;
};

// Of rows in the lanes of a warp, whose units end at `ends`: that of unit `at`.
__device__ Found pick_row(const Row &row, unsigned units, unsigned ends, unsigned at) {
  const int lane = first_lane(ends > at);
  return {{__shfl_sync(kWholeWarp, row.number, lane), __shfl_sync(kWholeWarp, row.extent, lane),
           __shfl_sync(kWholeWarp, row.req_pool_index, lane)},
          __shfl_sync(kWholeWarp, ends - units, lane),
          __shfl_sync(kWholeWarp, ends, lane)};
}

// Where the units of the batch lie. Up to 32 rows, each lane has a row. Otherwise
// thread t has the list of rows t, t + kThreads, ...; the lists follow each other
// in the order of threads, and each lane has the lists of one warp.
struct Directory {
  bool few;
  int longest;
  Row mine;        // the thread's row, or the first of its list
  unsigned units;  // the lane's own
  unsigned ends;
  const unsigned *list_ends;  // shared memory: counted from the first list of the warp
  const Row *first_rows;      // shared memory: of each list
};

__device__ Found find_row(const Arguments &args, const Layout &layout, const Directory &directory,
                          unsigned at) {
  if (directory.few) return pick_row(directory.mine, directory.units, directory.ends, at);
  const int lane = lane_index();
  const int warp = first_lane(directory.ends > at);
  unsigned begin = __shfl_sync(kWholeWarp, directory.ends - directory.units, warp);
  const unsigned ends = begin + directory.list_ends[warp * 32 + lane];
  const int list = first_lane(ends > at);
  if (list > 0) begin = __shfl_sync(kWholeWarp, ends, list - 1);
  unsigned first = warp * 32 + list;
  if (args.batch_size <= kThreads) {
    return {directory.first_rows[first], begin, __shfl_sync(kWholeWarp, ends, list)};
  }
  while (true) {  // 32 rows of the list at a time
    const Row row = load_row(args, directory.longest, first + lane * kThreads);
    const unsigned units = units_of(args, layout, row.number, row.extent);
    const unsigned row_ends = begin + warp_inclusive_scan(units);
    begin = __shfl_sync(kWholeWarp, row_ends, 31);
    if (begin > at) return pick_row(row, units, row_ends, at);
    first += 32 * kThreads;
  }
}

template <class Outputs>
__device__ void write_page_tables(const Arguments &args, const Outputs &outputs, unsigned block,
                                  unsigned blocks) {
  __shared__ unsigned list_ends[kThreads];
  __shared__ unsigned warp_units[kWarps];
  __shared__ Row first_rows[kThreads];
  const int lane = lane_index();
  const unsigned warp = threadIdx.x / 32;
  const unsigned batch_size = static_cast<unsigned>(args.batch_size);
  const bool few = batch_size <= 32;
  Directory directory = {few, -1, load_row(args, -1, few ? lane : threadIdx.x), 0, 0, list_ends,
                         first_rows};
  outputs.stage();
  const Layout layout = make_layout(args, outputs);
  if (!layout.slots && !layout.pages) return;
  Row &mine = directory.mine;
  if (args.flags & kExtentBatchMax) {
    directory.longest = longest_extent(args, mine.extent);
    if (mine.number < batch_size) mine.extent = directory.longest;
  }
  unsigned units = units_of(args, layout, mine.number, mine.extent);
  if (!few) {
#pragma unroll 4
    for (unsigned row = mine.number + kThreads; row < batch_size; row += kThreads) {
      units += units_of(args, layout, row, load_extent(args, directory.longest, row));
    }
    const unsigned ends = warp_inclusive_scan(units);
    first_rows[threadIdx.x] = mine;
    list_ends[threadIdx.x] = ends;
    if (lane == 31) warp_units[warp] = ends;
    __syncthreads();
    units = lane < kWarps ? warp_units[lane] : 0;
  }
  directory.units = units;
  directory.ends = warp_inclusive_scan(units);

  // runs of units in turn: short ones where there are few, so that all warps have one
  const unsigned total = __shfl_sync(kWholeWarp, directory.ends, 31);
  const unsigned warps = blocks * kWarps;
  const unsigned run = total > 3 * warps ? 4 : total > 2 * warps ? 3 : total > warps ? 2 : 1;
  for (unsigned turn = (warp * blocks + block) * run; turn < total; turn += warps * run) {
    const unsigned turn_end = min_unsigned(turn + run, total);
    for (unsigned at = turn; at < turn_end;) {
      const Found found = find_row(args, layout, directory, at);
      const unsigned end = min_unsigned(turn_end, found.end);
      copy_units(args, outputs, layout, found.row, at - found.begin, end - found.begin);
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
    write_page_tables(args, outputs, blockIdx.x - writers, gridDim.x - writers);
    return;
  }
  // whole chunks of kThreads rows for each block
  const int64 chunks = (static_cast<int64>(args.batch_size) + kThreads - 1) / kThreads;
  const int64 rows = (chunks + writers - 1) / writers * kThreads;
  const int64 first = blockIdx.x * rows;
  const int64 last = first + rows < args.batch_size ? first + rows : args.batch_size;
  write_lengths(args, outputs, first, last);
}

}  // namespace

// The parameters common to both entries. runtime/launch.c packs them in this order.
#define UDM_INPUTS const void *seq_lens, const void *req_pool_indices, const int *req_to_token
#define UDM_SCALARS                                                                      \
  int batch_size, int max_len, int num_backends, int nsa_index_topk, int real_page_size, \
      unsigned flags, long long req_to_token_stride, long long page_table_stride,        \
      long long real_page_table_stride
#define UDM_ARGUMENTS                                                                            \
  {                                                                                              \
    seq_lens, req_pool_indices, req_to_token, batch_size, max_len, num_backends, nsa_index_topk, \
        real_page_size, flags, req_to_token_stride, page_table_stride, real_page_table_stride    \
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

extern "C" __global__ void __launch_bounds__(kThreads)
    udm_decode_metadata_direct(UDM_INPUTS, UDM_BACKEND(0), UDM_BACKEND(1), UDM_BACKEND(2),
                               UDM_SCALARS) {
  const Arguments args = UDM_ARGUMENTS;
  const DirectOutputs<3> outputs = {
      {UDM_BACKEND_POINTERS(0), UDM_BACKEND_POINTERS(1), UDM_BACKEND_POINTERS(2)}};
  decode_metadata(args, outputs);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    udm_decode_metadata_table(UDM_INPUTS, const long long *backend_pointers,
                              long long backend_pointers_stride, UDM_SCALARS) {
  const Arguments args = UDM_ARGUMENTS;
  __shared__ long long staged[kOutputs * TableOutputs::kMax];
  const TableOutputs outputs = {backend_pointers, backend_pointers_stride, num_backends, staged};
  decode_metadata(args, outputs);
}
