// The kernel of udm: decode metadata of every draft backend in one launch.
//
// SPDX-License-Identifier: Apache-2.0
//
// The contract is in include/udm.h. This file includes nothing: it is compiled
// by NVRTC on the user's machine, and by the tests for the host CPU.
//
// Grid: the first length_blocks(batch_size) blocks write the lengths and their
// prefix sums, all others the page tables. The columns that are live at run
// time are cut into units, and every warp takes an equal run of them: each block
// counts the units of all rows for itself, and each warp finds its place by
// search. So no block waits for another, the cost follows the live columns alone,
// and the grid depends on the launch's arguments alone: a recorded launch stays
// right whatever the lengths are when it is replayed.

namespace {

typedef long long int64;

constexpr int kThreads = 512;         // and in runtime/kernel_interface.h
constexpr int kMaxLengthBlocks = 32;  // and in runtime/kernel_interface.h
constexpr int kBatch = 4;             // vectors that a thread has in flight
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
  __device__ int *get(int backend, Output output) const { return pointers[backend][output]; }
  template <class Body>
  __device__ void for_each(int count, Body body) const {
#pragma unroll
    for (int b = 0; b < kMax; ++b) {
      if (b < count) body(b);
    }
  }
};

// The table entry's pointers: int64[7][N] in device memory.
struct TableOutputs {
  const int64 *pointers;
  int64 stride;
  __device__ int *get(int backend, Output output) const {
    return reinterpret_cast<int *>(pointers[output * stride + backend]);
  }
  template <class Body>
  __device__ void for_each(int count, Body body) const {
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
};

// C's division of a slot, towards 0.
__device__ int divide_slot(const Divider &by, int slot) {
  const unsigned sign = slot < 0 ? ~0u : 0u;
  return static_cast<int>((by.divide((static_cast<unsigned>(slot) ^ sign) - sign) ^ sign) - sign);
}

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
  Sums before = {0, 0};
  if (first == 0 && threadIdx.x == 0) {
    outputs.for_each(args.num_backends, [&](int b) {
      outputs.get(b, kCuSeqlensK)[0] = 0;
      outputs.get(b, kNsaCuSeqlensK)[0] = 0;
    });
  }
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
}

// ---- page tables ----

// How the live columns are cut into units. A position is a column counted from
// the 128-byte boundary at or before the row's first element in the first
// page_table_1, so that a warp stores whole lines; where no page_table_1 is
// written, it is a page. A unit is 2^log2_unit positions, and so large that the
// units of the batch can be counted in 32 bits.
struct Layout {
  bool slots;       // a page_table_1 is written
  bool pages;       // a real_page_table is written
  int longest;      // kExtentBatchMax: the extent of every row; otherwise -1
  unsigned anchor;  // address of the first page_table_1 in elements, modulo 2^32
  unsigned log2_unit;
  Divider page_size;
};

__device__ unsigned address_in_elements(const int *pointer) {
  return static_cast<unsigned>(reinterpret_cast<unsigned long long>(pointer) / 4);
}

// The position of column 0 of a row.
__device__ unsigned first_position(const Arguments &args, const Layout &layout, int64 row) {
  const unsigned element = layout.anchor + static_cast<unsigned>(row * args.page_table_stride);
  return layout.slots ? element % 32 : 0;
}

__device__ unsigned end_position(const Layout &layout, unsigned first, int extent) {
  const unsigned columns = static_cast<unsigned>(extent);
  if (layout.slots) return first + columns;
  return layout.page_size.divide(columns + layout.page_size.divisor - 1);
}

__device__ unsigned units_of(const Arguments &args, const Layout &layout, int64 row, int extent) {
  const unsigned end = end_position(layout, first_position(args, layout, row), extent);
  return extent > 0 ? (end + (1u << layout.log2_unit) - 1) >> layout.log2_unit : 0;
}

__device__ int load_extent(const Arguments &args, const Layout &layout, int64 row) {
  return layout.longest >= 0 ? layout.longest : min_int(load_length(args, row), args.max_len);
}

template <class Outputs>
__device__ Layout make_layout(const Arguments &args, const Outputs &outputs) {
  Layout layout = {};
  layout.longest = -1;
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
  while (((static_cast<unsigned long long>(most) >> layout.log2_unit) + 1) *
             static_cast<unsigned>(args.batch_size) >> 32) {
    ++layout.log2_unit;
  }
  return layout;
}

// The longest length of the batch, known to every thread of the block. Every
// block reads all lengths: the price of a launch in which no block waits.
__device__ int batch_max_length(const Arguments &args) {
  __shared__ int warp_max[kWarps];
  int longest = 0;
#pragma unroll 4
  for (int64 i = threadIdx.x; i < args.batch_size; i += kThreads) {
    const int length = load_length(args, i);
    longest = length > longest ? length : longest;
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

// A run of positions [begin, end) of one row, all of them of one warp.
struct Piece {
  int64 row;
  const int *source;  // position 0; column 0 where positions are pages
  unsigned first;     // the position of column 0
  unsigned begin;
  unsigned end;
};

// Copies what of the piece is whole T's: int, or int4 where all are aligned.
template <class T, int kCount, class Outputs>
__device__ void copy_slots(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  constexpr unsigned kWidth = sizeof(T) / sizeof(int);
  constexpr unsigned kStep = 32 * kWidth;
  const int64 row_offset = piece.row * args.page_table_stride - piece.first;
  for (unsigned begin = piece.begin + lane_index() * kWidth; begin < piece.end;
       begin += kCount * kStep) {
    T slots[kCount] = {};  // all loads in flight before the first store
    bool whole[kCount];
#pragma unroll
    for (int v = 0; v < kCount; ++v) {
      const unsigned at = begin + v * kStep;
      whole[v] = at >= piece.first && at + kWidth <= piece.end;
      if (whole[v]) slots[v] = *reinterpret_cast<const T *>(piece.source + at);
    }
    outputs.for_each(args.num_backends, [&](int b) {
      int *table = outputs.get(b, kPageTable1);
      if (!table) return;
#pragma unroll
      for (int v = 0; v < kCount; ++v) {
        const int64 at = row_offset + begin + v * kStep;
        if (whole[v]) *reinterpret_cast<T *>(table + at) = slots[v];
      }
    });
  }
}

// The slots of a row's first and last vector where the row has only a part of
// it: at most 3 of each, a lane each.
template <class Outputs>
__device__ void copy_edges(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  const unsigned lane = lane_index();
  const unsigned inside = (piece.first + 3) / 4 * 4;
  const unsigned head = piece.first / 4 * 4 + lane;
  const unsigned tail = piece.end / 4 * 4 + lane - 4;
  const bool is_head = lane < 4 && piece.begin == 0 && head < inside;
  const bool is_tail = lane >= 4 && lane < 8 && tail >= inside;
  if (!is_head && !is_tail) return;
  Piece one = piece;
  one.begin = (is_head ? head : tail) - lane;
  one.end = min_unsigned(piece.end, one.begin + lane + 1);
  copy_slots<int, 1>(args, outputs, one);
}

// Pages [begin, end) of one row; of the slots only the first of each page is read.
template <class Outputs>
__device__ void copy_pages(const Arguments &args, const Outputs &outputs, const Divider &page_size,
                           int64 row, const int *source, unsigned begin, unsigned end) {
  const int64 row_offset = row * args.real_page_table_stride;
  for (unsigned first = begin + lane_index(); first < end; first += kBatch * 32) {
    int slots[kBatch] = {};
#pragma unroll
    for (int v = 0; v < kBatch; ++v) {
      const unsigned page = first + v * 32;
      if (page < end) slots[v] = source[page * page_size.divisor];
    }
#pragma unroll
    for (int v = 0; v < kBatch; ++v) slots[v] = divide_slot(page_size, slots[v]);
    outputs.for_each(args.num_backends, [&](int b) {
      int *table = outputs.get(b, kRealPageTable);
      if (!table) return;
#pragma unroll
      for (int v = 0; v < kBatch; ++v) {
        const unsigned page = first + v * 32;
        if (page < end) table[row_offset + page] = slots[v];
      }
    });
  }
}

// Whether vectors of the source and of every table row begin at multiples of 4 positions.
template <class Outputs>
__device__ bool is_aligned(const Arguments &args, const Outputs &outputs, const Piece &piece) {
  const unsigned offset = static_cast<unsigned>(piece.row * args.page_table_stride) - piece.first;
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
                           int64 row, int extent, int64 req_pool_index, unsigned begin,
                           unsigned end) {
  Piece piece;
  piece.row = row;
  piece.first = first_position(args, layout, row);
  piece.source = args.req_to_token + (req_pool_index * args.req_to_token_stride - piece.first);
  piece.begin = begin << layout.log2_unit;
  piece.end = end_position(layout, piece.first, extent);
  const unsigned long long cut = static_cast<unsigned long long>(end) << layout.log2_unit;
  if (cut < piece.end) piece.end = static_cast<unsigned>(cut);
  const int *columns = piece.source + piece.first;
  if (!layout.slots) {
    copy_pages(args, outputs, layout.page_size, row, columns, piece.begin, piece.end);
    return;
  }
  if (is_aligned(args, outputs, piece)) {
    copy_slots<int4, kBatch>(args, outputs, piece);
    copy_edges(args, outputs, piece);
  } else {
    copy_slots<int, 4 * kBatch>(args, outputs, piece);
  }
  if (!layout.pages) return;
  // the pages whose first slot is in the piece, which has just been read
  const unsigned round_up = layout.page_size.divisor - 1;
  const unsigned begin_column = piece.begin > piece.first ? piece.begin - piece.first : 0;
  copy_pages(args, outputs, layout.page_size, row, columns,
             layout.page_size.divide(begin_column + round_up),
             layout.page_size.divide(piece.end - piece.first + round_up));
}

// A block's, or a warp's, equal share of units: [*begin, *begin + the result).
__device__ unsigned share(unsigned units, unsigned shares, unsigned index, unsigned *begin) {
  const unsigned each = units / shares;
  const unsigned rest = units % shares;
  *begin += index * each + min_unsigned(index, rest);
  return each + (index < rest);
}

// Thread t counts the units of its list of rows: t, t + kThreads, ... The lists
// follow each other in the order of threads; of each list's last unit, block
// and warp know where it ends.
template <class Outputs>
__device__ void write_page_tables(const Arguments &args, const Outputs &outputs, unsigned block,
                                  unsigned blocks) {
  __shared__ unsigned list_ends[kThreads];  // in the lists of the thread's warp
  __shared__ unsigned warp_totals[kWarps];
  const unsigned lane = lane_index();
  const unsigned warp = threadIdx.x / 32;
  Layout layout = make_layout(args, outputs);
  if (!layout.slots && !layout.pages) return;
  if (args.flags & kExtentBatchMax) layout.longest = min_int(batch_max_length(args), args.max_len);
  unsigned units = 0;
#pragma unroll 4
  for (int64 row = threadIdx.x; row < args.batch_size; row += kThreads) {
    units += units_of(args, layout, row, load_extent(args, layout, row));
  }
  units = warp_inclusive_scan(units);
  list_ends[threadIdx.x] = units;
  if (lane == 31) warp_totals[warp] = units;
  __syncthreads();
  const unsigned ends = warp_inclusive_scan(lane < kWarps ? warp_totals[lane] : 0);
  unsigned begin = 0;
  unsigned count = share(__shfl_sync(kWholeWarp, ends, 31), blocks, block, &begin);
  count = share(count, kWarps, warp, &begin);
  const unsigned end = begin + count;
  while (begin < end) {
    // the list that holds unit `begin`, and where it starts and ends
    const unsigned w = __ffs(__ballot_sync(kWholeWarp, ends > begin)) - 1;
    const unsigned before = w > 0 ? __shfl_sync(kWholeWarp, ends, w - 1) : 0;
    const unsigned inner = before + list_ends[w * 32 + lane];
    const unsigned t = __ffs(__ballot_sync(kWholeWarp, inner > begin)) - 1;
    const unsigned list_end = min_unsigned(end, __shfl_sync(kWholeWarp, inner, t));
    unsigned start = t > 0 ? __shfl_sync(kWholeWarp, inner, t - 1) : before;
    for (int64 first = w * 32 + t; begin < list_end; first += 32 * kThreads) {
      // 32 rows of the list at once, a lane each
      const int64 row = first + lane * kThreads;
      int extent = 0;
      int64 index = 0;
      if (row < args.batch_size) {
        extent = load_extent(args, layout, row);
        index = load_req_pool_index(args, row);
      }
      const unsigned row_units = row < args.batch_size ? units_of(args, layout, row, extent) : 0;
      const unsigned row_ends = start + warp_inclusive_scan(row_units);
      start = __shfl_sync(kWholeWarp, row_ends, 31);
      const unsigned chunk_end = min_unsigned(list_end, start);
      while (begin < chunk_end) {
        const int k = __ffs(__ballot_sync(kWholeWarp, row_ends > begin)) - 1;
        const unsigned row_end = __shfl_sync(kWholeWarp, row_ends, k);
        const unsigned row_begin = row_end - __shfl_sync(kWholeWarp, row_units, k);
        const unsigned piece_end = min_unsigned(end, row_end);
        copy_units(args, outputs, layout, first + k * kThreads,
                   __shfl_sync(kWholeWarp, extent, k), __shfl_sync(kWholeWarp, index, k),
                   begin - row_begin, piece_end - row_begin);
        begin = piece_end;
      }
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
  const TableOutputs outputs = {backend_pointers, backend_pointers_stride};
  decode_metadata(args, outputs);
}
