// Fills the attention metadata of one phase of a speculative step in one launch. The contract is in
// include/udm.h. SPDX-License-Identifier: Apache-2.0
//
// The first copy_blocks blocks fill the page tables, then come those of lengths and prefix sums,
// then those of schedules. Window w of the batch has the requests w, w + num_windows, ..., at most
// 256. The live columns of a request's row are cut into tiles of 128, or of 32 pages if there is no
// page_table_1. Several copy blocks share a window, or one serves several in turn:
//
//   row 0   |s0 s0|s1 s1|s2 s2|                  s0, s1, s2: slices of 1 to 4 tiles; the arguments
//   row 1   |s0|s1|                              alone say which warp has one (static part): the
//   row 2   |s0 s0 s0 s0|...|t t t t|t t t t|    copy starts after one load of a length
//                                                t: what remains of long rows (dynamic part):
//                                                warps draw tickets, each for up to 4 tiles
//
// No block waits for another, and the grid depends on the arguments alone: a recorded launch stays
// right whatever the lengths are at replay.

typedef long long int64;
typedef unsigned long long uint64;
constexpr unsigned kThreads = UDM_KERNEL_THREADS, kWarps = UDM_KERNEL_WARPS;
constexpr unsigned kSliceTiles = UDM_KERNEL_SLICE_TILES, kWholeWarp = 0xffffffffu;
constexpr unsigned kMaxLength = 0x7fffffffu;

__device__ unsigned lane_index() { return threadIdx.x % 32; }
__device__ unsigned warp_index() { return threadIdx.x / 32; }
__device__ int first_lane(bool yes) { return __ffs(__ballot_sync(kWholeWarp, yes)) - 1; }

// The same address, of which the compiler does not know how it was computed: it keeps it in a
// register and does not compute it anew.
template <class T>
__device__ T *opaque(T *address) {
#ifdef __CUDA_ARCH__
  asm("" : "+l"(address));
#endif
  return address;
}

// An int32 or int64, loaded and not yet converted: other loads are issued between the two steps.
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
};

__device__ unsigned clamp_length(int64 length) {
  return length < 0 ? 0 : static_cast<unsigned>(min(length, int64{kMaxLength}));
}
// Not by an Integer: NVRTC would load its two words one after the other.
__device__ unsigned load_length(const void *array, bool is_int64, unsigned i) {
  if (is_int64) return clamp_length(static_cast<const int64 *>(array)[i]);
  return clamp_length(static_cast<const int *>(array)[i]);
}

// n / divisor, rounded down. The quotient by the reciprocal is right or one too small.
__device__ unsigned divide(unsigned n, unsigned divisor, unsigned reciprocal) {
  const unsigned quotient = __umulhi(n, reciprocal);
  return quotient + (n - quotient * divisor >= divisor);
}

template <class T>
__device__ T warp_scan(T value) {  // inclusive
#pragma unroll
  for (int delta = 1; delta < 32; delta *= 2) {
    const T below = __shfl_up_sync(kWholeWarp, value, delta);
    if (static_cast<int>(lane_index()) >= delta) value += below;
  }
  return value;
}
template <class T>
__device__ T block_scan(T value, T *total) {  // exclusive; *total receives the sum
  __shared__ T totals[kWarps];
  const T end = warp_scan(value);
  T begin = end - value;
  if (lane_index() == 31) totals[warp_index()] = end;
  __syncthreads();
  *total = 0;
#pragma unroll
  for (unsigned w = 0; w < kWarps; ++w) {
    if (w < warp_index()) begin += totals[w];
    *total += totals[w];
  }
  __syncthreads();
  return begin;
}

// A request in this phase: its KV length, not yet clamped, and its query tokens.
struct Request {
  unsigned kv_length, tokens;

  __device__ unsigned length() const { return min(kv_length, kMaxLength); }
  __device__ unsigned expanded(unsigned j) const {  // what query token j sees
    const unsigned after = tokens - 1 - j;
    return kv_length > after ? min(kv_length - after, kMaxLength) : 0;
  }
};

// What a thread of a length block counts and writes at a time: a request, or a query token; if the
// batch is ragged, all query tokens of a request.
struct Run {
  Request request;
  unsigned number;        // of the request
  unsigned first, count;  // of its query tokens
  uint64 start;           // the first one's number in the batch
  unsigned sum;           // of the lengths
};

// A request's row of the page tables. Positions count columns from the 128-byte line in which the
// row of the first page_table_1 begins, so that a tile is whole lines. Without a page_table_1 they
// count pages.
struct Row {
  const int *source;        // its row of req_to_token
  unsigned number, copies;  // the first row of the tables, and how many are equal
  unsigned first, end;      // the positions of column 0 and behind the last live column
};

// Of a copy block: the rows of its window, where the tiles that are left of each end, counted from
// the first of its group of 32 rows, and the next ticket.
__shared__ Row rows[kThreads];
__shared__ unsigned tile_ends[kThreads], tickets;
// Of the general kernel: pointers that lay in device memory, and the first query token of each
// request of the window, if the batch is ragged.
__shared__ int *loaded_pointers[UDM_KERNEL_GENERAL_BACKENDS][UDM_KERNEL_OUTPUTS];
__shared__ unsigned starts[kThreads];

// A launch, as a thread sees it. What the general kernel takes as parameters is constant in the
// direct kernel: code for other modes vanishes from it, and its pointers stay in the constant bank.
template <bool kDirect>
struct Launch : udm_kernel_scalars, udm_kernel_phase {
  int *const (*outputs)[UDM_KERNEL_ALL_OUTPUTS];  // of each backend
  const int *offsets;                             // of each backend's lengths
  unsigned backends;                              // a bit for each that the block writes
  int offset;                                     // of the lengths that the block writes
  int longest = -1;                // the extent of every row, or -1: each row has its own
  unsigned window = 0, block = 0;  // of a copy block: its window, and its number there

  __device__ bool has(unsigned flag) const {
    return (!kDirect || flag < UDM_KERNEL_GENERAL_FLAGS) && flags & flag;
  }
  __device__ bool is_ragged() const { return extend_lens; }
  __device__ unsigned request_of(unsigned token) const {
    return kDirect ? token : divide(token, tokens_per_request, tokens_reciprocal);
  }
  __device__ unsigned visible(unsigned length) const {
    const unsigned full = kDirect ? length : divide(length, kpool, kpool_reciprocal) * kpool;
    return min(full, static_cast<unsigned>(topk)) + (length - full);
  }
  __device__ unsigned pages_up(unsigned columns) const {
    return divide(columns + page_size - 1, page_size, page_reciprocal);
  }
  __device__ int page_of_slot(int slot) const {  // C's division: toward 0
    const unsigned sign = slot < 0 ? ~0u : 0u;
    const unsigned magnitude = (static_cast<unsigned>(slot) ^ sign) - sign;
    return static_cast<int>((divide(magnitude, page_size, page_reciprocal) ^ sign) - sign);
  }
  __device__ Request request(unsigned i, unsigned length) const {
    unsigned tokens = tokens_per_request;
    if (is_ragged()) tokens = load_length(extend_lens, has(UDM_KERNEL_EXTEND_LENS_INT64), i);
    const bool is_padding = has(UDM_KERNEL_SKIP_PADDING) && length == 0;
    const unsigned added = has(UDM_KERNEL_ADD_TOKENS) ? tokens : offset;
    return {is_padding ? 0 : length + added, tokens};
  }
  __device__ Request load_request(unsigned i) const {
    return request(i, load_length(seq_lens, has(UDM_KERNEL_SEQ_LENS_INT64), i));
  }

  // ---- outputs ----------------------------------------------------------------------------------

  template <class Body>
  __device__ void for_each_backend(Body body) const {
#pragma unroll(kDirect ? UDM_KERNEL_DIRECT_BACKENDS : 1)
    for (int b = 0; b < (kDirect ? UDM_KERNEL_DIRECT_BACKENDS : num_backends); ++b) {
      if (backends >> b & 1) body(b);
    }
  }
  __device__ int *pointer(int b, int output) const {
    if (output < UDM_KERNEL_OUTPUTS && backend_pointers) return loaded_pointers[b][output];
    return outputs[b][output];
  }
  __device__ void write(int b, int output, uint64 index, uint64 value) const {
    int *to = pointer(b, output);
    if (to) to[index] = static_cast<int>(value);
  }
  // Calls body with each row of page_table_1, or of real_page_table, that is to equal this one.
  template <class Body>
  __device__ void for_each_copy(bool of_slots, const Row &row, Body body) const {
    const int64 stride = of_slots ? page_table_stride : real_page_table_stride;
    for_each_backend([&](int b) {
      int *to = pointer(b, UDM_KERNEL_REAL_PAGE_TABLE);
      if (of_slots) to = pointer(b, UDM_KERNEL_PAGE_TABLE_1);
      if (!to) return;
      to += row.number * stride;
#pragma unroll 1
      for (unsigned copy = 0; copy < (kDirect ? 1 : row.copies); ++copy) {
        body(to);
        if (!kDirect) to = opaque(to + stride);
      }
    });
  }
  // Brings backend_pointers to shared memory, and finds what the host could not know of them.
  __device__ void load_pointers() {
    if (kDirect || !backend_pointers) return;
    const unsigned o = threadIdx.x / UDM_KERNEL_GENERAL_BACKENDS;
    const unsigned b = threadIdx.x % UDM_KERNEL_GENERAL_BACKENDS;
    if (o < UDM_KERNEL_OUTPUTS && backends >> b & 1) {
      const int64 pointer = backend_pointers[o * backend_pointers_stride + b];
      loaded_pointers[b][o] = reinterpret_cast<int *>(pointer);
    }
    __syncthreads();
    uint64 first = 0;
    for_each_backend([&](int i) {
      const auto address = reinterpret_cast<uint64>(pointer(i, UDM_KERNEL_PAGE_TABLE_1));
      if (!first) first = address;
      if (address && (address - first) % 16) flags &= ~unsigned{UDM_KERNEL_VECTORS};
    });
    if (!first || page_table_stride <= 0) return;
    flags |= UDM_KERNEL_SLOTS;
    flags |= static_cast<unsigned>(first / 4 % 32) << UDM_KERNEL_LINE_OFFSET_BIT;
  }

  // ---- lengths and prefix sums ------------------------------------------------------------------

  __device__ Run load_run(unsigned u, bool of_tokens) const {
    Run run = {{}, u, 0, 1, u, 0};
    if (!of_tokens) run.start *= tokens_per_request;
    if (of_tokens && !is_ragged()) {
      run.number = request_of(u);
      run.first = u - run.number * tokens_per_request;
    }
    run.request = load_request(run.number);
    if (is_ragged()) run.count = min(run.request.tokens, num_tokens);
    if (!of_tokens) run.sum = run.request.length();
#pragma unroll 1
    for (unsigned j = 0; of_tokens && j < run.count; ++j) {
      run.sum += visible(run.request.expanded(run.first + j));
    }
    return run;
  }
  // sum: over the lengths before the run
  __device__ void write_request(int b, const Run &run, unsigned sum) const {
    const unsigned i = run.number, length = run.request.length();
    write(b, UDM_KERNEL_CACHE_SEQLENS, i, length);
    write(b, UDM_KERNEL_CU_SEQLENS_K, i + 1, sum + length);
    write(b, UDM_KERNEL_CU_SEQLENS_Q, i + 1, run.start + run.request.tokens);
  }
  __device__ void write_tokens(int b, const Run &run, unsigned sum) const {
    const bool of_request = has(UDM_KERNEL_CTX_LENS_OF_REQUEST);
    uint64 token = run.start;
#pragma unroll 1
    for (unsigned j = run.first; j < run.first + run.count && token < num_tokens; ++j, ++token) {
      const unsigned expanded = run.request.expanded(j), seen = visible(expanded);
      sum += seen;
      write(b, UDM_KERNEL_SEQLENS_EXPANDED, token, expanded);
      write(b, UDM_KERNEL_NSA_CACHE_SEQLENS, token, seen);
      write(b, UDM_KERNEL_NSA_CU_SEQLENS_K, token + 1, sum);
      write(b, UDM_KERNEL_CTX_LENS, token, of_request ? run.request.length() : expanded);
    }
  }

  // Length blocks come in pairs: one writes what is per request, the other what is per query token.
  // A block sums the runs before its own again rather than wait for their sums.
  __device__ void write_lengths(unsigned length_block) {
    const bool of_tokens = length_block % 2;
    const unsigned runs = of_tokens && !is_ragged() ? num_tokens : batch_size;
    unsigned first = length_block / 2 * chunks_per_block * kThreads;
    const unsigned last = min(first + chunks_per_block * kThreads, runs);
    if (first >= last && first > 0) return;
    unsigned sum = 0, total;  // of the runs before
    uint64 tokens = 0, all_tokens;
    if (first > 0) {
#pragma unroll(kDirect ? 4 : 1)
      for (unsigned u = threadIdx.x; u < first; u += kThreads) {
        const Run run = load_run(u, of_tokens);
        sum += run.sum;
        tokens += run.request.tokens;
      }
      block_scan(sum, &sum);
      if (is_ragged()) block_scan(tokens, &tokens);
    }
#pragma unroll 1
    do {
      const unsigned u = first + threadIdx.x;
      Run run = {};
      if (u < last) run = load_run(u, of_tokens);
      const unsigned before = sum + block_scan(run.sum, &total);
      sum += total;
      if (is_ragged()) {
        run.start = tokens + block_scan<uint64>(run.request.tokens, &all_tokens);
        tokens += all_tokens;
      }
      for_each_backend([&](int b) {
        if (u == 0 && of_tokens) write(b, UDM_KERNEL_NSA_CU_SEQLENS_K, 0, 0);
        if (u == 0 && !of_tokens) write(b, UDM_KERNEL_CU_SEQLENS_K, 0, 0);
        if (u == 0 && !of_tokens) write(b, UDM_KERNEL_CU_SEQLENS_Q, 0, 0);
        if (u < last && of_tokens) write_tokens(b, run, before);
        if (u < last && !of_tokens) write_request(b, run, before);
      });
      first += kThreads;
    } while (first < last);
    if (!is_ragged() || !of_tokens || last < runs) return;
#pragma unroll 1
    for (uint64 e = tokens + threadIdx.x; e < num_tokens; e += kThreads) {
      const Run of_no_request = {{}, 0, 0, 1, e, 0};
      for_each_backend([&](int b) { write_tokens(b, of_no_request, sum); });
    }
  }

  // ---- the schedule of DeepGEMM's paged MQA logits ----------------------------------------------

  // Calls body with each row of the schedule (a request, or a query token) of requests [i, end),
  // and with its length in units of 256 tokens, until it returns true. row: the first of request i.
  template <class Body>
  __device__ void for_each_row(unsigned i, unsigned end, unsigned row, Body body) const {
    const bool of_requests = has(UDM_KERNEL_SCHEDULE_OF_REQUESTS);
#pragma unroll 1
    for (; i < end; ++i) {
      const Request r = load_request(i);
      const unsigned count = of_requests ? 1 : min(r.tokens, num_tokens - row);
#pragma unroll 1
      for (unsigned j = 0; j < count; ++j, ++row) {
        if (body(row, ((of_requests ? r.length() : r.expanded(j)) + 255) / 256)) return;
      }
    }
  }

  // A unit of work is schedule_pieces pieces. Each thread counts those of a segment of the
  // requests; each SM finds the segment, then the row, in which its work begins.
  __device__ void write_schedule() {
    __shared__ uint64 ends[kThreads];  // of the segments' work, in pieces
    __shared__ unsigned first_rows[kThreads];
    const bool of_requests = has(UDM_KERNEL_SCHEDULE_OF_REQUESTS);
    const bool is_sm100 = has(UDM_KERNEL_SCHEDULE_SM100);
    const uint64 sms = num_sms, pieces = schedule_pieces;
    const unsigned segment_size = (batch_size + kThreads - 1) / kThreads;
    const unsigned begin = min(threadIdx.x * segment_size, batch_size);
    const unsigned end = min(begin + segment_size, batch_size);
    unsigned first_row = begin * (of_requests ? 1 : tokens_per_request);
    uint64 mine = 0, all;
    if (is_ragged() && !of_requests) {
#pragma unroll 1
      for (unsigned i = begin; i < end; ++i) mine += load_request(i).tokens;
      first_row = static_cast<unsigned>(min(block_scan(mine, &all), uint64{num_tokens}));
      mine = 0;
    }
    for_each_row(begin, end, first_row, [&](unsigned, unsigned units) {
      mine += units * pieces;
      return false;
    });
    first_rows[threadIdx.x] = first_row;
    ends[threadIdx.x] = block_scan(mine, &all) + mine;
    __syncthreads();

    // less for few requests only because that is faster
    const unsigned first_step = batch_size > 32 ? kThreads / 2 : batch_size > 1 ? 16 : 0;
    const uint64 quotient = all / sms, more = all - quotient * sms;
#pragma unroll 1
    for (uint64 sm = threadIdx.x; sm <= sms; sm += kThreads) {
      uint64 work = sm * quotient + (is_sm100 ? min(sm, more) : sm - min(sm, sms - more));
      uint64 entry = all > 0 ? (of_requests ? batch_size : num_tokens) * pieces : 0, split = 0;
      if (work < all) {  // else the end, or an SM without work
        unsigned segment = 0;
#pragma unroll 1
        for (unsigned step = first_step; step > 0; step /= 2) {
          if (ends[segment + step - 1] <= work) segment += step;
        }
        if (segment > 0) work -= ends[segment - 1];
        for_each_row(segment * segment_size, batch_size, first_rows[segment],
                     [&](unsigned row, unsigned units) {
                       if (work >= units * pieces) {
                         work -= units * pieces;
                         return false;
                       }
                       entry = row * pieces;
                       split = work;
                       // one piece: the divisions would change nothing
                       if (pieces > 1) split /= is_sm100 ? pieces : units;
                       if (pieces > 1 && !is_sm100) {
                         entry += split;
                         split = work - split * units;
                       }
                       return true;
                     });
      }
      for_each_backend([&](int b) {
        write(b, UDM_KERNEL_SCHEDULE, 2 * sm, entry);
        write(b, UDM_KERNEL_SCHEDULE, 2 * sm + 1, split);
      });
    }
  }

  // ---- page tables ------------------------------------------------------------------------------

  // A request's length and index, loaded and not yet used.
  struct RowLoad {
    Integer length, index;
  };
  __device__ unsigned request_at(unsigned place) const { return window + place * num_windows; }
  __device__ RowLoad load_row(unsigned place) const {
    const unsigned i = min(request_at(place), batch_size - 1);
    RowLoad loaded;
    loaded.length.load(seq_lens, has(UDM_KERNEL_SEQ_LENS_INT64), i);
    loaded.index.load(req_pool_indices, has(UDM_KERNEL_REQ_POOL_INDICES_INT64), i);
    return loaded;
  }
  __device__ Row row_of(const RowLoad &loaded, unsigned place) const {
    const unsigned i = request_at(place);
    Row row = {req_to_token, i, 1, 0, 0};
    if (i >= batch_size) return row;
    const unsigned seq_len = clamp_length(loaded.length.value(has(UDM_KERNEL_SEQ_LENS_INT64)));
    const Request r = request(i, seq_len);
    unsigned columns = longest >= 0 ? longest : min(r.length(), static_cast<unsigned>(max_len));
    if (!kDirect && !has(UDM_KERNEL_ROW_PER_REQUEST)) {
      row.number = is_ragged() ? starts[place] : i * tokens_per_request;
      row.copies = min(r.tokens, num_tokens - row.number);
    }
    if (row.copies == 0 || (has(UDM_KERNEL_SKIP_PADDING) && seq_len == 0)) columns = 0;
    if (has(UDM_KERNEL_SLOTS)) {
      const unsigned line_offset = flags >> UDM_KERNEL_LINE_OFFSET_BIT;
      row.first = (line_offset + row.number * static_cast<unsigned>(page_table_stride)) % 32;
    } else {
      columns = has(UDM_KERNEL_PAGES) ? pages_up(columns) : 0;  // of the real_page_table
    }
    if (columns == 0) return row;  // its index may be anything
    row.end = row.first + columns;
    row.source += loaded.index.value(has(UDM_KERNEL_REQ_POOL_INDICES_INT64)) * req_to_token_stride;
    return row;
  }
  __device__ unsigned tile_size() const {
    return has(UDM_KERNEL_SLOTS) ? UDM_KERNEL_TILE : UDM_KERNEL_PAGE_TILE;
  }
  __device__ unsigned tiles_of(const Row &row) const {
    return (row.end + tile_size() - 1) / tile_size();
  }

  // Copies positions [begin, end) of a row: kCount accesses of T (int or int4) per lane at a time,
  // all loads before the first store. Behind the last whole int4, ints. If positions count columns,
  // also the pages that begin there.
  template <class T, unsigned kCount, bool kOfColumns>
  __device__ void copy_positions(const Row &row, unsigned begin, unsigned end) const {
    constexpr unsigned kWidth = sizeof(T) / sizeof(int);
    const unsigned live = max(begin, row.first), whole = end / kWidth * kWidth;
    const unsigned mine = begin + lane_index() * kWidth - live;  // huge in lanes before column 0
    const int column = static_cast<int>(begin + lane_index() * kWidth - row.first);
    const auto is_live = [&](unsigned v) { return mine + v * 32 * kWidth < whole - live; };
    const int64 step = kOfColumns ? 1 : page_size;
    T slots[kCount];
    const T *from = opaque(reinterpret_cast<const T *>(row.source + column * step));
#pragma unroll
    for (unsigned v = 0; v < kCount; ++v) {
      if (is_live(v)) slots[v] = __ldg(from + v * 32 * step);
    }
    const unsigned tail = whole + lane_index() - row.first;
    const bool has_tail = kWidth > 1 && whole + lane_index() < end;
    const int tail_slot = has_tail ? __ldg(row.source + tail) : 0;
    unsigned page = 0, page_end = 0;
    int slot = 0;
    if (kOfColumns && has(UDM_KERNEL_PAGES)) {
      page = pages_up(live - row.first) + lane_index();
      page_end = pages_up(end - row.first);
      if (page < page_end) slot = __ldg(row.source + page * page_size);
    }
    if constexpr (!kOfColumns) {
#pragma unroll
      for (unsigned v = 0; v < kCount; ++v) slots[v] = page_of_slot(slots[v]);
    }
    for_each_copy(kOfColumns, row, [&](int *table) {
      T *to = opaque(reinterpret_cast<T *>(table + column));
#pragma unroll
      for (unsigned v = 0; v < kCount; ++v) {
        if (is_live(v)) __stwb(to + v * 32, slots[v]);
      }
      if (has_tail) table[tail] = tail_slot;
    });
#pragma unroll 1
    for (; page < page_end; page += 32) {
      const int value = page_of_slot(slot);
      if (page + 32 < page_end) slot = __ldg(row.source + (page + 32) * page_size);
      for_each_copy(false, row, [&](int *table) { table[page] = value; });
    }
  }
  template <unsigned kCount, bool kOfColumns>
  __device__ void copy_ints(const Row &row, unsigned begin, unsigned end) const {
#pragma unroll 1
    for (; begin < end; begin += kCount * 32) {
      copy_positions<int, kCount, kOfColumns>(row, begin, min(begin + kCount * 32, end));
    }
  }
  // Copies tiles of a row, at most a slice, from this position on.
  __device__ void copy(const Row &row, unsigned begin, unsigned tiles) const {
    const unsigned end = min(begin + tiles * tile_size(), row.end);
    const auto source = static_cast<unsigned>(reinterpret_cast<uint64>(row.source) / sizeof(int));
    if (!has(UDM_KERNEL_SLOTS)) {
      copy_ints<2, false>(row, begin, end);
    } else if (has(UDM_KERNEL_VECTORS) && begin >= row.first && (source - row.first) % 4 == 0) {
      copy_positions<int4, kSliceTiles, true>(row, begin, end);
    } else {
      copy_ints<8, true>(row, begin, end);
    }
  }

  // UDM_EXTENT_BATCH_MAX, or a ragged batch: what a copy block must know of all requests.
  __device__ void read_requests() {
    __shared__ unsigned longest_length;
    uint64 total, tokens = 0;  // tokens: of the requests before
    unsigned mine = 0;
    if (threadIdx.x == 0) longest_length = 0;
#pragma unroll 1
    for (unsigned first = 0; first < batch_size; first += kThreads) {
      const unsigned i = first + threadIdx.x,
                     place = divide(i, num_windows, num_windows_reciprocal);
      Request r = {};
      if (i < batch_size) r = load_request(i);
      mine = max(mine, r.length());
      if (!is_ragged()) continue;
      const uint64 start = tokens + block_scan<uint64>(r.tokens, &total);
      tokens += total;
      if (i < batch_size && i == request_at(place)) {
        starts[place] = static_cast<unsigned>(min(start, uint64{num_tokens}));
      }
    }
    __syncthreads();
    if (!has(UDM_KERNEL_EXTENT_BATCH_MAX)) return;
    atomicMax(&longest_length, min(mine, static_cast<unsigned>(max_len)));
    __syncthreads();
    longest = longest_length;
  }

  // The dynamic part, as a warp sees it: tiles that the static part leaves. Rows lie in groups
  // of 32.
  struct Rest {
    unsigned total, group_ends;  // tiles; where those of the group with the lane's number end
    unsigned per_ticket, tile, ticket_end;
  };
  // Thread t lists row t of the window. True: rest->total is not 0.
  __device__ bool list_rest(Rest *rest) const {
    if (!has(UDM_KERNEL_DYNAMIC)) return false;
    const Row row = row_of(load_row(threadIdx.x), threadIdx.x);
    const unsigned all = tiles_of(row), copied = slices_per_row * kSliceTiles;
    const unsigned left = all > copied ? all - copied : 0, warps = kWarps * blocks_per_window;
    if (!__syncthreads_or(left > 0)) return false;
    rows[threadIdx.x] = row;
    tile_ends[threadIdx.x] = warp_scan(left);
    if (threadIdx.x == 0) tickets = kWarps;
    __syncthreads();
    rest->group_ends = warp_scan(tile_ends[lane_index() % kWarps * 32 + 31]);
    rest->total = __shfl_sync(kWholeWarp, rest->group_ends, kWarps - 1);
    // few tiles: one per ticket, so that all warps get some
    rest->per_ticket = rest->total > 2 * warps ? kSliceTiles : rest->total > warps ? 2 : 1;
    rest->tile = (warp_index() * blocks_per_window + block) * rest->per_ticket;
    rest->ticket_end = min(rest->tile + rest->per_ticket, rest->total);
    return true;
  }
  // Finds this warp's next tiles of a row, from position *begin on. False: none are left.
  __device__ bool draw_tiles(Rest *rest, Row *row, unsigned *begin, unsigned *tiles) const {
    if (rest->tile >= rest->ticket_end) {
      if (rest->total <= rest->per_ticket * kWarps * blocks_per_window) return false;
      unsigned ticket = 0;
      if (lane_index() == 0) ticket = atomicAdd(&tickets, 1u);
      ticket = __shfl_sync(kWholeWarp, ticket, 0);
      rest->tile = (ticket * blocks_per_window + block) * rest->per_ticket;
      if (rest->tile >= rest->total) return false;
      rest->ticket_end = min(rest->tile + rest->per_ticket, rest->total);
    }
    const int group = first_lane(rest->group_ends > rest->tile);
    const unsigned group_end = __shfl_sync(kWholeWarp, rest->group_ends, group);
    const unsigned group_begin = group_end - tile_ends[group * 32 + 31];
    const unsigned ends = group_begin + tile_ends[group * 32 + lane_index()];
    const int r = first_lane(ends > rest->tile);
    const unsigned row_end = __shfl_sync(kWholeWarp, ends, r);
    *row = rows[group * 32 + r];
    *tiles = min(rest->ticket_end, row_end) - rest->tile;
    *begin = (tiles_of(*row) - (row_end - rest->tile)) * tile_size();
    rest->tile += *tiles;
    return true;
  }

  __device__ void copy_window() {
    const unsigned warps_per_slice = has(UDM_KERNEL_COPIES_APART) ? tokens_per_request : 1;
    const unsigned slices = window_rows * slices_per_row * warps_per_slice;
    // first all loads that depend on arguments alone
    unsigned slice = warp_index() * blocks_per_window + block;
    unsigned slice_of_row = divide(slice, window_rows, window_rows_reciprocal);
    unsigned place = slice - slice_of_row * window_rows;
    RowLoad next = load_row(place);
    load_pointers();
    if (is_ragged() || has(UDM_KERNEL_EXTENT_BATCH_MAX)) read_requests();
    Rest rest = {};
#pragma unroll 1
    while (true) {
      Row row;
      unsigned begin, tiles;
      if (slice < slices) {
        row = row_of(next, place);
        if (warps_per_slice > 1) {  // one for each of the equal rows
          const unsigned warp = slice_of_row;
          slice_of_row = request_of(warp);
          row.number += warp - slice_of_row * warps_per_slice;
          row.copies = 1;
        }
        // a short row is spread over all of its slices
        const unsigned all = tiles_of(row), per_row = slices_per_row;
        tiles = 1 + (all > per_row) + (all > 2 * per_row) + (all > 3 * per_row);
        begin = slice_of_row * tiles * tile_size();
        slice += kWarps * blocks_per_window;
        if (slice < slices) {
          slice_of_row = divide(slice, window_rows, window_rows_reciprocal);
          place = slice - slice_of_row * window_rows;
          next = load_row(place);
        }
      } else {
        if (rest.total == 0 && !list_rest(&rest)) return;
        if (!draw_tiles(&rest, &row, &begin, &tiles)) return;
      }
      if (begin < row.end) copy(row, begin, tiles);
    }
  }

  __device__ void copy_windows() {
    block = divide(blockIdx.x, num_windows, num_windows_reciprocal);
    window = blockIdx.x - block * num_windows;
#pragma unroll 1
    for (; window < num_windows; window += copy_blocks) {
      if (window >= copy_blocks) __syncthreads();  // the window before is done with shared memory
      copy_window();
    }
  }

  // What this block does of the launch.
  __device__ void run() {
    if (blockIdx.x < copy_blocks) return copy_windows();
    unsigned length_block = blockIdx.x - copy_blocks, group = 0;
    const bool is_schedule = length_block >= length_groups * length_blocks;
    if (length_groups > 1) {  // each backend has an offset of its own
      group = length_block / length_blocks;
      if (is_schedule) group = length_block - length_groups * length_blocks;
      length_block -= group * length_blocks;
      backends = 1u << group;
    }
    if (!kDirect) offset = offsets[group];
    load_pointers();
    if (is_schedule) return write_schedule();
    write_lengths(length_block);
  }
};

#define UDM_PARAMETER(type, name) type name,
#define UDM_ARGUMENT(type, name) name,
#define UDM_POINTERS(name) int *name##_0, int *name##_1, int *name##_2,
#define UDM_OUTPUT(name)                    \
  outputs[0][UDM_KERNEL_##name] = name##_0; \
  outputs[1][UDM_KERNEL_##name] = name##_1; \
  outputs[2][UDM_KERNEL_##name] = name##_2;

#ifndef UDM_GENERAL_ALONE  // the shipped PTX
// Decode mode, up to 3 backends.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 3)
    udm_decode_metadata_direct(UDM_KERNEL_SCALARS(UDM_PARAMETER)
                                   UDM_KERNEL_DIRECT_OUTPUTS(UDM_POINTERS) unsigned num_sms) {
  int *outputs[UDM_KERNEL_DIRECT_BACKENDS][UDM_KERNEL_ALL_OUTPUTS] = {};
  UDM_KERNEL_DIRECT_OUTPUTS(UDM_OUTPUT)
  udm_kernel_phase phase = {};
  phase.tokens_per_request = phase.schedule_pieces = phase.length_groups = 1;
  phase.num_tokens = batch_size;
  phase.num_sms = num_sms;
  Launch<true>{{UDM_KERNEL_SCALARS(UDM_ARGUMENT)}, phase, outputs, nullptr, 7, 0}.run();
}
#endif

// Before CUDA 11.7 a parameter whose address is taken is copied to each thread's local memory.
#if defined(__CUDACC_RTC__) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1107
#define __grid_constant__
#endif

// Every mode, up to 8 backends.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 3)
    udm_decode_metadata_general(UDM_KERNEL_SCALARS(UDM_PARAMETER)
                                    const __grid_constant__ udm_kernel_general general) {
  Launch<false>{{UDM_KERNEL_SCALARS(UDM_ARGUMENT)},
                general.phase,
                general.outputs,
                general.offsets,
                (1u << num_backends) - 1,
                general.phase.largest_offset}
      .run();
}
