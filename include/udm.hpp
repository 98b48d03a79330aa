/**
 * @file
 * udm.hpp: udm.h for C++17
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A udm::context owns its handle, and a call that fails throws udm::error.
 * Arguments are the structures of udm.h, with their modes and outputs:
 * decode_args(), phase_args() or ragged_args() begins them. Everything else is the
 * contract of the function of udm.h with that name: parameters, threads, stream
 * capture, lifetime.
 */
#ifndef UDM_HPP
#define UDM_HPP

#include <stdexcept>
#include <string>
#include <utility>

#include "udm.h"

/** udm.h for C++17. */
namespace udm {

/** A call that failed: its status, and as what() its name and udm_last_error(). */
class error : public std::runtime_error {
 public:
  /**
   * Takes the message of the calling thread's last error.
   *
   * @param status  Status of the call that failed.
   */
  explicit error(udm_status status) : std::runtime_error(text_of(status)), status_(status) {}

  /** @return Status of the call that failed. */
  udm_status status() const noexcept { return status_; }

 private:
  static std::string text_of(udm_status status) {
    const char *detail = udm_last_error();
    return std::string(udm_status_name(status)) + ": " +
           (*detail ? detail : udm_status_text(status));
  }

  udm_status status_;
};

/**
 * Throws if a call failed.
 *
 * @param status  What the call returned, on this thread.
 * @throws error  status is not UDM_OK.
 */
inline void check(udm_status status) {
  if (status != UDM_OK) throw error(status);
}

/** @return UDM_DECODE_ARGS_INIT: set struct_size, other fields at their defaults. */
inline udm_decode_args decode_args() noexcept { return UDM_DECODE_ARGS_INIT; }
/**
 * The arguments of a target verify or a draft extend in which every request has as many tokens.
 *
 * @param mode                UDM_MODE_TARGET_VERIFY or UDM_MODE_DRAFT_EXTEND.
 * @param tokens_per_request  Query tokens of every request.
 * @return decode_args() with both set.
 */
inline udm_decode_args phase_args(udm_mode mode, int32_t tokens_per_request) noexcept {
  udm_decode_args args = decode_args();
  args.mode = mode;
  args.tokens_per_request = tokens_per_request;
  return args;
}
/**
 * The arguments of a target verify or a draft extend of a ragged batch.
 *
 * @param mode              UDM_MODE_TARGET_VERIFY or UDM_MODE_DRAFT_EXTEND.
 * @param extend_lens       Device address: query tokens per request.
 * @param extend_lens_type  Element type of extend_lens.
 * @param num_tokens        Query tokens that the outputs have room for.
 * @return decode_args() with all set.
 */
inline udm_decode_args ragged_args(udm_mode mode, CUdeviceptr extend_lens,
                                   udm_int_type extend_lens_type, int32_t num_tokens) noexcept {
  udm_decode_args args = decode_args();
  args.mode = mode;
  args.extend_lens = extend_lens;
  args.extend_lens_type = extend_lens_type;
  args.num_tokens = num_tokens;
  return args;
}
/** @return UDM_OPTIONS_INIT: set struct_size, other fields at their defaults. */
inline udm_options options() noexcept { return UDM_OPTIONS_INIT; }

/**
 * The kernel, loaded into the CUDA context that was current at construction.
 *
 * It can be moved, not copied. The destructor calls udm_destroy(): no launch may
 * be pending, or recorded in a graph that will be launched again. After a move
 * the source holds no handle, and its launches throw.
 */
class context {
 public:
  /**
   * Calls udm_create() with the default options.
   *
   * @throws error  udm_create() failed.
   */
  context() : context(nullptr) {}
  /**
   * Calls udm_create().
   *
   * @param options  Options; not kept.
   * @throws error   udm_create() failed.
   */
  explicit context(const udm_options &options) : context(&options) {}

  /** Not copyable. */
  context(const context &) = delete;
  /** Not copyable. */
  context &operator=(const context &) = delete;
  /**
   * Takes the handle of another context.
   *
   * @param other  Holds no handle afterwards.
   */
  context(context &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  /**
   * Destroys the handle and takes the handle of another context.
   *
   * @param other  Holds no handle afterwards.
   * @return This context.
   */
  context &operator=(context &&other) noexcept {
    if (this != &other) {
      udm_destroy(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  /** Calls udm_destroy(). */
  ~context() { udm_destroy(handle_); }

  /**
   * Direct call: udm_decode_metadata_direct().
   *
   * @param args    Arguments; read during the call.
   * @param stream  Stream of the CUDA context, or nullptr for its default stream.
   * @throws error  The launch failed.
   */
  void decode_metadata_direct(const udm_decode_args &args, CUstream stream) {
    check(udm_decode_metadata_direct(handle_, &args, stream));
  }

  /**
   * Pointer-table call: udm_decode_metadata_table().
   *
   * @param args              Arguments; read during the call.
   * @param backend_pointers  Device address of the table; read by the kernel.
   * @param backend_pointers_stride  Elements from row to row.
   * @param stream            Stream of the CUDA context, or nullptr for its default stream.
   * @throws error            The launch failed.
   */
  void decode_metadata_table(const udm_decode_args &args, CUdeviceptr backend_pointers,
                             int64_t backend_pointers_stride, CUstream stream) {
    check(udm_decode_metadata_table(handle_, &args, backend_pointers, backend_pointers_stride,
                                    stream));
  }

  /**
   * Describes a direct call for a graph node: udm_prepare_direct().
   *
   * @param args    Arguments; read during the call.
   * @param launch  Filled. It points into itself: do not move it before the node is added.
   * @throws error  The arguments are invalid.
   */
  void prepare_direct(const udm_decode_args &args, udm_kernel_launch &launch) {
    check(udm_prepare_direct(handle_, &args, &launch));
  }

  /**
   * Describes a pointer-table call for a graph node: udm_prepare_table().
   *
   * @param args              Arguments; read during the call.
   * @param backend_pointers  Device address of the table; read by the kernel.
   * @param backend_pointers_stride  Elements from row to row.
   * @param launch            Filled. It points into itself: do not move it before the node is
   * added.
   * @throws error            The arguments are invalid.
   */
  void prepare_table(const udm_decode_args &args, CUdeviceptr backend_pointers,
                     int64_t backend_pointers_stride, udm_kernel_launch &launch) {
    check(udm_prepare_table(handle_, &args, backend_pointers, backend_pointers_stride, &launch));
  }

  /**
   * Describes the context: udm_get_context_info().
   *
   * @return The device and the kernel image.
   * @throws error  The context holds no handle.
   */
  udm_context_info info() const {
    udm_context_info info = UDM_CONTEXT_INFO_INIT;
    check(udm_get_context_info(handle_, &info));
    return info;
  }

  /** @return The handle, still owned by this object; nullptr after a move. */
  udm_context *get() const noexcept { return handle_; }

 private:
  explicit context(const udm_options *options) { check(udm_create(options, &handle_)); }

  udm_context *handle_ = nullptr;
};

/**
 * Finds a function of the driver that udm uses: driver_symbol<decltype(f)>("cuInit").
 *
 * @tparam Function  Pointer type of the function.
 * @param name       Exported name.
 * @param options    Options, or nullptr for the defaults.
 * @return The address, valid as udm_driver_symbol() states.
 * @throws error     The driver cannot be opened, or has no such function.
 */
template <typename Function>
Function driver_symbol(const char *name, const udm_options *options = nullptr) {
  void *address = nullptr;
  check(udm_driver_symbol(options, name, &address));
  return reinterpret_cast<Function>(address);
}

}  // namespace udm

#endif
