/*
 * driver.hpp: a CUDA context, a stream and device memory, each released by its
 * destructor.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXAMPLE_DRIVER_HPP
#define EXAMPLE_DRIVER_HPP

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <udm.hpp>

#include "../../cuda/cuda_driver.h"

namespace host {

/* Driver functions, from the library that udm opens. A program with cuda.h does not need this. */
struct driver {
  cuInit_function *init = udm::driver_symbol<cuInit_function *>("cuInit");
  cuCtxCreate_v2_function *ctx_create =
      udm::driver_symbol<cuCtxCreate_v2_function *>("cuCtxCreate_v2");
  cuCtxDestroy_v2_function *ctx_destroy =
      udm::driver_symbol<cuCtxDestroy_v2_function *>("cuCtxDestroy_v2");
  cuStreamCreate_function *stream_create =
      udm::driver_symbol<cuStreamCreate_function *>("cuStreamCreate");
  cuStreamDestroy_v2_function *stream_destroy =
      udm::driver_symbol<cuStreamDestroy_v2_function *>("cuStreamDestroy_v2");
  cuStreamSynchronize_function *stream_synchronize =
      udm::driver_symbol<cuStreamSynchronize_function *>("cuStreamSynchronize");
  cuMemAlloc_v2_function *mem_alloc = udm::driver_symbol<cuMemAlloc_v2_function *>("cuMemAlloc_v2");
  cuMemFree_v2_function *mem_free = udm::driver_symbol<cuMemFree_v2_function *>("cuMemFree_v2");
  cuMemcpyHtoD_v2_function *to_device =
      udm::driver_symbol<cuMemcpyHtoD_v2_function *>("cuMemcpyHtoD_v2");
  cuMemcpyDtoH_v2_function *to_host =
      udm::driver_symbol<cuMemcpyDtoH_v2_function *>("cuMemcpyDtoH_v2");

  driver() { check(init(0), "cuInit"); }

  static void check(CUresult result, const char *name) {
    if (result) throw std::runtime_error(std::string(name) + ": " + std::to_string(result));
  }
};

class current_context {
 public:
  current_context(const driver &driver, int device) : driver_(driver) {
    driver::check(driver_.ctx_create(&context_, 0, device), "cuCtxCreate");
  }
  current_context(const current_context &) = delete;
  current_context &operator=(const current_context &) = delete;
  ~current_context() { driver_.ctx_destroy(context_); }

 private:
  const driver &driver_;
  CUcontext context_ = nullptr;
};

class stream {
 public:
  explicit stream(const driver &driver) : driver_(driver) {
    driver::check(driver_.stream_create(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  }
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;
  ~stream() { driver_.stream_destroy(stream_); }

  CUstream get() const { return stream_; }
  void synchronize() const {
    driver::check(driver_.stream_synchronize(stream_), "cuStreamSynchronize");
  }

 private:
  const driver &driver_;
  CUstream stream_ = nullptr;
};

/* int32 elements in device memory. */
class buffer {
 public:
  buffer(const driver &driver, size_t count) : driver_(driver), count_(count) {
    driver::check(driver_.mem_alloc(&address_, count_ * sizeof(int32_t)), "cuMemAlloc");
  }
  buffer(const driver &driver, const std::vector<int32_t> &values) : buffer(driver, values.size()) {
    driver::check(driver_.to_device(address_, values.data(), count_ * sizeof(int32_t)),
                  "cuMemcpyHtoD");
  }
  buffer(const buffer &) = delete;
  buffer &operator=(const buffer &) = delete;
  ~buffer() { driver_.mem_free(address_); }

  CUdeviceptr address() const { return address_; }
  std::vector<int32_t> values() const {
    std::vector<int32_t> values(count_);
    driver::check(driver_.to_host(values.data(), address_, count_ * sizeof(int32_t)),
                  "cuMemcpyDtoH");
    return values;
  }

 private:
  const driver &driver_;
  size_t count_;
  CUdeviceptr address_ = 0;
};

}  // namespace host

#endif
