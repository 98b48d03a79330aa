// Decode metadata of every draft backend in one launch. The contract is in include/udm.h.
//
// SPDX-License-Identifier: Apache-2.0
//
// The first copy_blocks blocks fill the page tables, the others the lengths and prefix sums.
// Window w of the batch has the rows w, w + num_windows, ..., at most 256 rows. The live columns
// of a row are cut into tiles of 128 columns. A copy block serves one window, in two phases:
//
//   row 0   |s0 s0|s1 s1|s2 s2|                  s0, s1, s2: slices of 1 to 4 tiles that the row
//   row 1   |s0|s1|                              number alone gives to a warp (static phase): the
//   row 2   |s0 s0 s0 s0|...|t t t t|t t t t|    copy starts after one load of a length
//                                                t: what remains of long rows (dynamic phase)
//
// In the dynamic phase the block prefix-sums the remaining tiles of its window's rows. Its warps
// draw tickets from a shared counter; a ticket is up to 4 tiles, whose row is found by ballots. Of
// a window of up to 64 rows each warp keeps its own list, so that no barrier is needed.
//
// No block waits for another, and the grid depends on the arguments alone: a recorded launch stays
// right whatever the lengths are at replay.

namespace {

typedef long long int64;
constexpr unsigned kThreads = UDM_KERNEL_THREADS, kWarps = UDM_KERNEL_WARPS;
constexpr unsigned kSliceTiles = UDM_KERNEL_SLICE_TILES, kWholeWarp = 0xffffffffu;
constexpr unsigned kSmallWindow = 64;  // up to so many rows, each warp keeps its own list of all
constexpr unsigned kGroups = kWarps * kSmallWindow / 32;  // of 32 rows, in shared memory

struct Params : udm_kernel_scalars {
  __device__ bool has(unsigned flag) const { return flags & flag; }
};

__device__ unsigned lane_index() { return threadIdx.x % 32; }
__device__ unsigned warp_index() { return threadIdx.x / 32; }
__device__ int smaller(int a, int b) { return a < b ? a : b; }
__device__ unsigned smaller(unsigned a, unsigned b) { return a < b ? a : b; }
__device__ int first_lane(bool yes) { return __ffs(__ballot_sync(kWholeWarp, yes)) - 1; }

// The backends' pointers to their outputs. The direct kernel has three, null if absent, as
// parameters: constant indices keep them in the constant bank. The general kernel copies its
// pointers to shared memory.
struct DirectOutputs {
  // The ways to copy a slice: code of its own for one tile, and ints per lane at a time.
  static constexpr bool kOneTile = true;
  static constexpr unsigned kInts = 16;
  int *pointers[UDM_KERNEL_OUTPUTS][UDM_KERNEL_DIRECT_BACKENDS];

  __device__ Params fetch(const Params &p) { return p; }
  template <class Body>
  __device__ void for_each(int output, Body body) const {
#pragma unroll
    for (int b = 0; b < UDM_KERNEL_DIRECT_BACKENDS; ++b) {
      if (pointers[output][b]) body(pointers[output][b]);
    }
  }
};

struct GeneralOutputs {
  static constexpr bool kOneTile = false;
  static constexpr unsigned kInts = 8;
  static constexpr unsigned kAtOnce = 3, kSlots = 9;  // backends whose pointers are read together
  const int64 *table, *backends;                      // backends: of a udm_kernel_backends
  int64 table_stride;
  int *(*pointers)[kSlots];  // shared memory, null beyond the last backend
  unsigned count;

  // Returns p with what the host could not know of pointers in device memory.
  __device__ Params fetch(const Params &p) {
    __shared__ int *fetched[UDM_KERNEL_OUTPUTS][kSlots];
    const unsigned output = threadIdx.x / kSlots, backend = threadIdx.x % kSlots;
    if (output < UDM_KERNEL_OUTPUTS) {
      const int64 *from = table ? table + output * table_stride + backend
                                : backends + backend * UDM_KERNEL_OUTPUTS + output;
      fetched[output][backend] = reinterpret_cast<int *>(backend < count ? *from : 0);
    }
    pointers = fetched;
    __syncthreads();
    Params full = p;
    if (!table || p.page_table_stride <= 0) return full;
    unsigned long long first = 0;
    unsigned vectors = UDM_KERNEL_VECTORS;
    for_each(UDM_KERNEL_PAGE_TABLE_1, [&](int *pointer) {
      const auto address = reinterpret_cast<unsigned long long>(pointer);
      if (!first) first = address;
      if ((address - first) % 16) vectors = 0;
    });
    if (first) {
      full.flags |= UDM_KERNEL_SLOTS | vectors |
                    static_cast<unsigned>(first / 4 % 32) << UDM_KERNEL_LINE_OFFSET_BIT;
    }
    return full;
  }
  template <class Body>
  __device__ void for_each(int output, Body body) const {
#pragma unroll 1
    for (unsigned first = 0; first < count; first += kAtOnce) {
      int *group[kAtOnce];
#pragma unroll
      for (unsigned b = 0; b < kAtOnce; ++b) group[b] = pointers[output][first + b];
#pragma unroll
      for (unsigned b = 0; b < kAtOnce; ++b) {
        if (group[b]) body(group[b]);
      }
    }
  }
};

// ---- numbers ------------------------------------------------------------------------------------

// An int32 or int64 of an array, as it lies there. Loading it and using it are two steps, so that
// other loads are issued between them.
struct Integer {
  unsigned low;
  int high;  // of an int32 the same word

  __device__ void load(const void *array, bool is_int64, unsigned i) {
    const unsigned *words = static_cast<const unsigned *>(array);
    words += static_cast<int64>(i) << is_int64;
    low = words[0];
    high = static_cast<int>(words[is_int64]);
  }
  __device__ int64 value(bool is_int64) const {
    const int upper = is_int64 ? high : high >> 31;
    return static_cast<int64>(static_cast<unsigned long long>(upper) << 32 | low);
  }
  __device__ int length(bool is_int64) const {  // clamped to 0..INT32_MAX
    const bool is_large = is_int64 & (high > 0);
    const unsigned value = is_large ? 0x7fffffffu : smaller(low, 0x7fffffffu);
    return high < 0 ? 0 : static_cast<int>(value);
  }
};

// Two branches: from the words of an Integer, NVRTC makes two loads that follow each other.
__device__ int load_length(const Params &p, unsigned row) {
  if (!p.has(UDM_KERNEL_SEQ_LENS_INT64)) {
    const int length = static_cast<const int *>(p.seq_lens)[row];
    return length < 0 ? 0 : length;
  }
  const int64 length = static_cast<const int64 *>(p.seq_lens)[row];
  return length < 0 ? 0 : static_cast<int>(length > 0x7fffffff ? 0x7fffffff : length);
}

// n / divisor, rounded down. The quotient by the reciprocal is right or one too small.
__device__ unsigned divide(unsigned n, unsigned divisor, unsigned reciprocal) {
  const unsigned quotient = __umulhi(n, reciprocal);
  return quotient + (n - quotient * divisor >= divisor);
}
__device__ unsigned pages_up(const Params &p, unsigned columns) {
  return divide(columns + p.page_size - 1, p.page_size, p.page_reciprocal);
}
__device__ int page_of_slot(const Params &p, int slot) {  // C's division: toward 0
  const unsigned sign = slot < 0 ? ~0u : 0u;
  const unsigned magnitude = (static_cast<unsigned>(slot) ^ sign) - sign;
  return static_cast<int>((divide(magnitude, p.page_size, p.page_reciprocal) ^ sign) - sign);
}

__device__ unsigned warp_scan(unsigned value) {  // inclusive
#pragma unroll
  for (int delta = 1; delta < 32; delta *= 2) {
    const unsigned below = __shfl_up_sync(kWholeWarp, value, delta);
    if (static_cast<int>(lane_index()) >= delta) value += below;
  }
  return value;
}

// ---- lengths and prefix sums --------------------------------------------------------------------

// Two sums side by side: of lengths, and of lengths cut to top-k. Unsigned: they wrap.
struct Sums {
  unsigned k, nsa;
  __device__ Sums operator+(Sums other) const { return {k + other.k, nsa + other.nsa}; }
};

__device__ Sums sums_of(const Params &p, int length) {
  return {static_cast<unsigned>(length), static_cast<unsigned>(smaller(length, p.topk))};
}

// Inclusive scan over the block; *total receives the sum.
__device__ Sums block_scan(Sums value, Sums *total) {
  __shared__ Sums totals[kWarps];
  value = {warp_scan(value.k), warp_scan(value.nsa)};
  if (lane_index() == 31) totals[warp_index()] = value;
  __syncthreads();
  Sums before = {0, 0};
  *total = {0, 0};
#pragma unroll
  for (unsigned w = 0; w < kWarps; ++w) {
    if (w < warp_index()) before = before + totals[w];
    *total = *total + totals[w];
  }
  __syncthreads();
  return value + before;
}

// What row i writes to each backend.
template <class Outputs>
__device__ void store_lengths(const Params &p, const Outputs &outputs, unsigned i, int length,
                              Sums ends) {
  const int visible = smaller(length, p.topk);
  outputs.for_each(UDM_KERNEL_CACHE_SEQLENS, [&](int *to) { to[i] = length; });
  outputs.for_each(UDM_KERNEL_SEQLENS_EXPANDED, [&](int *to) { to[i] = length; });
  outputs.for_each(UDM_KERNEL_NSA_CACHE_SEQLENS, [&](int *to) { to[i] = visible; });
  const auto store_ends = [&](int output, unsigned end) {
    outputs.for_each(output, [&](int *to) {
      if (i == 0) to[0] = 0;
      to[i + 1] = static_cast<int>(end);
    });
  };
  store_ends(UDM_KERNEL_CU_SEQLENS_K, ends.k);
  store_ends(UDM_KERNEL_NSA_CU_SEQLENS_K, ends.nsa);
}

// Rows [first, last). A block sums the rows before its own again rather than wait for their sums.
template <class Outputs>
__device__ void write_lengths(const Params &p, const Outputs &outputs, unsigned first,
                              unsigned last) {
  if (p.batch_size == 0) {
    const auto store_zero = [&](int *to) {
      if (threadIdx.x == 0) to[0] = 0;
    };
    outputs.for_each(UDM_KERNEL_CU_SEQLENS_K, store_zero);
    outputs.for_each(UDM_KERNEL_NSA_CU_SEQLENS_K, store_zero);
    return;
  }
  if (last <= 32) {  // one warp, no barrier
    if (warp_index() > 0) return;
    const int length = lane_index() < last ? load_length(p, lane_index()) : 0;
    const Sums one = sums_of(p, length);
    const Sums ends = {warp_scan(one.k), warp_scan(one.nsa)};
    if (lane_index() < last) store_lengths(p, outputs, lane_index(), length, ends);
    return;
  }
  Sums before = {0, 0}, total;
  if (first > 0) {
    Sums mine = {0, 0};
#pragma unroll 4
    for (unsigned i = threadIdx.x; i < first; i += kThreads) {
      mine = mine + sums_of(p, load_length(p, i));
    }
    block_scan(mine, &before);
  }
#pragma unroll 1
  for (; first < last; first += kThreads) {
    const unsigned i = first + threadIdx.x;
    const int length = i < last ? load_length(p, i) : 0;
    const Sums ends = before + block_scan(sums_of(p, length), &total);
    before = before + total;
    if (i < last) store_lengths(p, outputs, i, length, ends);
  }
}

// ---- page tables --------------------------------------------------------------------------------

// A row of the batch. Positions count columns from the 128-byte line in which the row of the first
// page_table_1 begins, so that a tile is whole lines. Without a page_table_1 they count pages.
struct Row {
  const int *source;  // its row of req_to_token
  unsigned number;
  unsigned first, end;  // the positions of column 0 and behind the last live column

  __device__ unsigned tiles(unsigned tile) const { return (end + tile - 1) / tile; }
};

// A row's integers on their way from memory.
struct RowLoad {
  Integer length, index;

  __device__ void load(const Params &p, unsigned number) {
    number = smaller(number, p.batch_size - 1);
    length.load(p.seq_lens, p.has(UDM_KERNEL_SEQ_LENS_INT64), number);
    index.load(p.req_pool_indices, p.has(UDM_KERNEL_REQ_POOL_INDICES_INT64), number);
  }
  // longest: the extent of every row, or -1
  __device__ Row row(const Params &p, unsigned number, int longest) const {
    const int tokens = length.length(p.has(UDM_KERNEL_SEQ_LENS_INT64));
    unsigned extent = longest >= 0 ? longest : smaller(tokens, p.max_len);
    Row row = {p.req_to_token, number, 0, 0};
    if (p.has(UDM_KERNEL_SLOTS)) {
      const unsigned line_offset = p.flags >> UDM_KERNEL_LINE_OFFSET_BIT;
      row.first = (line_offset + number * static_cast<unsigned>(p.page_table_stride)) % 32;
    } else {
      extent = pages_up(p, extent);
    }
    if (extent == 0 || number >= p.batch_size) return row;  // its index may be anything
    row.end = row.first + extent;
    row.source += index.value(p.has(UDM_KERNEL_REQ_POOL_INDICES_INT64)) * p.req_to_token_stride;
    return row;
  }
};

// Pages [begin, end) of a row, kCount at a time per lane. The first are loaded before the slots of
// the slice are stored, when their lines are on their way anyway.
template <unsigned kCount>
struct Pages {
  unsigned begin, end;
  int slots[kCount];

  __device__ void load(const Params &p, const Row &row) {
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      const unsigned page = begin + v * 32 + lane_index();
      slots[v] = page < end ? __ldg(row.source + page * p.page_size) : 0;
    }
  }
  template <class Outputs>
  __device__ void store(const Params &p, const Outputs &outputs, const Row &row) {
    const int64 offset = row.number * p.real_page_table_stride + lane_index();
#pragma unroll 1
    while (begin < end) {
#pragma unroll
      for (unsigned v = 0; v < kCount; ++v) slots[v] = page_of_slot(p, slots[v]);
      outputs.for_each(UDM_KERNEL_REAL_PAGE_TABLE, [&](int *table) {
        int *to = table + (offset + begin);
#pragma unroll
        for (unsigned v = 0; v < kCount; ++v) {
          if (begin + v * 32 + lane_index() < end) to[v * 32] = slots[v];
        }
      });
      begin += kCount * 32;
      load(p, row);
    }
  }
};

// An address of which the compiler knows nothing, so that it loads the slots in order, before the
// pages that lie in the same lines.
template <class T>
__device__ const T *opaque(const T *address) {
#ifdef __CUDA_ARCH__
  asm("" : "+l"(address));
#endif
  return address;
}

// Copies positions [begin, end) of a row, at most a slice: kCount accesses of type T (int or int4)
// per lane, all loads before the first store; behind the last whole int4, one int per lane.
template <class T, unsigned kCount, class Outputs>
__device__ void copy_slots(const Params &p, const Outputs &outputs, const Row &row, unsigned begin,
                           unsigned end) {
  constexpr unsigned kWidth = sizeof(T) / sizeof(int);
  const unsigned live = begin < row.first ? row.first : begin;
  const unsigned count = end / kWidth * kWidth - live;
  const unsigned mine = begin + lane_index() * kWidth - live;  // lanes before the first: huge
  const int column = static_cast<int>(begin + lane_index() * kWidth - row.first);
  T slots[kCount];
  const T *from = opaque(reinterpret_cast<const T *>(row.source + column));
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if ((kWidth > 1 && v == 0) || mine + v * 32 * kWidth < count) slots[v] = __ldg(from + v * 32);
  }
  const unsigned last = end / kWidth * kWidth - row.first + lane_index();
  const bool has_last = false;
  int last_slot = 0;
  if (has_last) last_slot = __ldg(row.source + last);
  Pages<1> pages = {0, 0, {}};
  if (p.has(UDM_KERNEL_PAGES)) {
    pages.begin = pages_up(p, live - row.first);
    pages.end = pages_up(p, end - row.first);
    pages.load(p, row);
  }
  const int64 offset = row.number * p.page_table_stride;
  outputs.for_each(UDM_KERNEL_PAGE_TABLE_1, [&](int *table) {
    table += offset;
    T *to = reinterpret_cast<T *>(table + column);
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if ((kWidth > 1 && v == 0) || mine + v * 32 * kWidth < count) __stwb(to + v * 32, slots[v]);
    }
    if (has_last) table[last] = last_slot;
  });
  pages.store(p, outputs, row);
}

// Copies some tiles of a row, at most a slice.
template <class Outputs>
__device__ void copy(const Params &p, const Outputs &outputs, const Row &row, unsigned begin,
                     unsigned end) {
  if (!p.has(UDM_KERNEL_SLOTS)) {
    Pages<kSliceTiles> pages = {begin, p.has(UDM_KERNEL_PAGES) ? end : begin, {}};
    pages.load(p, row);
    pages.store(p, outputs, row);
    return;
  }
  const unsigned source =
      static_cast<unsigned>(reinterpret_cast<unsigned long long>(row.source) / sizeof(int));
  const bool has_vectors = p.has(UDM_KERNEL_VECTORS) && begin >= row.first &&
                           (source - row.first) % 4 == 0 && (end - begin) % UDM_KERNEL_TILE == 0;
  if (has_vectors && (!Outputs::kOneTile || end - begin > UDM_KERNEL_TILE)) {
    copy_slots<int4, kSliceTiles>(p, outputs, row, begin, end);
  } else if (has_vectors) {
    copy_slots<int4, 1>(p, outputs, row, begin, end);
  } else if (Outputs::kOneTile && end - begin <= UDM_KERNEL_TILE) {
    copy_slots<int, 4>(p, outputs, row, begin, end);
  } else if constexpr (Outputs::kInts == 4 * kSliceTiles) {
    copy_slots<int, 4 * kSliceTiles>(p, outputs, row, begin, end);
  } else {
    constexpr unsigned kCount = Outputs::kInts, kStep = kCount * 32;
#pragma unroll 1
    for (; begin < end; begin += kStep) {
      copy_slots<int, kCount>(p, outputs, row, begin, smaller(begin + kStep, end));
    }
  }
}

// UDM_EXTENT_BATCH_MAX: the extent of every row. Each block reads all lengths.
__device__ int longest_extent(const Params &p) {
  __shared__ int longest[kWarps];
  int mine = 0;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < p.batch_size; i += kThreads) {
    mine = -smaller(-mine, -smaller(load_length(p, i), p.max_len));
  }
#pragma unroll
  for (int delta = 16; delta > 0; delta /= 2) {
    mine = -smaller(-mine, -__shfl_xor_sync(kWholeWarp, mine, delta));
  }
  if (lane_index() == 0) longest[warp_index()] = mine;
  __syncthreads();
#pragma unroll
  for (unsigned w = 0; w < kWarps; ++w) mine = -smaller(-mine, -longest[w]);
  return mine;
}

// Block `block` of the `blocks` that serve a window.
template <class Outputs>
__device__ void copy_window(const Params &arguments, Outputs &outputs, unsigned window,
                            unsigned block, unsigned blocks) {
  __shared__ Row rows[kGroups * 32];
  __shared__ unsigned tile_ends[kGroups * 32], group_totals[kWarps], tickets;
  const unsigned warps = kWarps * blocks, window_rows = arguments.window_rows;
  const unsigned slices = window_rows * arguments.slices_per_row;
  const auto number_of = [&](unsigned i) { return window + i * arguments.num_windows; };
  const auto part_of = [&](unsigned slice) {
    return divide(slice, window_rows, arguments.window_reciprocal);
  };
  // first all loads that depend on arguments alone
  RowLoad next, own, second;
  unsigned slice = warp_index() * blocks + block, part = part_of(slice);
  unsigned number = number_of(slice - part * window_rows);
  next.load(arguments, number);
  // Each warp has all rows of a small window, two per lane; each block those of a larger one, one
  // per thread. Rows past the window are past the batch.
  bool has_more = arguments.has(UDM_KERNEL_DYNAMIC);
  const bool is_small = window_rows <= kSmallWindow;
  const unsigned own_number = number_of(is_small ? 2 * lane_index() : threadIdx.x);
  if (has_more) {
    own.load(arguments, own_number);
    if (is_small) {
      second.length.load(arguments.seq_lens, arguments.has(UDM_KERNEL_SEQ_LENS_INT64),
                         smaller(own_number + arguments.num_windows, arguments.batch_size - 1));
    }
    if (threadIdx.x == 0) tickets = kWarps;
  }
  const Params p = outputs.fetch(arguments);
  if (has_more) __syncthreads();
  const int longest = p.has(UDM_KERNEL_EXTENT_BATCH_MAX) ? longest_extent(p) : -1;
  const unsigned tile_size = p.has(UDM_KERNEL_SLOTS) ? UDM_KERNEL_TILE : UDM_KERNEL_PAGE_TILE;
  const unsigned static_tiles = p.slices_per_row * kSliceTiles;
  const auto tiles_left = [&](const Row &row) {
    const unsigned all = row.tiles(tile_size);
    return all > static_tiles ? all - static_tiles : 0;
  };

  // Most small batches have no dynamic phase. To know it here is cheaper than after the copy.
  if (has_more && is_small && longest < 0) {
    const unsigned columns = tile_size * (p.has(UDM_KERNEL_SLOTS) ? 1 : p.page_size);
    const unsigned static_columns = static_tiles * columns - 31;
    const bool is_int64 = p.has(UDM_KERNEL_SEQ_LENS_INT64);
    const unsigned length = own.length.length(is_int64), other = second.length.length(is_int64);
    has_more = __any_sync(kWholeWarp, length > static_columns || other > static_columns);
  }
  // static phase: a short row is spread over all of its slices
#pragma unroll 1
  while (slice < slices) {
    const Row row = next.row(p, number, longest);
    const unsigned all = row.tiles(tile_size), per_row = p.slices_per_row;
    const unsigned tiles = 1 + (all > per_row) + (all > 2 * per_row) + (all > 3 * per_row);
    const unsigned begin = part * tiles * tile_size, end = begin + tiles * tile_size;
    slice += warps;
    part = part_of(slice);
    number = number_of(slice - part * window_rows);
    if (slice < slices) next.load(p, number);
    if (begin < row.end) copy(p, outputs, row, begin, smaller(end, row.end));
  }
  if (!has_more) return;

  // dynamic phase: the tiles that remain, counted. The rows are in groups of 32; where the tiles of
  // group group_base + lane end and begin:
  unsigned total, group_ends, group_begins = 0;
  const unsigned group_base = is_small ? 2 * warp_index() : 0;
  const Row mine = own.row(p, own_number, longest);
  unsigned left = tiles_left(mine);
  if (is_small) {
    second.index.load(p.req_pool_indices, p.has(UDM_KERNEL_REQ_POOL_INDICES_INT64),
                      smaller(own_number + p.num_windows, p.batch_size - 1));
    const Row other = second.row(p, own_number + p.num_windows, longest);
    const unsigned other_left = tiles_left(other);
    left += other_left;
    if (!__any_sync(kWholeWarp, left > 0)) return;
    const unsigned ends = warp_scan(left), at = group_base * 32 + 2 * lane_index();
    rows[at] = mine;
    rows[at + 1] = other;
    tile_ends[at] = ends - other_left;
    tile_ends[at + 1] = ends;
    group_ends = __shfl_sync(kWholeWarp, ends, lane_index() == 0 ? 15 : 31);
    total = __shfl_sync(kWholeWarp, ends, 31);
    __syncwarp();
  } else {
    if (!__syncthreads_or(left > 0)) return;
    const unsigned ends = warp_scan(left);
    rows[threadIdx.x] = mine;
    tile_ends[threadIdx.x] = ends;  // counted from the group's beginning
    if (lane_index() == 31) group_totals[warp_index()] = ends;
    __syncthreads();
    const unsigned group_tiles = group_totals[lane_index() % kWarps];
    group_ends = warp_scan(group_tiles);
    group_begins = group_ends - group_tiles;
    total = __shfl_sync(kWholeWarp, group_ends, kWarps - 1);
  }
  // few tiles: one per ticket, so that all warps get some
  const unsigned ticket_tiles = total > 2 * warps ? kSliceTiles : total > warps ? 2 : 1;
  unsigned tile = (warp_index() * blocks + block) * ticket_tiles, one = 1;
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(one));  // a constant makes the compiler add for all lanes together
#endif
  unsigned group_end = 0, listed_end = 0;
  Row listed =
      {};  // the lane's row of the present group; where its tiles and those of the group end
#pragma unroll 1
  while (tile < total) {
    unsigned ticket_end = smaller(tile + ticket_tiles, total);
#pragma unroll 1
    do {
      if (tile >= group_end) {  // tickets only rise
        const int group = first_lane(group_ends > tile);
        const unsigned at = (group_base + group) * 32 + lane_index();
        listed = rows[at];
        listed_end = __shfl_sync(kWholeWarp, group_begins, group) + tile_ends[at];
        group_end = __shfl_sync(kWholeWarp, group_ends, group);
      }
      const int r = first_lane(listed_end > tile);
      Row row;
      row.source = reinterpret_cast<const int *>(
          __shfl_sync(kWholeWarp, reinterpret_cast<unsigned long long>(listed.source), r));
      row.number = __shfl_sync(kWholeWarp, listed.number, r);
      row.first = __shfl_sync(kWholeWarp, listed.first, r);
      row.end = __shfl_sync(kWholeWarp, listed.end, r);
      const unsigned row_end = __shfl_sync(kWholeWarp, listed_end, r);
      const unsigned begin = (row.tiles(tile_size) - (row_end - tile)) * tile_size;
      const unsigned tiles = smaller(ticket_end, row_end) - tile;
      tile += tiles;
      copy(p, outputs, row, begin, smaller(begin + tiles * tile_size, row.end));
    } while (tile < ticket_end);
    if (total <= ticket_tiles * warps) return;  // one ticket per warp
    unsigned ticket = 0;
    if (lane_index() == 0) ticket = atomicAdd(&tickets, one);
    tile = (__shfl_sync(kWholeWarp, ticket, 0) * blocks + block) * ticket_tiles;
  }
}

template <class Outputs>
__device__ void decode_metadata(const Params &p, Outputs &outputs) {
  if (blockIdx.x >= p.copy_blocks) {
    // whole chunks of kThreads rows; launch.c counts the blocks
    const unsigned chunks = (p.batch_size + kThreads - 1) / kThreads;
    const unsigned most = UDM_KERNEL_LENGTH_BLOCKS;
    const unsigned block_rows = (chunks + most - 1) / most * kThreads;
    const unsigned first = (blockIdx.x - p.copy_blocks) * block_rows;
    write_lengths(outputs.fetch(p), outputs, first, smaller(first + block_rows, p.batch_size));
    return;
  }
  unsigned window = 0, block = blockIdx.x, blocks = p.copy_blocks;
  if (p.num_windows > 1) {
    window = blockIdx.x % p.num_windows;
    block = blockIdx.x / p.num_windows;
    blocks = p.copy_blocks > p.num_windows ? p.copy_blocks / p.num_windows : 1;
    if (block >= blocks) return;
  }
#pragma unroll 1
  while (true) {
    copy_window(p, outputs, window, block, blocks);
    window += p.copy_blocks;
    if (window >= p.num_windows) return;
    __syncthreads();
  }
}

}  // namespace

#define UDM_PARAMETER(type, name) type name,
#define UDM_ARGUMENT(type, name) name,
#define UDM_SCALARS UDM_KERNEL_SCALARS(UDM_PARAMETER)
#define UDM_PARAMS                       \
  {                                      \
    { UDM_KERNEL_SCALARS(UDM_ARGUMENT) } \
  }
#define UDM_POINTERS(name) int *name##_0, int *name##_1, int *name##_2

#ifndef UDM_GENERAL_ALONE  // the shipped PTX
// Up to 3 backends.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 2)
    udm_decode_metadata_direct(UDM_SCALARS UDM_POINTERS(page_table_1),
                               UDM_POINTERS(real_page_table), UDM_POINTERS(cache_seqlens),
                               UDM_POINTERS(cu_seqlens_k), UDM_POINTERS(nsa_cache_seqlens),
                               UDM_POINTERS(nsa_cu_seqlens_k), UDM_POINTERS(seqlens_expanded)) {
  const Params p = UDM_PARAMS;
  DirectOutputs outputs = {{{cache_seqlens_0, cache_seqlens_1, cache_seqlens_2},
                            {cu_seqlens_k_0, cu_seqlens_k_1, cu_seqlens_k_2},
                            {page_table_1_0, page_table_1_1, page_table_1_2},
                            {nsa_cache_seqlens_0, nsa_cache_seqlens_1, nsa_cache_seqlens_2},
                            {nsa_cu_seqlens_k_0, nsa_cu_seqlens_k_1, nsa_cu_seqlens_k_2},
                            {real_page_table_0, real_page_table_1, real_page_table_2},
                            {seqlens_expanded_0, seqlens_expanded_1, seqlens_expanded_2}}};
  decode_metadata(p, outputs);
}
#endif

// Before CUDA 11.7 a parameter whose address is taken is copied to each thread's local memory.
#if defined(__CUDACC_RTC__) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1107
#define __grid_constant__
#endif

// Up to 8 backends: the pointers of the table, or of `backends` if the table is null.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 2)
    udm_decode_metadata_general(UDM_SCALARS const long long *table, long long table_stride,
                                const __grid_constant__ udm_kernel_backends backends) {
  const Params p = UDM_PARAMS;
  GeneralOutputs outputs = {table, reinterpret_cast<const int64 *>(&backends), table_stride,
                            nullptr, static_cast<unsigned>(num_backends)};
  decode_metadata(p, outputs);
}
