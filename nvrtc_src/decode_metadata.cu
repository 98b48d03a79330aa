// Fills the attention metadata of one phase of a speculative step in one launch. The contract is in
// include/udm.h.
//
// SPDX-License-Identifier: Apache-2.0
//
// The first copy_blocks blocks fill the page tables, those after them the lengths and prefix sums,
// the last ones the schedules. Window w of the batch has the requests w, w + num_windows, ..., at
// most 256. The live columns of a request's row are cut into tiles of 128 columns. A copy block
// serves one window, in two phases:
//
//   row 0   |s0 s0|s1 s1|s2 s2|                  s0, s1, s2: slices of 1 to 4 tiles that the row
//   row 1   |s0|s1|                              number alone gives to a warp (static phase): the
//   row 2   |s0 s0 s0 s0|...|t t t t|t t t t|    copy starts after one load of a length
//                                                t: what remains of long rows (dynamic phase)
//
// In the dynamic phase the block prefix-sums the remaining tiles of its window's rows. Its warps
// draw tickets from a shared counter; a ticket is up to 4 tiles, whose row is found by ballots.
//
// No block waits for another, and the grid depends on the arguments alone: a recorded launch stays
// right whatever the lengths are at replay.

namespace {

typedef long long int64;
typedef unsigned long long uint64;
constexpr unsigned kThreads = UDM_KERNEL_THREADS, kWarps = UDM_KERNEL_WARPS;
constexpr unsigned kSliceTiles = UDM_KERNEL_SLICE_TILES, kWholeWarp = 0xffffffffu;
constexpr unsigned kSmallWindow = 64;  // up to so many rows, each warp keeps its own list of all
constexpr unsigned kGroups = kWarps * kSmallWindow / 32;  // of 32 rows, in shared memory

struct Params : udm_kernel_scalars {
  __device__ bool has(unsigned flag) const { return flags & flag; }
};

__device__ unsigned lane_index() { return threadIdx.x % 32; }
__device__ unsigned warp_index() { return threadIdx.x / 32; }
template <class T>
__device__ T smaller(T a, T b) {
  return a < b ? a : b;
}
__device__ int first_lane(bool yes) { return __ffs(__ballot_sync(kWholeWarp, yes)) - 1; }

// ---- numbers ------------------------------------------------------------------------------------

__device__ int clamp_length(int64 length) {
  return length < 0 ? 0 : static_cast<int>(length > 0x7fffffff ? 0x7fffffff : length);
}

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
    return static_cast<int64>(static_cast<uint64>(upper) << 32 | low);
  }
  __device__ int length(bool is_int64) const {  // clamped to 0..INT32_MAX
    const bool is_large = is_int64 & (high > 0);
    const unsigned value = is_large ? 0x7fffffffu : smaller(low, 0x7fffffffu);
    return high < 0 ? 0 : static_cast<int>(value);
  }
};

// Two branches: from the words of an Integer, NVRTC makes two loads that follow each other.
__device__ int load_length(const void *array, bool is_int64, unsigned i) {
  if (is_int64) return clamp_length(static_cast<const int64 *>(array)[i]);
  return clamp_length(static_cast<const int *>(array)[i]);
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

// ---- outputs ------------------------------------------------------------------------------------

// A request in this phase: its KV length, its query tokens, and the KV tokens before the first.
struct Request {
  int length, tokens;
  int64 before;

  // what query token j sees of the KV length
  __device__ int expanded(int j) const { return clamp_length(before + j + 1); }
};

// N sums side by side: of lengths, of what the query tokens see of them, of query tokens. Prefix
// sums wrap modulo 2^32 when they are stored.
template <class T, int N>
struct Sums {
  T of[N];

  __device__ Sums &operator+=(const Sums &other) {
#pragma unroll
    for (int s = 0; s < N; ++s) of[s] += other.of[s];
    return *this;
  }
};

// The outputs of the direct kernel: decode mode, up to three backends. Their pointers are
// parameters, null if absent: constant indices keep them in the constant bank.
struct DirectOutputs {
  static constexpr bool kDecodeOnly = true;
  typedef Sums<unsigned, 2> LengthSums;
  int *pointers[UDM_KERNEL_OUTPUTS][UDM_KERNEL_DIRECT_BACKENDS];

  __device__ Params fetch(const Params &p) { return p; }
  __device__ Request request(const Params &, int length, unsigned) const { return {length, 1, 0}; }
  __device__ int visible(const Params &p, int length) const { return smaller(length, p.topk); }

  // calls body with the pointers of the backends that have this output
  template <class Body>
  __device__ void for_each(int output, Body body) const {
#pragma unroll
    for (int b = 0; b < UDM_KERNEL_DIRECT_BACKENDS; ++b) {
      if (pointers[output][b]) body(pointers[output][b]);
    }
  }
};

// The outputs of the general kernel: every mode, up to eight backends. It copies their pointers to
// shared memory, from a table in device memory or from its parameters.
struct GeneralOutputs {
  static constexpr bool kDecodeOnly = false;
  typedef Sums<uint64, 3> LengthSums;
  static constexpr unsigned kBackends = UDM_KERNEL_GENERAL_BACKENDS;
  static constexpr unsigned kAtOnce = 3;  // pointers that are read together
  const udm_kernel_phase &phase;
  const udm_kernel_backends &backends;
  unsigned first, end;  // the backends that this block writes
  int offset;           // of their lengths
  int *(*pointers)[kBackends];
  unsigned *starts;  // of a ragged batch: the first token of each request of the window

  // Returns p with what the host could not know of pointers in device memory.
  __device__ Params fetch(const Params &p) {
    __shared__ int *fetched[UDM_KERNEL_ALL_OUTPUTS][kBackends];
    const unsigned output = threadIdx.x / kBackends, b = threadIdx.x % kBackends;
    if (output < UDM_KERNEL_ALL_OUTPUTS && b < static_cast<unsigned>(p.num_backends)) {
      fetched[output][b] =
          output >= UDM_KERNEL_OUTPUTS ? phase.extra[b][output - UDM_KERNEL_OUTPUTS]
          : phase.table ? reinterpret_cast<int *>(phase.table[output * phase.table_stride + b])
                        : backends.outputs[b][output];
    }
    pointers = fetched;
    __syncthreads();
    Params full = p;
    if (!phase.table || p.page_table_stride <= 0) return full;
    uint64 first_address = 0;
    for_each(UDM_KERNEL_PAGE_TABLE_1, [&](int *pointer) {
      const auto address = reinterpret_cast<uint64>(pointer);
      if (!first_address) first_address = address;
      if ((address - first_address) % 16) full.flags &= ~unsigned{UDM_KERNEL_VECTORS};
    });
    const auto line_offset = static_cast<unsigned>(first_address / 4 % 32);
    if (first_address) full.flags |= UDM_KERNEL_SLOTS | line_offset << UDM_KERNEL_LINE_OFFSET_BIT;
    return full;
  }

  __device__ Request request(const Params &p, int length, unsigned i) const {
    const bool is_padding = p.has(UDM_KERNEL_SKIP_PADDING) && length == 0;
    const int tokens = phase.extend_lens
                           ? load_length(phase.extend_lens, p.has(UDM_KERNEL_EXTEND_LENS_INT64), i)
                           : phase.tokens_per_request;
    const int added = p.has(UDM_KERNEL_ADD_TOKENS) ? tokens : offset;
    const int64 sum = is_padding ? 0 : static_cast<int64>(length) + added;
    return {clamp_length(sum), tokens, sum - tokens};
  }
  __device__ int visible(const Params &p, int length) const {
    const int rest = phase.kpool > 1 ? length % phase.kpool : 0;
    return smaller(length - rest, p.topk) + rest;
  }

  template <class Body>
  __device__ void for_each(int output, Body body) const {
#pragma unroll 1
    for (unsigned b = first; b < end; b += kAtOnce) {
      int *group[kAtOnce];
#pragma unroll
      for (unsigned g = 0; g < kAtOnce; ++g) {
        group[g] = b + g < end ? pointers[output][b + g] : nullptr;
      }
#pragma unroll
      for (unsigned g = 0; g < kAtOnce; ++g) {
        if (group[g]) body(group[g]);
      }
    }
  }
};

template <class Outputs>
__device__ Request load_request(const Params &p, const Outputs &outputs, unsigned i) {
  return outputs.request(p, load_length(p.seq_lens, p.has(UDM_KERNEL_SEQ_LENS_INT64), i), i);
}

// ---- lengths and prefix sums --------------------------------------------------------------------

template <class T>
__device__ T warp_scan(T value) {  // inclusive
#pragma unroll
  for (int delta = 1; delta < 32; delta *= 2) {
    const T below = __shfl_up_sync(kWholeWarp, value, delta);
    if (static_cast<int>(lane_index()) >= delta) value += below;
  }
  return value;
}

// Exclusive scan over the block, or over one warp without a barrier; *total receives the sum.
template <class T, int N>
__device__ Sums<T, N> block_scan(const Sums<T, N> &value, Sums<T, N> *total,
                                 bool is_one_warp = false) {
  __shared__ Sums<T, N> totals[kWarps];
  Sums<T, N> begins;
#pragma unroll
  for (int s = 0; s < N; ++s) {
    const T end = warp_scan(value.of[s]);
    begins.of[s] = end - value.of[s];
    total->of[s] = is_one_warp ? __shfl_sync(kWholeWarp, end, 31) : 0;
    if (lane_index() == 31) totals[warp_index()].of[s] = end;
  }
  if (is_one_warp) return begins;
  __syncthreads();
#pragma unroll
  for (unsigned w = 0; w < kWarps; ++w) {
    if (w < warp_index()) begins += totals[w];
    *total += totals[w];
  }
  __syncthreads();
  return begins;
}

template <class Outputs>
__device__ typename Outputs::LengthSums sums_of(const Params &p, const Outputs &outputs,
                                                const Request &r) {
  const auto length = static_cast<unsigned>(r.length);
  if constexpr (Outputs::kDecodeOnly) {
    return {{length, static_cast<unsigned>(outputs.visible(p, r.length))}};
  } else {
    uint64 seen = 0;
    const int tokens = smaller(r.tokens, outputs.phase.num_tokens);
#pragma unroll 1
    for (int j = 0; j < tokens; ++j) seen += outputs.visible(p, r.expanded(j));
    return {{length, seen, static_cast<uint64>(r.tokens)}};
  }
}

// Query token e, before which the query tokens see `seen` in all. Returns the sum with it.
template <class Outputs, class T>
__device__ T store_token(const Params &p, const Outputs &outputs, unsigned e, int expanded,
                         T seen) {
  const int visible = outputs.visible(p, expanded);
  seen += visible;
  outputs.for_each(UDM_KERNEL_SEQLENS_EXPANDED, [&](int *to) { to[e] = expanded; });
  outputs.for_each(UDM_KERNEL_NSA_CACHE_SEQLENS, [&](int *to) { to[e] = visible; });
  outputs.for_each(UDM_KERNEL_NSA_CU_SEQLENS_K,
                   [&](int *to) { to[e + 1] = static_cast<int>(seen); });
  return seen;
}

// What request i writes to each backend; `before`: the sums over the requests before it.
template <class Outputs>
__device__ void store_lengths(const Params &p, const Outputs &outputs, unsigned i, const Request &r,
                              const typename Outputs::LengthSums &before) {
  outputs.for_each(UDM_KERNEL_CACHE_SEQLENS, [&](int *to) { to[i] = r.length; });
  outputs.for_each(UDM_KERNEL_CU_SEQLENS_K,
                   [&](int *to) { to[i + 1] = static_cast<int>(before.of[0] + r.length); });
  if constexpr (Outputs::kDecodeOnly) {
    store_token(p, outputs, i, r.length, before.of[1]);
  } else {
    const uint64 start = before.of[2], total = outputs.phase.num_tokens;
    outputs.for_each(UDM_KERNEL_CU_SEQLENS_Q,
                     [&](int *to) { to[i + 1] = static_cast<int>(start + r.tokens); });
    uint64 seen = before.of[1];
#pragma unroll 1
    for (int j = 0; j < r.tokens && start + j < total; ++j) {
      const auto e = static_cast<unsigned>(start + j);
      const int expanded = r.expanded(j);
      const int ctx_len = p.has(UDM_KERNEL_CTX_LENS_OF_REQUEST) ? r.length : expanded;
      seen = store_token(p, outputs, e, expanded, seen);
      outputs.for_each(UDM_KERNEL_CTX_LENS, [&](int *to) { to[e] = ctx_len; });
    }
  }
}

// Requests [first, last). A block sums those before its own again rather than wait for their sums.
template <class Outputs>
__device__ void write_lengths(const Params &p, const Outputs &outputs, unsigned first,
                              unsigned last) {
  typename Outputs::LengthSums before = {}, total;
  const bool is_one_warp = p.batch_size <= 32;
  if (is_one_warp && warp_index() > 0) return;
  if (first > 0) {
    typename Outputs::LengthSums mine = {};
#pragma unroll Outputs::kDecodeOnly ? 4 : 1
    for (unsigned i = threadIdx.x; i < first; i += kThreads) {
      mine += sums_of(p, outputs, load_request(p, outputs, i));
    }
    block_scan(mine, &before);
  } else if (threadIdx.x == 0) {
    const auto store_zero = [](int *to) { to[0] = 0; };
    outputs.for_each(UDM_KERNEL_CU_SEQLENS_K, store_zero);
    outputs.for_each(UDM_KERNEL_NSA_CU_SEQLENS_K, store_zero);
    if (!Outputs::kDecodeOnly) outputs.for_each(UDM_KERNEL_CU_SEQLENS_Q, store_zero);
  }
#pragma unroll 1
  for (; first < last; first += kThreads) {
    const unsigned i = first + threadIdx.x;
    typename Outputs::LengthSums own = {};
    Request r = {};
    if (i < last) {
      r = load_request(p, outputs, i);
      own = sums_of(p, outputs, r);
    }
    auto begins = block_scan(own, &total, is_one_warp);
    begins += before;
    before += total;
    if (i < last) store_lengths(p, outputs, i, r, begins);
  }
  if constexpr (!Outputs::kDecodeOnly) {  // what a ragged batch leaves of the tokens has length 0
    if (last < p.batch_size) return;
    const uint64 threads = is_one_warp ? 32 : kThreads, tokens = outputs.phase.num_tokens;
#pragma unroll 1
    for (uint64 e = before.of[2] + threadIdx.x; e < tokens; e += threads) {
      store_token(p, outputs, static_cast<unsigned>(e), 0, before.of[1]);
      outputs.for_each(UDM_KERNEL_CTX_LENS, [&](int *to) { to[e] = 0; });
    }
  }
}

// ---- the schedule of DeepGEMM's paged MQA logits ------------------------------------------------

// A row is a query token, or a request; its work is counted in units of 256 tokens. Each thread
// sums a segment of the requests; each SM finds the segment, then the row, in which its work
// begins.
__device__ void write_schedule(const Params &p, const GeneralOutputs &outputs) {
  __shared__ uint64 unit_ends[kThreads], row_begins[kThreads];
  const bool of_requests = p.has(UDM_KERNEL_SCHEDULE_OF_REQUESTS);
  const unsigned segment = (p.batch_size + kThreads - 1) / kThreads;
  const unsigned begin = threadIdx.x * segment, end = smaller(begin + segment, p.batch_size);
  const uint64 most_rows = of_requests ? p.batch_size : outputs.phase.num_tokens;
  const auto rows_of = [&](const Request &r) { return of_requests ? 1 : r.tokens; };
  const auto units_of = [&](const Request &r, int j) -> uint64 {
    return ((of_requests ? r.length : r.expanded(j)) + 255u) / 256;
  };
  Sums<uint64, 1> mine = {}, total;
#pragma unroll 1
  for (unsigned i = begin; i < end; ++i) mine.of[0] += rows_of(load_request(p, outputs, i));
  const uint64 row_begin = block_scan(mine, &total).of[0];
  mine.of[0] = 0;
  uint64 row = row_begin;
#pragma unroll 1
  for (unsigned i = begin; i < end; ++i) {
    const Request r = load_request(p, outputs, i);
#pragma unroll 1
    for (int j = 0; j < rows_of(r) && row < most_rows; ++j, ++row) mine.of[0] += units_of(r, j);
  }
  unit_ends[threadIdx.x] = block_scan(mine, &total).of[0] + mine.of[0];
  row_begins[threadIdx.x] = row_begin;
  __syncthreads();

  const uint64 sms = outputs.phase.num_sms, pieces = outputs.phase.schedule_pieces;
  const uint64 quotient = total.of[0] * pieces / sms, more = total.of[0] * pieces % sms;
  const bool is_sm100 = p.has(UDM_KERNEL_SCHEDULE_SM100);
#pragma unroll 1
  for (uint64 sm = threadIdx.x; sm <= sms; sm += kThreads) {
    const uint64 extra = is_sm100 ? smaller(sm, more) : sm - smaller(sm, sms - more);
    const uint64 piece = sm * quotient + extra;
    uint64 unit = piece / pieces, entry = most_rows * pieces, offset = 0, units = 0;
    if (piece < total.of[0] * pieces) {  // else it begins where the work ends
      unsigned low = 0;  // the first segment that ends behind the unit
#pragma unroll 1
      for (unsigned step = kThreads / 2; step > 0; step /= 2) {
        if (unit_ends[low + step - 1] <= unit) low += step;
      }
      const uint64 passed = low > 0 ? unit_ends[low - 1] : 0;
      unit -= passed;
      row = row_begins[low];
#pragma unroll 1
      for (unsigned i = low * segment; i < p.batch_size && unit >= units; ++i) {
        const Request r = load_request(p, outputs, i);
#pragma unroll 1
        for (int j = 0; j < rows_of(r) && unit >= units; ++j, ++row) {
          unit -= units;
          units = units_of(r, j);
        }
      }
      offset = unit * pieces + piece % pieces;  // pieces since the row began
      entry = (row - 1) * pieces + (is_sm100 ? 0 : offset / units);
      offset = is_sm100 ? offset / pieces : offset % units;
    }
    if (total.of[0] == 0) entry = 0;
    outputs.for_each(UDM_KERNEL_SCHEDULE, [&](int *to) {
      to[2 * sm] = static_cast<int>(entry);
      to[2 * sm + 1] = static_cast<int>(offset);
    });
  }
}

// ---- page tables --------------------------------------------------------------------------------

// A request's row of the page tables. Positions count columns from the 128-byte line in which the
// row of the first page_table_1 begins, so that a tile is whole lines. Without a page_table_1 they
// count pages.
struct Row {
  const int *source;        // its row of req_to_token
  unsigned number, copies;  // the first row of the tables, and how many are equal
  unsigned first, end;      // the positions of column 0 and behind the last live column

  __device__ unsigned tiles(unsigned tile) const { return (end + tile - 1) / tile; }
};

// A request's integers on their way from memory.
struct RowLoad {
  Integer length, index;

  __device__ void load(const Params &p, unsigned i) {
    i = smaller(i, p.batch_size - 1);
    length.load(p.seq_lens, p.has(UDM_KERNEL_SEQ_LENS_INT64), i);
    index.load(p.req_pool_indices, p.has(UDM_KERNEL_REQ_POOL_INDICES_INT64), i);
  }
  // What is computed from the integers is computed after this point, and not before a loop around
  // it.
  __device__ void wait_no_earlier() {
#ifdef __CUDA_ARCH__
    asm volatile("" : "+r"(length.low), "+r"(length.high), "+r"(index.low), "+r"(index.high));
#endif
  }
  // Request i, at `place` of its window. longest: the extent of every row, or -1.
  template <class Outputs>
  __device__ Row row(const Params &p, const Outputs &outputs, unsigned i, unsigned place,
                     int longest) const {
    Row row = {p.req_to_token, i, 1, 0, 0};
    if (i >= p.batch_size) return row;
    const int tokens = length.length(p.has(UDM_KERNEL_SEQ_LENS_INT64));
    const Request r = outputs.request(p, tokens, i);
    unsigned extent = longest >= 0 ? longest : smaller(r.length, p.max_len);
    if constexpr (!Outputs::kDecodeOnly) {
      if (!p.has(UDM_KERNEL_ROW_PER_REQUEST)) {
        const unsigned total = outputs.phase.num_tokens;
        row.number = outputs.phase.extend_lens ? outputs.starts[place] : i * r.tokens;
        row.copies = smaller<unsigned>(r.tokens, total - row.number);
      }
      if (row.copies == 0 || (p.has(UDM_KERNEL_SKIP_PADDING) && tokens == 0)) extent = 0;
    }
    if (p.has(UDM_KERNEL_SLOTS)) {
      const unsigned line_offset = p.flags >> UDM_KERNEL_LINE_OFFSET_BIT;
      row.first = (line_offset + row.number * static_cast<unsigned>(p.page_table_stride)) % 32;
    } else {
      extent = pages_up(p, extent);
    }
    if (extent == 0) return row;  // its index may be anything
    row.end = row.first + extent;
    row.source += index.value(p.has(UDM_KERNEL_REQ_POOL_INDICES_INT64)) * p.req_to_token_stride;
    return row;
  }
};

// Calls body with each backend's equal rows of a table.
template <class Outputs, class Body>
__device__ void for_each_row(const Outputs &outputs, int output, const Row &row, int64 stride,
                             Body body) {
  outputs.for_each(output, [&](int *table) {
    table += row.number * stride;
    if constexpr (Outputs::kDecodeOnly) {
      body(table);
    } else {
#pragma unroll 1
      for (unsigned copy = 0; copy < row.copies; ++copy, table += stride) body(table);
    }
  });
}

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
#pragma unroll 1
    while (begin < end) {
#pragma unroll
      for (unsigned v = 0; v < kCount; ++v) slots[v] = page_of_slot(p, slots[v]);
      const unsigned page = begin + lane_index();
      for_each_row(outputs, UDM_KERNEL_REAL_PAGE_TABLE, row, p.real_page_table_stride,
                   [&](int *to) {
#pragma unroll
                     for (unsigned v = 0; v < kCount; ++v) {
                       if (page + v * 32 < end) to[page + v * 32] = slots[v];
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

// Copies positions [begin, end) of a row: kCount accesses of type T (int or int4) per lane, all
// loads before the first store. Vectors copy whole tiles only.
template <class T, unsigned kCount, class Outputs>
__device__ void copy_slots(const Params &p, const Outputs &outputs, const Row &row, unsigned begin,
                           unsigned end) {
  constexpr unsigned kWidth = sizeof(T) / sizeof(int);
  const unsigned live = begin < row.first ? row.first : begin, count = end - live;
  const unsigned mine = begin + lane_index() * kWidth - live;  // lanes before the first: huge
  const int column = static_cast<int>(begin + lane_index() * kWidth - row.first);
  const auto is_live = [&](unsigned v) {
    return (kWidth > 1 && v == 0) || mine + v * 32 * kWidth < count;
  };
  T slots[kCount];
  const T *from = opaque(reinterpret_cast<const T *>(row.source + column));
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if (is_live(v)) slots[v] = __ldg(from + v * 32);
  }
  Pages<1> pages = {0, 0, {}};
  if (p.has(UDM_KERNEL_PAGES)) {
    pages.begin = pages_up(p, live - row.first);
    pages.end = pages_up(p, end - row.first);
    pages.load(p, row);
  }
  for_each_row(outputs, UDM_KERNEL_PAGE_TABLE_1, row, p.page_table_stride, [&](int *table) {
    T *to = reinterpret_cast<T *>(table + column);
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (is_live(v)) __stwb(to + v * 32, slots[v]);
    }
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
  const auto source = static_cast<unsigned>(reinterpret_cast<uint64>(row.source) / sizeof(int));
  const bool has_vectors = p.has(UDM_KERNEL_VECTORS) && begin >= row.first &&
                           (source - row.first) % 4 == 0 && (end - begin) % UDM_KERNEL_TILE == 0;
  if (!has_vectors) {
    constexpr unsigned kCount = 8, kStep = kCount * 32;  // more would take too many registers
#pragma unroll 1
    for (; begin < end; begin += kStep) {
      copy_slots<int, kCount>(p, outputs, row, begin, smaller(begin + kStep, end));
    }
  } else if (end - begin <= UDM_KERNEL_TILE) {
    copy_slots<int4, 1>(p, outputs, row, begin, end);
  } else {
    copy_slots<int4, kSliceTiles>(p, outputs, row, begin, end);
  }
}

// UDM_EXTENT_BATCH_MAX: the extent of every row. Each block reads all lengths.
template <class Outputs>
__device__ int longest_extent(const Params &p, const Outputs &outputs) {
  __shared__ int longest;
  if (threadIdx.x == 0) longest = 0;
  __syncthreads();
  int mine = 0;
#pragma unroll Outputs::kDecodeOnly ? 4 : 1
  for (unsigned i = threadIdx.x; i < p.batch_size; i += kThreads) {
    mine = -smaller(-mine, -load_request(p, outputs, i).length);
  }
  atomicMax(&longest, smaller(mine, p.max_len));
  __syncthreads();
  return longest;
}

// Of a ragged batch: the first tokens of the window's requests, at most num_tokens.
__device__ void find_starts(const Params &p, const GeneralOutputs &outputs, unsigned window) {
  Sums<uint64, 1> before = {}, total;
#pragma unroll 1
  for (unsigned first = 0; first < p.batch_size; first += kThreads) {
    const unsigned i = first + threadIdx.x;
    const int tokens = i < p.batch_size ? load_request(p, outputs, i).tokens : 0;
    auto begins = block_scan(Sums<uint64, 1>{{static_cast<uint64>(tokens)}}, &total);
    begins += before;
    before += total;
    if (i < p.batch_size && i % p.num_windows == window) {
      const uint64 most = outputs.phase.num_tokens;
      outputs.starts[i / p.num_windows] = static_cast<unsigned>(smaller(begins.of[0], most));
    }
  }
  __syncthreads();
}

// Block `block` of the `blocks` that serve a window.
template <class Outputs>
__device__ void copy_window(const Params &arguments, Outputs &outputs, unsigned window,
                            unsigned block, unsigned blocks) {
  __shared__ Row rows[kGroups * 32];
  __shared__ unsigned tile_ends[kGroups * 32], group_totals[kWarps], tickets;
  const unsigned warps = kWarps * blocks, window_rows = arguments.window_rows;
  const unsigned slices = window_rows * arguments.slices_per_row;
  const auto request_at = [&](unsigned place) { return window + place * arguments.num_windows; };
  const auto part_of = [&](unsigned slice) {
    return divide(slice, window_rows, arguments.window_reciprocal);
  };
  // first all loads that depend on arguments alone
  RowLoad next, own;
  unsigned slice = warp_index() * blocks + block, part = part_of(slice);
  unsigned place = slice - part * window_rows;
  next.load(arguments, request_at(place));
  // Each warp has all rows of a small window, two per lane; each block those of a larger one, one
  // per thread. Rows past the window are past the batch.
  const bool has_more = arguments.has(UDM_KERNEL_DYNAMIC);
  const bool is_small = window_rows <= kSmallWindow;
  const unsigned own_place = is_small ? 2 * lane_index() : threadIdx.x;
  if (has_more) {
    own.load(arguments, request_at(own_place));
    if (threadIdx.x == 0) tickets = kWarps;
  }
  const Params p = outputs.fetch(arguments);
  if constexpr (!Outputs::kDecodeOnly) {
    if (outputs.phase.extend_lens) find_starts(p, outputs, window);
  }
  if (has_more) __syncthreads();
  const int longest = p.has(UDM_KERNEL_EXTENT_BATCH_MAX) ? longest_extent(p, outputs) : -1;
  const unsigned tile_size = p.has(UDM_KERNEL_SLOTS) ? UDM_KERNEL_TILE : UDM_KERNEL_PAGE_TILE;
  const unsigned static_tiles = p.slices_per_row * kSliceTiles;
  const auto tiles_left = [&](const Row &row) {
    const unsigned all = row.tiles(tile_size);
    return all > static_tiles ? all - static_tiles : 0;
  };

  bool is_static = true;
  unsigned total = 0, ticket_tiles = 0, tile = 0, ticket_end = 0;  // of the dynamic phase
  // The rows are in groups of 32. Where the tiles of group group_base + lane end, and begin:
  unsigned group_ends = 0, group_begins = 0;
  const unsigned group_base = is_small ? 2 * warp_index() : 0;
#pragma unroll 1
  while (true) {
    Row row;
    unsigned first, tiles;
    if (slice < slices) {
      row = next.row(p, outputs, request_at(place), place, longest);
      // a short row is spread over all of its slices
      const unsigned all = row.tiles(tile_size), per_row = p.slices_per_row;
      tiles = 1 + (all > per_row) + (all > 2 * per_row) + (all > 3 * per_row);
      first = part * tiles;
      slice += warps;
      part = part_of(slice);
      place = slice - part * window_rows;
      if (slice < slices) next.load(p, request_at(place));
    } else {
      unsigned ticket = warp_index();
      if (!has_more) return;
      if (is_static) {  // each warp comes here once
        is_static = false;
        own.wait_no_earlier();
        const Row mine = own.row(p, outputs, request_at(own_place), own_place, longest);
        unsigned left = tiles_left(mine);
        if (is_small) {
          RowLoad second;
          second.load(p, request_at(own_place + 1));  // close to the first: in the L1 cache
          const Row other =
              second.row(p, outputs, request_at(own_place + 1), own_place + 1, longest);
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
        ticket_tiles = total > 2 * warps ? kSliceTiles : total > warps ? 2 : 1;
      } else if (tile == ticket_end) {
        if (total <= ticket_tiles * warps) return;  // one ticket per warp
        if (lane_index() == 0) ticket = atomicAdd(&tickets, 1u);
        ticket = __shfl_sync(kWholeWarp, ticket, 0);
      }
      if (tile == ticket_end) {
        tile = (ticket * blocks + block) * ticket_tiles;
        ticket_end = smaller(tile + ticket_tiles, total);
        if (tile >= total) return;
      }
      const int group = first_lane(group_ends > tile);
      const unsigned group_begin = __shfl_sync(kWholeWarp, group_begins, group);
      const unsigned at = (group_base + group) * 32;
      const unsigned ends = group_begin + tile_ends[at + lane_index()];
      const int r = first_lane(ends > tile);
      row = rows[at + r];
      const unsigned row_end = __shfl_sync(kWholeWarp, ends, r);
      first = row.tiles(tile_size) - (row_end - tile);
      tiles = smaller(ticket_end, row_end) - tile;
      tile += tiles;
    }
    const unsigned begin = first * tile_size, end = begin + tiles * tile_size;
    if (begin < row.end) copy(p, outputs, row, begin, smaller(end, row.end));
  }
}

// ---- the grid -----------------------------------------------------------------------------------

template <class Outputs>
__device__ void copy_windows(const Params &p, Outputs &outputs) {
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

// Length block `block`: whole chunks of kThreads requests; the host counts the blocks.
template <class Outputs>
__device__ void write_length_block(const Params &p, Outputs &outputs, unsigned block) {
  const unsigned chunks = (p.batch_size + kThreads - 1) / kThreads;
  const unsigned most = UDM_KERNEL_LENGTH_BLOCKS;
  const unsigned requests = (chunks + most - 1) / most * kThreads, first = block * requests;
  write_lengths(outputs.fetch(p), outputs, first, smaller(first + requests, p.batch_size));
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
// Decode mode, up to 3 backends.
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
  if (blockIdx.x < copy_blocks) {
    copy_windows(p, outputs);
  } else {
    write_length_block(p, outputs, blockIdx.x - copy_blocks);
  }
}
#endif

// Before CUDA 11.7 a parameter whose address is taken is copied to each thread's local memory.
#if defined(__CUDACC_RTC__) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1107
#define __grid_constant__
#endif

// Every mode, up to 8 backends.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 2)
    udm_decode_metadata_general(UDM_SCALARS const __grid_constant__ udm_kernel_phase phase,
                                const __grid_constant__ udm_kernel_backends backends) {
  __shared__ unsigned starts[kThreads];
  const Params p = UDM_PARAMS;
  const unsigned all = static_cast<unsigned>(num_backends);
  GeneralOutputs outputs = {phase, backends, 0, all, phase.largest_offset, nullptr, starts};
  if (blockIdx.x < copy_blocks) {
    copy_windows(p, outputs);
    return;
  }
  const unsigned block = blockIdx.x - copy_blocks;
  const bool is_schedule = block >= phase.length_groups * phase.length_blocks;
  const unsigned group =
      is_schedule ? block - phase.length_groups * phase.length_blocks : block / phase.length_blocks;
  if (phase.length_groups > 1) {
    outputs.first = group;
    outputs.end = group + 1;
  }
  outputs.offset = phase.offsets[group];
  if (is_schedule) {
    write_schedule(outputs.fetch(p), outputs);
  } else {
    write_length_block(p, outputs, block % phase.length_blocks);
  }
}
