// The kernel of udm: decode metadata of every draft backend in one launch.
//
// SPDX-License-Identifier: Apache-2.0
//
// The contract is in include/udm.h. This file includes nothing: it is compiled
// by NVRTC on the user's machine, and by the tests for the host CPU.
//
// Grid: x = column tiles, y = 1 + rows. The block (0, 0) writes the lengths and
// their prefix sums; the blocks with y > 0 copy page table tiles, striding over
// rows and tiles where the grid is smaller than the work. No block waits for
// another, and the grid depends on the launch's arguments alone, so a recorded
// launch stays right whatever the lengths are when it is replayed.

namespace {

typedef long long int64;

constexpr int kThreads = 256;  // and in runtime/kernel_interface.h
constexpr int kTile = 2048;    // and in runtime/kernel_interface.h
constexpr int kWarps = kThreads / 32;
constexpr int kInt32Max = 0x7fffffff;

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
struct DirectOutputs {
  static constexpr int kMaxBackends = 3;
  int *pointers[kMaxBackends][kOutputs];
  __device__ int *get(int backend, Output output) const { return pointers[backend][output]; }
};

// The table entry's pointers: int64[7][N] in device memory.
struct TableOutputs {
  static constexpr int kMaxBackends = 8;
  const int64 *pointers;
  int64 stride;
  __device__ int *get(int backend, Output output) const {
    return reinterpret_cast<int *>(pointers[output * stride + backend]);
  }
};

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

// Two running sums side by side. Unsigned: the contract's sums wrap.
struct Sums {
  unsigned k;
  unsigned nsa;
};

__device__ Sums warp_inclusive_scan(Sums value) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int delta = 1; delta < 32; delta *= 2) {
    const unsigned k = __shfl_up_sync(0xffffffffu, value.k, delta);
    const unsigned nsa = __shfl_up_sync(0xffffffffu, value.nsa, delta);
    if (lane >= delta) {
      value.k += k;
      value.nsa += nsa;
    }
  }
  return value;
}

// Inclusive scan over the block; *total receives the sum of all threads.
__device__ Sums block_inclusive_scan(Sums value, Sums *total) {
  __shared__ Sums warp_totals[kWarps];
  const int warp = threadIdx.x / 32;
  value = warp_inclusive_scan(value);
  if (threadIdx.x % 32 == 31) warp_totals[warp] = value;
  __syncthreads();
  Sums all = {0, 0};
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    const Sums other = warp_totals[w];
    all.k += other.k;
    all.nsa += other.nsa;
    if (w < warp) {
      value.k += other.k;
      value.nsa += other.nsa;
    }
  }
  __syncthreads();  // the next scan reuses warp_totals
  *total = all;
  return value;
}

template <class Outputs>
__device__ void store_lengths(const Arguments &args, const Outputs &outputs, int64 i, int length,
                              Sums sums) {
  const int nsa_length = min_int(length, args.nsa_index_topk);
#pragma unroll
  for (int b = 0; b < Outputs::kMaxBackends; ++b) {
    if (b >= args.num_backends) break;
    outputs.get(b, kCacheSeqlens)[i] = length;
    outputs.get(b, kSeqlensExpanded)[i] = length;
    outputs.get(b, kNsaCacheSeqlens)[i] = nsa_length;
    outputs.get(b, kCuSeqlensK)[i + 1] = static_cast<int>(sums.k);
    outputs.get(b, kNsaCuSeqlensK)[i + 1] = static_cast<int>(sums.nsa);
  }
}

// One block, any batch size: a scan per kThreads rows, the total carried over.
template <class Outputs>
__device__ void write_lengths(const Arguments &args, const Outputs &outputs) {
  if (static_cast<int>(threadIdx.x) < args.num_backends) {
#pragma unroll
    for (int b = 0; b < Outputs::kMaxBackends; ++b) {
      if (b == static_cast<int>(threadIdx.x)) {
        outputs.get(b, kCuSeqlensK)[0] = 0;
        outputs.get(b, kNsaCuSeqlensK)[0] = 0;
      }
    }
  }
  Sums carry = {0, 0};
  for (int64 first = 0; first < args.batch_size; first += kThreads) {
    const int64 i = first + threadIdx.x;
    const int length = i < args.batch_size ? load_length(args, i) : 0;
    const Sums mine = {static_cast<unsigned>(length),
                       static_cast<unsigned>(min_int(length, args.nsa_index_topk))};
    Sums total;
    Sums sums = block_inclusive_scan(mine, &total);
    sums.k += carry.k;
    sums.nsa += carry.nsa;
    carry.k += total.k;
    carry.nsa += total.nsa;
    if (i < args.batch_size) store_lengths(args, outputs, i, length, sums);
  }
}

// The longest length of the batch, known to every thread of the block. Every
// block reads all lengths: the price of a launch in which no block waits.
__device__ int batch_max_length(const Arguments &args) {
  __shared__ int warp_max[kWarps];
  int longest = 0;
  for (int64 i = threadIdx.x; i < args.batch_size; i += kThreads) {
    const int length = load_length(args, i);
    longest = length > longest ? length : longest;
  }
#pragma unroll
  for (int delta = 16; delta > 0; delta /= 2) {
    const int other = __shfl_down_sync(0xffffffffu, longest, delta);
    longest = other > longest ? other : longest;
  }
  if (threadIdx.x % 32 == 0) warp_max[threadIdx.x / 32] = longest;
  __syncthreads();
  longest = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) longest = warp_max[w] > longest ? warp_max[w] : longest;
  return longest;
}

template <class Outputs>
__device__ void store_real_page(const Arguments &args, const Outputs &outputs, int64 row, int page,
                                int slot) {
  const int value = slot / args.real_page_size;
#pragma unroll
  for (int b = 0; b < Outputs::kMaxBackends; ++b) {
    if (b >= args.num_backends) break;
    int *table = outputs.get(b, kRealPageTable);
    if (table) table[row * args.real_page_table_stride + page] = value;
  }
}

// real_page_table: the pages whose first token lies in columns [first, last).
template <class Outputs>
__device__ void write_real_pages(const Arguments &args, const Outputs &outputs, int64 row,
                                 const int *source, int first, int last) {
  const int size = args.real_page_size;
  const int first_page = first / size + (first % size != 0);
  const int last_page = (last - 1) / size;
  for (int64 page = static_cast<int64>(first_page) + threadIdx.x; page <= last_page;
       page += kThreads) {
    store_real_page(args, outputs, row, static_cast<int>(page), source[page * size]);
  }
}

__device__ bool is_aligned_16(const void *pointer) {
  return reinterpret_cast<unsigned long long>(pointer) % 16 == 0;
}

// Whether any backend has a page_table_1, and whether every table row that is
// written starts, at column `first`, on a 16-byte boundary, as source does.
template <class Outputs>
__device__ void inspect_page_tables(const Arguments &args, const Outputs &outputs, int64 row,
                                    const int *source, int first, bool *any, bool *aligned) {
  *any = false;
  *aligned = is_aligned_16(source + first);
#pragma unroll
  for (int b = 0; b < Outputs::kMaxBackends; ++b) {
    if (b >= args.num_backends) break;
    int *table = outputs.get(b, kPageTable1);
    if (!table) continue;
    *any = true;
    *aligned = *aligned && is_aligned_16(table + row * args.page_table_stride + first);
  }
}

// Stores one value to column `column` of every page_table_1. T is int or int4.
template <class T, class Outputs>
__device__ void store_slots(const Arguments &args, const Outputs &outputs, int64 row, int column,
                            T slots) {
#pragma unroll
  for (int b = 0; b < Outputs::kMaxBackends; ++b) {
    if (b >= args.num_backends) break;
    int *table = outputs.get(b, kPageTable1);
    if (table) *reinterpret_cast<T *>(table + row * args.page_table_stride + column) = slots;
  }
}

// page_table_1: columns [first, last) of one row, last - first <= kTile.
template <class Outputs>
__device__ void write_slots(const Arguments &args, const Outputs &outputs, int64 row,
                            const int *source, int first, int last) {
  bool any, aligned;
  inspect_page_tables(args, outputs, row, source, first, &any, &aligned);
  if (!any) return;
  int done = 0;  // columns that the vector loop takes, from first
  if (aligned) {
    done = (last - first) / 4 * 4;
    const int4 *vectors = reinterpret_cast<const int4 *>(source + first);
    constexpr int kVectors = kTile / 4 / kThreads;
    int4 slots[kVectors] = {};  // all loads in flight before the first store
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const int index = v * kThreads + threadIdx.x;
      if (index < done / 4) slots[v] = vectors[index];
    }
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const int index = v * kThreads + threadIdx.x;
      if (index < done / 4) store_slots(args, outputs, row, first + 4 * index, slots[v]);
    }
  }
  for (int column = done + threadIdx.x; column < last - first; column += kThreads) {
    store_slots(args, outputs, row, first + column, source[first + column]);
  }
}

template <class Outputs>
__device__ void write_page_tables(const Arguments &args, const Outputs &outputs) {
  const bool batch_max = (args.flags & kExtentBatchMax) != 0;
  const int longest = batch_max ? batch_max_length(args) : 0;
  for (int64 row = blockIdx.y - 1; row < args.batch_size; row += gridDim.y - 1) {
    const int length = batch_max ? longest : load_length(args, row);
    const int extent = min_int(length, args.max_len);
    const int64 tile = static_cast<int64>(blockIdx.x) * kTile;
    if (tile >= extent) continue;  // before the index is read: padding rows may hold anything
    const int *source =
        args.req_to_token + load_req_pool_index(args, row) * args.req_to_token_stride;
    for (int64 first = tile; first < extent; first += static_cast<int64>(gridDim.x) * kTile) {
      const int last = extent - first > kTile ? static_cast<int>(first) + kTile : extent;
      // a stride of 0 says that no backend has that table
      if (args.page_table_stride > 0) {
        write_slots(args, outputs, row, source, static_cast<int>(first), last);
      }
      if (args.real_page_size > 1 && args.real_page_table_stride > 0) {
        write_real_pages(args, outputs, row, source, static_cast<int>(first), last);
      }
    }
  }
}

template <class Outputs>
__device__ void decode_metadata(const Arguments &args, const Outputs &outputs) {
  if (blockIdx.y > 0) {
    write_page_tables(args, outputs);
  } else if (blockIdx.x == 0) {
    write_lengths(args, outputs);
  }
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
  const DirectOutputs outputs = {
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
