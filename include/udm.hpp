/*
 * udm.hpp: udm.h for C++17. A udm::context owns its handle, and a call that
 * fails throws udm::error. It adds nothing else: the contract of every
 * function is that of udm.h, which this file includes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_HPP
#define UDM_HPP

#include <stdexcept>
#include <string>
#include <utility>

#include "udm.h"

namespace udm {

/* What failed: the status, and as what() udm_last_error() of the thread that called. */
class error : public std::runtime_error {
 public:
  explicit error(udm_status status) : std::runtime_error(text_of(status)), status_(status) {}

  udm_status status() const noexcept { return status_; }

 private:
  static std::string text_of(udm_status status) {
    const char *detail = udm_last_error();
    return std::string(udm_status_name(status)) + ": " +
           (*detail ? detail : udm_status_text(status));
  }

  udm_status status_;
};

inline void check(udm_status status) {
  if (status != UDM_OK) throw error(status);
}

/* Arguments and options that are initialised as udm.h asks. */
inline udm_decode_args decode_args() noexcept { return UDM_DECODE_ARGS_INIT; }
inline udm_options options() noexcept { return UDM_OPTIONS_INIT; }

/*
 * The kernel in the CUDA context that was current when it was created. Movable;
 * destroyed with what udm_destroy() asks for: nothing pending, no graph that
 * will be launched again.
 */
class context {
 public:
  context() : context(nullptr) {}
  explicit context(const udm_options &options) : context(&options) {}

  context(const context &) = delete;
  context &operator=(const context &) = delete;
  context(context &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  context &operator=(context &&other) noexcept {
    if (this != &other) {
      udm_destroy(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~context() { udm_destroy(handle_); }

  void decode_metadata_direct(const udm_decode_args &args, CUstream stream) {
    check(udm_decode_metadata_direct(handle_, &args, stream));
  }

  void decode_metadata_table(const udm_decode_args &args, CUdeviceptr backend_pointers,
                             int64_t backend_pointers_stride, CUstream stream) {
    check(udm_decode_metadata_table(handle_, &args, backend_pointers, backend_pointers_stride,
                                    stream));
  }

  /* For an explicit graph node; launch points into itself, so it stays where it is until then. */
  void prepare_direct(const udm_decode_args &args, udm_kernel_launch &launch) {
    check(udm_prepare_direct(handle_, &args, &launch));
  }

  void prepare_table(const udm_decode_args &args, CUdeviceptr backend_pointers,
                     int64_t backend_pointers_stride, udm_kernel_launch &launch) {
    check(udm_prepare_table(handle_, &args, backend_pointers, backend_pointers_stride, &launch));
  }

  udm_context_info info() const {
    udm_context_info info = UDM_CONTEXT_INFO_INIT;
    check(udm_get_context_info(handle_, &info));
    return info;
  }

  udm_context *get() const noexcept { return handle_; }

 private:
  explicit context(const udm_options *options) { check(udm_create(options, &handle_)); }

  udm_context *handle_ = nullptr;
};

/* The address of an entry point of the driver that udm uses: driver_symbol<decltype(f)>("cuInit").
 */
template <typename Function>
Function driver_symbol(const char *name, const udm_options *options = nullptr) {
  void *address = nullptr;
  check(udm_driver_symbol(options, name, &address));
  return reinterpret_cast<Function>(address);
}

}  // namespace udm

#endif
