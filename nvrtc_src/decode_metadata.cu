// Fills the attention metadata of one phase of a speculative step in one launch. The contract is in
// include/udm.h.
//
// SPDX-License-Identifier: Apache-2.0
//
// The first copy_blocks blocks fill the page tables, those after them the lengths and prefix sums,
// the last ones the schedules. Window w of the batch has the requests w, w + num_windows, ..., at
// most 256. The live columns of a request's row are cut into tiles of 128 columns. A copy block
// serves one window, in two parts:
//
//   row 0   |s0 s0|s1 s1|s2 s2|                  s0, s1, s2: slices of 1 to 4 tiles that the row
//   row 1   |s0|s1|                              number alone gives to a warp (static part) : the
//   row 2   |s0 s0 s0 s0|...|t t t t|t t t t|    copy starts after one load of a length
//                                                t: what remains of long rows (dynamic part)
//
// In the dynamic part the block prefix-sums the remaining tiles of its window's rows. Its warps
// draw tickets from a shared counter; a ticket is up to 4 tiles, whose row is found by ballots.
//
// No block waits for another, and the grid depends on the arguments alone: a recorded launch stays
// right whatever the lengths are at replay.

namespace {

typedef long long int64;
typedef unsigned long long uint64;
constexpr unsigned kThreads = UDM_KERNEL_THREADS, kWarps = UDM_KERNEL_WARPS;
constexpr unsigned kSliceTiles = UDM_KERNEL_SLICE_TILES, kWholeWarp = 0xffffffffu;
// Which lengths a warp writes: bits.
constexpr unsigned kOfRequests = 1, kOfTokens = 2, kAll = 3;

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

// An address of which the compiler knows nothing: it neither reorders loads by it nor computes it
// anew from an index.
template <class T>
__device__ T *opaque(T *address) {
#ifdef __CUDA_ARCH__
  asm("" : "+l"(address));
#endif
  return address;
}

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
__device__ uint64 divide(uint64 n, uint64 divisor, uint64 reciprocal) {
  const uint64 quotient = __umul64hi(n, reciprocal);
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

// A request in this phase: the KV tokens that its last query token sees, not yet clamped, and its
// query tokens.
struct Request {
  unsigned seen;
  int tokens;

  __device__ int length() const { return static_cast<int>(smaller(seen, 0x7fffffffu)); }
  __device__ int expanded(int j) const {  // what query token j sees
    const unsigned after = tokens - 1 - j;
    return seen > after ? static_cast<int>(smaller(seen - after, 0x7fffffffu)) : 0;
  }
};

// N sums side by side. Those of lengths wrap modulo 2^32.
template <class T, int N>
struct Sums {
  T of[N];

  __device__ Sums &operator+=(const Sums &other) {
#pragma unroll
    for (int s = 0; s < N; ++s) of[s] += other.of[s];
    return *this;
  }
};
typedef Sums<unsigned, 2> LengthSums;  // of lengths, and of what the query tokens see of them
typedef Sums<uint64, 1> Sum;           // of query tokens, or of work: extend_lens may hold anything

// The pointers of a backend to lengths and sums; null: not written.
struct LengthTensors {
  int *cache_seqlens, *cu_seqlens_k, *cu_seqlens_q;
  int *seqlens_expanded, *nsa_cache_seqlens, *nsa_cu_seqlens_k, *ctx_lens;

  __device__ void store_zeros() const {
    if (cu_seqlens_k) cu_seqlens_k[0] = 0;
    if (nsa_cu_seqlens_k) nsa_cu_seqlens_k[0] = 0;
    if (cu_seqlens_q) cu_seqlens_q[0] = 0;
  }
  // sum: of visible up to this query token
  __device__ void store_token(unsigned token, int expanded, int visible, int ctx_len,
                              unsigned sum) const {
    if (seqlens_expanded) seqlens_expanded[token] = expanded;
    if (nsa_cache_seqlens) nsa_cache_seqlens[token] = visible;
    if (nsa_cu_seqlens_k) nsa_cu_seqlens_k[token + 1] = static_cast<int>(sum);
    if (ctx_lens) ctx_lens[token] = ctx_len;
  }
};

// The outputs of the direct kernel: decode mode, up to three backends. Their pointers are
// parameters, null if absent: constant indices keep them in the constant bank. What the general
// kernel reads from its parameters is constant here, so that code for other modes vanishes.
struct DirectOutputs {
  static constexpr unsigned kPages = 2, kInts = 8, kLengths = 4;  // in flight per thread
  int *pointers[UDM_KERNEL_ALL_OUTPUTS][UDM_KERNEL_DIRECT_BACKENDS];
  uint64 reciprocal;
  unsigned warp_share, own_backend;  // all of both, or as take_warp() says

  __device__ uint64 sms_reciprocal() const { return reciprocal; }
  __device__ static bool is_ragged() { return false; }
  __device__ static unsigned start(unsigned) { return 0; }
  __device__ static unsigned tokens_per_request() { return 1; }
  __device__ static unsigned schedule_pieces() { return 1; }
  __device__ static unsigned num_tokens(const Params &p) { return p.batch_size; }
  __device__ static unsigned request_of(const Params &, unsigned token) { return token; }
  __device__ static bool has(const Params &, unsigned) { return false; }
  // If one warp holds the whole batch, each writes to other backends, or other outputs. False:
  // none.
  __device__ bool take_warp() {
    own_backend = warp_index() % 4;
    warp_share = 1 + warp_index() / 4;
    return own_backend < UDM_KERNEL_DIRECT_BACKENDS;
  }
  __device__ Params load_tables(const Params &p) { return p; }
  __device__ Request request(const Params &, int length, unsigned) const {
    return {static_cast<unsigned>(length), 1};
  }
  __device__ int visible(const Params &p, int length) const { return smaller(length, p.topk); }

  // Calls body with this row of each backend's table.
  template <class Body>
  __device__ void for_each_row(int output, unsigned row, unsigned, int64 stride, Body body) const {
    const int64 offset = row * stride;
#pragma unroll
    for (int b = 0; b < UDM_KERNEL_DIRECT_BACKENDS; ++b) {
      if (pointers[output][b]) body(pointers[output][b] + offset);
    }
  }
  template <class Body>
  __device__ void for_each_schedule(Body body) const {
    for_each_row(UDM_KERNEL_SCHEDULE, 0, 1, 0, body);
  }
  template <class Body>
  __device__ void for_each_backend(Body body) const {
#pragma unroll
    for (unsigned b = 0; b < UDM_KERNEL_DIRECT_BACKENDS; ++b) {
      if (own_backend != kAll && own_backend != b) continue;
      body(LengthTensors{
          pointers[UDM_KERNEL_CACHE_SEQLENS][b], pointers[UDM_KERNEL_CU_SEQLENS_K][b], nullptr,
          pointers[UDM_KERNEL_SEQLENS_EXPANDED][b], pointers[UDM_KERNEL_NSA_CACHE_SEQLENS][b],
          pointers[UDM_KERNEL_NSA_CU_SEQLENS_K][b], pointers[UDM_KERNEL_CTX_LENS][b]});
    }
  }
};

// The outputs of the general kernel: every mode, up to eight backends. Their pointers are
// parameters, or lie in a table in device memory, which each block brings to shared memory.
struct GeneralOutputs {
  static constexpr unsigned kPages = 1, kInts = 4, kLengths = 1;
  const udm_kernel_phase &phase;
  int *(&from_table)[UDM_KERNEL_OUTPUTS][UDM_KERNEL_GENERAL_BACKENDS];
  unsigned *starts;  // of a ragged batch: the first token of each request of the window
  int first, end;    // the backends that this block writes
  int offset;        // of their lengths
  int step;          // of the backends that this thread's warp writes lengths to
  unsigned warp_share;

  __device__ bool is_ragged() const { return phase.extend_lens; }
  __device__ unsigned start(unsigned place) const { return starts[place]; }
  __device__ unsigned tokens_per_request() const { return phase.tokens_per_request; }
  __device__ unsigned schedule_pieces() const { return phase.schedule_pieces; }
  __device__ uint64 sms_reciprocal() const { return phase.sms_reciprocal; }
  __device__ unsigned num_tokens(const Params &) const { return phase.num_tokens; }
  __device__ unsigned request_of(const Params &, unsigned token) const {
    return divide(token, phase.tokens_per_request, phase.tokens_reciprocal);
  }
  __device__ static bool has(const Params &p, unsigned flag) { return p.has(flag); }
  __device__ bool take_warp() {
    first += static_cast<int>(warp_index() % 4);
    step = 4;
    warp_share = 1 + warp_index() / 4;
    return first < end;
  }

  __device__ int *pointer(int output, int b) const {
    if (output < UDM_KERNEL_OUTPUTS && phase.table) return from_table[output][b];
    return phase.outputs[b][output];
  }
  __device__ void load_pointers() {
    if (!phase.table) return;
    const unsigned o = threadIdx.x / UDM_KERNEL_GENERAL_BACKENDS;
    const unsigned b = threadIdx.x % UDM_KERNEL_GENERAL_BACKENDS;
    if (o < UDM_KERNEL_OUTPUTS && b < static_cast<unsigned>(end)) {
      from_table[o][b] = reinterpret_cast<int *>(phase.table[o * phase.table_stride + b]);
    }
    __syncthreads();
  }
  // Returns p with what the host could not know of pointers in device memory.
  __device__ Params load_tables(const Params &p) {
    load_pointers();
    Params full = p;
    if (!phase.table || p.page_table_stride <= 0) return full;
    uint64 first_table = 0;
#pragma unroll 1
    for (int b = 0; b < end; ++b) {
      const auto table = reinterpret_cast<uint64>(pointer(UDM_KERNEL_PAGE_TABLE_1, b));
      if (!first_table) first_table = table;
      if (table && (table - first_table) % 16) full.flags &= ~unsigned{UDM_KERNEL_VECTORS};
    }
    const auto line_offset = static_cast<unsigned>(first_table / 4 % 32);
    if (first_table) full.flags |= UDM_KERNEL_SLOTS | line_offset << UDM_KERNEL_LINE_OFFSET_BIT;
    return full;
  }

  __device__ Request request(const Params &p, int length, unsigned i) const {
    int tokens = phase.tokens_per_request;
    if (phase.extend_lens) {
      tokens = load_length(phase.extend_lens, p.has(UDM_KERNEL_EXTEND_LENS_INT64), i);
    }
    const bool is_padding = p.has(UDM_KERNEL_SKIP_PADDING) && length == 0;
    const unsigned added = p.has(UDM_KERNEL_ADD_TOKENS) ? tokens : offset;
    return {is_padding ? 0 : length + added, tokens};
  }
  __device__ int visible(const Params &p, int length) const {
    const int full = divide(length, phase.kpool, phase.kpool_reciprocal) * phase.kpool;
    return smaller(full, p.topk) + (length - full);
  }

  // Calls body with `copies` rows, from this one on, of each backend's table.
  template <class Body>
  __device__ void for_each_row(int output, unsigned row, unsigned copies, int64 stride,
                               Body body) const {
#pragma unroll 1
    for (int b = 0; b < end; ++b) {
      int *to = pointer(output, b);
      if (!to) continue;
      to += row * stride;
#pragma unroll 1
      for (unsigned copy = 0; copy < copies; ++copy) {
        body(to);
        to = opaque(to + stride);
      }
    }
  }
  template <class Body>
  __device__ void for_each_schedule(Body body) const {
#pragma unroll 1
    for (int b = first; b < end; ++b) {
      int *const to = phase.outputs[b][UDM_KERNEL_SCHEDULE];
      if (to) body(to);
    }
  }
  template <class Body>
  __device__ void for_each_backend(Body body) const {
#pragma unroll 1
    for (int b = first; b < end; b += step) {
      body(LengthTensors{pointer(UDM_KERNEL_CACHE_SEQLENS, b), pointer(UDM_KERNEL_CU_SEQLENS_K, b),
                         pointer(UDM_KERNEL_CU_SEQLENS_Q, b),
                         pointer(UDM_KERNEL_SEQLENS_EXPANDED, b),
                         pointer(UDM_KERNEL_NSA_CACHE_SEQLENS, b),
                         pointer(UDM_KERNEL_NSA_CU_SEQLENS_K, b), pointer(UDM_KERNEL_CTX_LENS, b)});
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

// The query tokens that one thread counts and writes: one; of a ragged batch, those of a request.
struct TokenRun {
  Request request;
  unsigned number;        // of the request
  int first, tokens;      // of the request's query tokens
  int expanded, visible;  // of the last one that sums() counted

  template <class Outputs>
  __device__ void load(const Params &p, const Outputs &outputs, unsigned u) {
    number = outputs.is_ragged() ? u : outputs.request_of(p, u);
    request = load_request(p, outputs, number);
    first = outputs.is_ragged() ? 0 : u - number * outputs.tokens_per_request();
    tokens = outputs.is_ragged() ? request.tokens : 1;
  }
  template <class Outputs>
  __device__ LengthSums sums(const Params &p, const Outputs &outputs) {
    const unsigned most = outputs.num_tokens(p);
    const int count = outputs.is_ragged() ? smaller<int>(tokens, most) : 1;
    LengthSums sums = {{first == 0 ? static_cast<unsigned>(request.length()) : 0, 0}};
#pragma unroll 1
    for (int j = 0; j < count; ++j) {
      expanded = request.expanded(first + j);
      visible = outputs.visible(p, expanded);
      sums.of[1] += visible;
    }
    return sums;
  }
  // start: the batch's number of the first token; before: the sums over the runs before it
  template <class Outputs>
  __device__ void store(const Params &p, const Outputs &outputs, const LengthTensors &to,
                        uint64 start, const LengthSums &before) {
    if (first == 0 && outputs.warp_share & kOfRequests) {
      const unsigned end = before.of[0] + request.length();
      if (to.cache_seqlens) to.cache_seqlens[number] = request.length();
      if (to.cu_seqlens_k) to.cu_seqlens_k[number + 1] = static_cast<int>(end);
      if (to.cu_seqlens_q) to.cu_seqlens_q[number + 1] = static_cast<int>(start + request.tokens);
    }
    if (!(outputs.warp_share & kOfTokens)) return;
    int count = 1;
    if (outputs.is_ragged()) {
      const uint64 all = outputs.num_tokens(p), left = all - smaller(start, all);
      count = static_cast<int>(smaller<uint64>(left, tokens));
    }
    unsigned seen = before.of[1];
#pragma unroll 1
    for (int j = 0; j < count; ++j) {
      if (outputs.is_ragged()) {
        expanded = request.expanded(first + j);
        visible = outputs.visible(p, expanded);
      }
      const bool of_request = outputs.has(p, UDM_KERNEL_CTX_LENS_OF_REQUEST);
      seen += visible;
      to.store_token(static_cast<unsigned>(start) + j, expanded, visible,
                     of_request ? request.length() : expanded, seen);
    }
  }
};

// Runs [first, last) of all. A block sums those before its own again rather than wait for their
// sums.
template <class Outputs>
__device__ void write_lengths(const Params &p, Outputs &outputs, unsigned first, unsigned last,
                              unsigned all) {
  const bool is_one_warp = all <= 32;
  if (is_one_warp && !outputs.take_warp()) return;
  const unsigned threads = is_one_warp ? 32 : kThreads, thread = threadIdx.x % threads;
  LengthSums before = {};
  Sum tokens = {};  // of a ragged batch
  if (first > 0) {
    LengthSums mine = {};
    Sum my_tokens = {};
#pragma unroll Outputs::kLengths
    for (unsigned u = threadIdx.x; u < first; u += kThreads) {
      TokenRun run = {};
      run.load(p, outputs, u);
      mine += run.sums(p, outputs);
      my_tokens.of[0] += run.tokens;
    }
    block_scan(mine, &before);
    if (outputs.is_ragged()) block_scan(my_tokens, &tokens);
  }
#pragma unroll 1
  do {
    const unsigned u = first + thread;
    TokenRun run = {};
    if (u < last) run.load(p, outputs, u);
    const LengthSums sums = run.sums(p, outputs);
    LengthSums total, begins = block_scan(sums, &total, is_one_warp);
    begins += before;
    before += total;
    uint64 start = u;
    if (outputs.is_ragged()) {
      Sum more, own = {{static_cast<uint64>(run.tokens)}};
      start = tokens.of[0] + block_scan(own, &more, is_one_warp).of[0];
      tokens += more;
    }
    outputs.for_each_backend([&](const LengthTensors &to) {
      if (u == 0) to.store_zeros();
      if (u < last) run.store(p, outputs, to, start, begins);
    });
    first += kThreads;
  } while (first < last);
  if (!outputs.is_ragged() || last < all) return;
  const uint64 end = outputs.num_tokens(p);  // what the requests leave of the tokens has length 0
#pragma unroll 1
  for (uint64 e = tokens.of[0] + thread; e < end; e += threads) {
    outputs.for_each_backend([&](const LengthTensors &to) {
      to.store_token(static_cast<unsigned>(e), 0, 0, 0, before.of[1]);
    });
  }
}

// ---- the schedule of DeepGEMM's paged MQA logits ------------------------------------------------

// Calls body with each row of requests [from, to), the first of which is `row`, and with its units,
// until it returns false.
template <class Outputs, class Body>
__device__ void for_each_schedule_row(const Params &p, const Outputs &outputs, unsigned from,
                                      unsigned to, unsigned row, unsigned rows, Body body) {
  const bool of_requests = outputs.has(p, UDM_KERNEL_SCHEDULE_OF_REQUESTS);
#pragma unroll 1
  for (unsigned i = from; i < to; ++i) {
    const Request r = load_request(p, outputs, i);
    const int count = of_requests ? 1 : r.tokens;
#pragma unroll 1
    for (int j = 0; j < count && row < rows; ++j, ++row) {
      if (!body(row, ((of_requests ? r.length() : r.expanded(j)) + 255u) / 256)) return;
    }
  }
}

// A row is a query token, or a request; its work is counted in units of 256 tokens. Each thread
// sums a segment of the requests; each SM finds the segment, then the row, in which its work
// begins.
template <class Outputs>
__device__ void write_schedule(const Params &p, const Outputs &outputs) {
  __shared__ uint64 unit_ends[kThreads];
  __shared__ unsigned row_begins[kThreads];
  const bool of_requests = outputs.has(p, UDM_KERNEL_SCHEDULE_OF_REQUESTS);
  const unsigned segment = (p.batch_size + kThreads - 1) / kThreads;
  const unsigned begin = smaller(threadIdx.x * segment, p.batch_size);
  const unsigned end = smaller(begin + segment, p.batch_size);
  const unsigned rows = of_requests ? p.batch_size : outputs.num_tokens(p);
  unsigned first_row = begin * (of_requests ? 1 : outputs.tokens_per_request());
  Sum mine = {}, total;
  if (outputs.is_ragged() && !of_requests) {
#pragma unroll 1
    for (unsigned i = begin; i < end; ++i) mine.of[0] += load_request(p, outputs, i).tokens;
    first_row = static_cast<unsigned>(smaller<uint64>(block_scan(mine, &total).of[0], rows));
    mine = {};
  }
  for_each_schedule_row(p, outputs, begin, end, first_row, rows, [&](unsigned, unsigned units) {
    mine.of[0] += units;
    return true;
  });
  row_begins[threadIdx.x] = first_row;
  unit_ends[threadIdx.x] = block_scan(mine, &total).of[0] + mine.of[0];
  __syncthreads();

  const uint64 sms = p.num_sms, pieces = outputs.schedule_pieces(), all = total.of[0] * pieces;
  const uint64 quotient = divide(all, sms, outputs.sms_reciprocal()), more = all - quotient * sms;
  const bool is_sm100 = p.has(UDM_KERNEL_SCHEDULE_SM100);
  const unsigned longest_step = p.batch_size > 32 ? kThreads / 2 : p.batch_size > 1 ? 16 : 0;
#pragma unroll 1
  for (uint64 sm = threadIdx.x; sm <= sms; sm += kThreads) {
    const uint64 piece =
        sm * quotient + (is_sm100 ? smaller(sm, more) : sm - smaller(sm, sms - more));
    uint64 entry = all > 0 ? rows * pieces : 0, offset = 0;
    if (piece < all) {  // else the end, or an SM without work
      uint64 unit = piece;
      if (pieces > 1) unit /= pieces;
      const uint64 piece_of_unit = piece - unit * pieces;
      unsigned low = 0;  // the first segment that ends behind the unit
#pragma unroll 1
      for (unsigned step = longest_step; step > 0; step /= 2) {
        if (unit_ends[low + step - 1] <= unit) low += step;
      }
      if (low > 0) unit -= unit_ends[low - 1];
      for_each_schedule_row(p, outputs, low * segment, p.batch_size, row_begins[low], rows,
                            [&](unsigned row, unsigned units) {
                              if (unit >= units) {
                                unit -= units;
                                return true;
                              }
                              entry = row * pieces;
                              offset = unit;
                              if (pieces > 1 && !is_sm100) {
                                offset = unit * pieces + piece_of_unit;  // since the row began
                                entry += offset / units;
                                offset %= units;
                              }
                              return false;
                            });
    }
    outputs.for_each_schedule([&](int *to) {
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
  __device__ Row of_lane(int l) const {
    const auto address = __shfl_sync(kWholeWarp, reinterpret_cast<uint64>(source), l);
    return {reinterpret_cast<const int *>(address), __shfl_sync(kWholeWarp, number, l),
            __shfl_sync(kWholeWarp, copies, l), __shfl_sync(kWholeWarp, first, l),
            __shfl_sync(kWholeWarp, end, l)};
  }
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
    unsigned extent = longest >= 0 ? longest : smaller(r.length(), p.max_len);
    if (!outputs.has(p, UDM_KERNEL_ROW_PER_REQUEST)) {
      row.number = outputs.is_ragged() ? outputs.start(place) : i * outputs.tokens_per_request();
      row.copies = smaller<unsigned>(r.tokens, outputs.num_tokens(p) - row.number);
    }
    if (row.copies == 0 || (outputs.has(p, UDM_KERNEL_SKIP_PADDING) && tokens == 0)) extent = 0;
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
      outputs.for_each_row(UDM_KERNEL_REAL_PAGE_TABLE, row.number, row.copies,
                           p.real_page_table_stride, [&](int *to) {
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

// Copies positions [begin, end) of a row: kCount accesses of type T (int or int4) per lane, all
// loads before the first store. Vectors copy whole tiles only.
template <class T, unsigned kCount, class Outputs>
__device__ void copy_slots(const Params &p, const Outputs &outputs, const Row &row, unsigned begin,
                           unsigned end) {
  constexpr unsigned kWidth = sizeof(T) / sizeof(int);
  const unsigned live = begin < row.first ? row.first : begin, whole = end / kWidth * kWidth;
  const unsigned count = whole - live;
  const unsigned mine = begin + lane_index() * kWidth - live;  // lanes before the first: huge
  const int column = static_cast<int>(begin + lane_index() * kWidth - row.first);
  const auto is_live = [&](unsigned v) { return mine + v * 32 * kWidth < count; };
  T slots[kCount];
  const T *from = opaque(reinterpret_cast<const T *>(row.source + column));
#pragma unroll
  for (unsigned v = 0; v < kCount; ++v) {
    if (is_live(v)) slots[v] = __ldg(from + v * 32);
  }
  const unsigned rest = whole + lane_index() - row.first;
  const bool has_rest = kWidth > 1 && whole + lane_index() < end;
  int rest_slot = has_rest ? __ldg(row.source + rest) : 0;
  Pages<1> pages = {0, 0, {}};
  if (p.has(UDM_KERNEL_PAGES)) {
    pages.begin = pages_up(p, live - row.first);
    pages.end = pages_up(p, end - row.first);
    pages.load(p, row);
  }
  outputs.for_each_row(UDM_KERNEL_PAGE_TABLE_1, row.number, row.copies, p.page_table_stride,
                       [&](int *table) {
                         T *to = reinterpret_cast<T *>(table + column);
#pragma unroll
                         for (unsigned v = 0; v < kCount; ++v) {
                           if (is_live(v)) __stwb(to + v * 32, slots[v]);
                         }
                         if (has_rest) table[rest] = rest_slot;
                       });
  pages.store(p, outputs, row);
}

__device__ unsigned tile_size(const Params &p) {
  return p.has(UDM_KERNEL_SLOTS) ? UDM_KERNEL_TILE : UDM_KERNEL_PAGE_TILE;
}

// Copies some tiles of a row, at most a slice.
template <class Outputs>
__device__ void copy(const Params &p, const Outputs &outputs, const Row &row, unsigned begin,
                     unsigned end) {
  if (!p.has(UDM_KERNEL_SLOTS)) {
    Pages<Outputs::kPages> pages = {begin, p.has(UDM_KERNEL_PAGES) ? end : begin, {}};
    pages.load(p, row);
    pages.store(p, outputs, row);
    return;
  }
  const auto source = static_cast<unsigned>(reinterpret_cast<uint64>(row.source) / sizeof(int));
  const bool has_vectors =
      p.has(UDM_KERNEL_VECTORS) && begin >= row.first && (source - row.first) % 4 == 0;
  if (!has_vectors) {
    constexpr unsigned kCount = Outputs::kInts, kStep = kCount * 32;
#pragma unroll 1
    for (; begin < end; begin += kStep) {
      copy_slots<int, kCount>(p, outputs, row, begin, smaller(begin + kStep, end));
    }
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
#pragma unroll 1
  for (unsigned i = threadIdx.x; i < p.batch_size; i += kThreads) {
    mine = -smaller(-mine, -load_request(p, outputs, i).length());
  }
  atomicMax(&longest, smaller(mine, p.max_len));
  __syncthreads();
  return longest;
}

// Of a ragged batch: the first tokens of the window's requests, at most num_tokens.
__device__ void find_starts(const Params &, const DirectOutputs &, unsigned) {}
__device__ void find_starts(const Params &p, const GeneralOutputs &outputs, unsigned window) {
  const bool is_one_warp = p.batch_size <= 32;  // the scan needs no barrier
  Sum before = {}, total;
#pragma unroll 1
  for (unsigned first = 0; first < p.batch_size; first += kThreads) {
    if (is_one_warp && warp_index() > 0) break;
    const unsigned i = first + threadIdx.x, place = i / p.num_windows;
    const int tokens = i < p.batch_size ? load_request(p, outputs, i).tokens : 0;
    auto begins = block_scan(Sum{{static_cast<uint64>(tokens)}}, &total, is_one_warp);
    begins += before;
    before += total;
    if (i < p.batch_size && i - place * p.num_windows == window) {
      const uint64 most = outputs.phase.num_tokens;
      outputs.starts[place] = static_cast<unsigned>(smaller(begins.of[0], most));
    }
  }
  __syncthreads();
}

// A copy block's part of a window: it is one of `blocks` that serve it.
struct Part {
  unsigned window, block, blocks;

  __device__ unsigned request_at(const Params &p, unsigned place) const {
    return window + place * p.num_windows;
  }
};

// The dynamic part: the tiles that the static part left, by tickets. Thread t has row t of the
// window and how many of its tiles are left.
template <class Outputs>
__device__ void copy_rest(const Params &p, const Outputs &outputs, const Part &part, const Row &own,
                          unsigned left) {
  __shared__ Row rows[kThreads];
  __shared__ unsigned tile_ends[kThreads], group_totals[kWarps], tickets;
  if (!__syncthreads_or(left > 0)) return;
  const unsigned own_end = warp_scan(left);
  rows[threadIdx.x] = own;
  tile_ends[threadIdx.x] = own_end;  // counted from the first tile of its group of 32 rows
  if (lane_index() == 31) group_totals[warp_index()] = own_end;
  if (threadIdx.x == 0) tickets = kWarps;
  __syncthreads();
  // where the tiles of the group that has the lane's number end
  const unsigned group_ends = warp_scan(group_totals[lane_index() % kWarps]);
  const unsigned total = __shfl_sync(kWholeWarp, group_ends, kWarps - 1);
  const unsigned warps = kWarps * part.blocks;
  // few tiles: one per ticket, so that all warps get some
  const unsigned ticket_tiles = total > 2 * warps ? kSliceTiles : total > warps ? 2 : 1;
  unsigned ticket = warp_index(), group_end = 0;
  Row listed = own;         // the lane's row of the group that was looked up last,
  unsigned listed_end = 0;  // and where its tiles end
#pragma unroll 1
  while (true) {
    unsigned tile = (ticket * part.blocks + part.block) * ticket_tiles;
    const unsigned ticket_end = smaller(tile + ticket_tiles, total);
#pragma unroll 1
    while (tile < ticket_end) {
      if (tile >= group_end) {  // tickets only rise
        const int group = first_lane(group_ends > tile);
        const unsigned at = group * 32 + lane_index();
        listed = rows[at];
        group_end = __shfl_sync(kWholeWarp, group_ends, group);
        listed_end = group_end - group_totals[group] + tile_ends[at];
      }
      const int r = first_lane(listed_end > tile);
      const Row row = listed.of_lane(r);
      const unsigned row_end = __shfl_sync(kWholeWarp, listed_end, r);
      const unsigned begin = (row.tiles(tile_size(p)) - (row_end - tile)) * tile_size(p);
      const unsigned tiles = smaller(ticket_end, row_end) - tile;
      tile += tiles;
      copy(p, outputs, row, begin, smaller(begin + tiles * tile_size(p), row.end));
    }
    if (total <= ticket_tiles * warps) return;  // one ticket per warp
    if (lane_index() == 0) ticket = atomicAdd(&tickets, 1u);
    ticket = __shfl_sync(kWholeWarp, ticket, 0);
    if ((ticket * part.blocks + part.block) * ticket_tiles >= total) return;
  }
}

template <class Outputs>
__device__ void copy_window(const Params &arguments, Outputs &outputs, const Part &part) {
  const bool apart = outputs.has(arguments, UDM_KERNEL_COPIES_APART);
  const unsigned warps_of_slice = apart ? outputs.tokens_per_request() : 1;
  const unsigned slices = arguments.window_rows * arguments.slices_per_row * warps_of_slice;
  const auto slice_of_row = [&](unsigned slice) {
    return divide(slice, arguments.window_rows, arguments.window_reciprocal);
  };
  // first all loads that depend on arguments alone
  unsigned slice = warp_index() * part.blocks + part.block, of_row = slice_of_row(slice);
  unsigned place = slice - of_row * arguments.window_rows;
  const unsigned own = part.request_at(arguments, threadIdx.x);  // past the window: past the batch
  const bool is_dynamic = arguments.has(UDM_KERNEL_DYNAMIC);
  RowLoad next, own_load;
  next.load(arguments, part.request_at(arguments, place));
  if (is_dynamic) own_load.load(arguments, own);
  const Params p = outputs.load_tables(arguments);
  if (outputs.is_ragged()) find_starts(p, outputs, part.window);
  int longest = -1;
  if (p.has(UDM_KERNEL_EXTENT_BATCH_MAX)) longest = longest_extent(p, outputs);
#pragma unroll 1
  while (slice < slices) {  // the static part
    Row row = next.row(p, outputs, part.request_at(p, place), place, longest);
    if (apart) {
      const unsigned warp = of_row;
      of_row = outputs.request_of(p, warp);
      row.number += warp - of_row * warps_of_slice;
      row.copies = 1;
    }
    // a short row is spread over all of its slices
    const unsigned all = row.tiles(tile_size(p)), per_row = p.slices_per_row;
    const unsigned tiles = 1 + (all > per_row) + (all > 2 * per_row) + (all > 3 * per_row);
    const unsigned begin = of_row * tiles * tile_size(p), end = begin + tiles * tile_size(p);
    slice += kWarps * part.blocks;
    if (slice < slices) {
      of_row = slice_of_row(slice);
      place = slice - of_row * p.window_rows;
      next.load(p, part.request_at(p, place));
    }
    if (begin < row.end) copy(p, outputs, row, begin, smaller(end, row.end));
  }
  if (!is_dynamic) return;
  own_load.wait_no_earlier();
  const Row row = own_load.row(p, outputs, own, threadIdx.x, longest);
  const unsigned all = row.tiles(tile_size(p)), copied = p.slices_per_row * kSliceTiles;
  copy_rest(p, outputs, part, row, all > copied ? all - copied : 0);
}

// ---- the grid -----------------------------------------------------------------------------------

template <class Outputs>
__device__ void copy_windows(const Params &p, Outputs &outputs) {
  Part part = {0, blockIdx.x, p.copy_blocks};
  if (p.num_windows > 1) {
    part.window = blockIdx.x % p.num_windows;
    part.block = blockIdx.x / p.num_windows;
    part.blocks = p.copy_blocks > p.num_windows ? p.copy_blocks / p.num_windows : 1;
    if (part.block >= part.blocks) return;
  }
#pragma unroll 1
  for (; part.window < p.num_windows; part.window += p.copy_blocks) {
    if (part.window >= p.copy_blocks)
      __syncthreads();  // the window before is done with shared memory
    copy_window(p, outputs, part);
  }
}

// Length block `block`: whole chunks of kThreads runs; the host counts the blocks.
template <class Outputs>
__device__ void write_length_block(const Params &p, Outputs &outputs, unsigned block) {
  const unsigned runs = outputs.is_ragged() ? p.batch_size : outputs.num_tokens(p);
  const unsigned chunks = (runs + kThreads - 1) / kThreads, most = UDM_KERNEL_LENGTH_BLOCKS;
  const unsigned per_block = (chunks + most - 1) / most * kThreads, first = block * per_block;
  write_lengths(p, outputs, first, smaller(first + per_block, runs), runs);
}

}  // namespace

#define UDM_PARAMETER(type, name) type name,
#define UDM_ARGUMENT(type, name) name,
#define UDM_SCALARS UDM_KERNEL_SCALARS(UDM_PARAMETER)
#define UDM_PARAMS                       \
  {                                      \
    { UDM_KERNEL_SCALARS(UDM_ARGUMENT) } \
  }
#define UDM_POINTERS(name) int *name##_0, int *name##_1, int *name##_2,
#define UDM_THREE(name) \
  { name##_0, name##_1, name##_2 }

#ifndef UDM_GENERAL_ALONE  // the shipped PTX
// Decode mode, up to 3 backends.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 2) udm_decode_metadata_direct(
    UDM_SCALARS UDM_KERNEL_DIRECT_OUTPUTS(UDM_POINTERS) unsigned long long sms_reciprocal) {
  const Params p = UDM_PARAMS;
  DirectOutputs outputs = {{UDM_THREE(CACHE_SEQLENS),
                            UDM_THREE(CU_SEQLENS_K),
                            UDM_THREE(PAGE_TABLE_1),
                            UDM_THREE(NSA_CACHE_SEQLENS),
                            UDM_THREE(NSA_CU_SEQLENS_K),
                            UDM_THREE(REAL_PAGE_TABLE),
                            UDM_THREE(SEQLENS_EXPANDED),
                            {nullptr, nullptr, nullptr},
                            UDM_THREE(CTX_LENS),
                            UDM_THREE(SCHEDULE)},
                           sms_reciprocal,
                           kAll,
                           kAll};
  if (blockIdx.x < copy_blocks) {
    copy_windows(p, outputs);
  } else if (blockIdx.x - copy_blocks < length_blocks) {
    write_length_block(p, outputs, blockIdx.x - copy_blocks);
  } else {
    write_schedule(p, outputs);
  }
}
#endif

// Before CUDA 11.7 a parameter whose address is taken is copied to each thread's local memory.
#if defined(__CUDACC_RTC__) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1107
#define __grid_constant__
#endif

// Every mode, up to 8 backends.
extern "C" __global__ void __launch_bounds__(UDM_KERNEL_THREADS, 2)
    udm_decode_metadata_general(UDM_SCALARS const __grid_constant__ udm_kernel_phase phase) {
  __shared__ unsigned starts[kThreads];
  __shared__ int *from_table[UDM_KERNEL_OUTPUTS][UDM_KERNEL_GENERAL_BACKENDS];
  const Params p = UDM_PARAMS;
  GeneralOutputs outputs = {phase,        from_table,           starts, 0,
                            num_backends, phase.largest_offset, 1,      kAll};
  if (blockIdx.x < copy_blocks) {
    copy_windows(p, outputs);
    return;
  }
  const unsigned block = blockIdx.x - copy_blocks;
  const bool is_schedule = block >= phase.length_groups * length_blocks;
  unsigned group = 0;
  outputs.load_pointers();
  if (phase.length_groups > 1) {
    group = is_schedule ? block - phase.length_groups * length_blocks : block / length_blocks;
    outputs.first = static_cast<int>(group);
    outputs.end = outputs.first + 1;
  }
  outputs.offset = phase.offsets[group];
  if (is_schedule) {
    write_schedule(p, outputs);
  } else {
    write_length_block(p, outputs, block - group * length_blocks);
  }
}
