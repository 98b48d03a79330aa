// host_kernel_call.hpp: makes a host_kernel from a kernel's C++ signature: the number of
// parameters, the size of each, and a call with all of them.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef UDM_TESTS_HOST_KERNEL_CALL_HPP
#define UDM_TESTS_HOST_KERNEL_CALL_HPP

#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "host_kernel.h"

namespace host_kernel_call {

// The value may lie at any address, as for cuLaunchKernel.
template <class T>
T load(const void *from) {
  static_assert(std::is_trivially_copyable_v<T>, "a kernel's parameters are copied as bytes");
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class... Parameters>
struct signature {
  static constexpr std::array<size_t, sizeof...(Parameters)> sizes = {sizeof(Parameters)...};

  static void call(void (*function)(), void *const *parameters) {
    call_with(reinterpret_cast<void (*)(Parameters...)>(function), parameters,
              std::index_sequence_for<Parameters...>());
  }

  template <size_t... I>
  static void call_with(void (*function)(Parameters...), void *const *parameters,
                        std::index_sequence<I...>) {
    function(load<Parameters>(parameters[I])...);
  }
};

}  // namespace host_kernel_call

template <class... Parameters>
host_kernel make_host_kernel(const char *name, void (*function)(Parameters...)) {
  using of_kernel = host_kernel_call::signature<Parameters...>;
  static_assert(sizeof...(Parameters) <= HOST_KERNEL_MAX_PARAMETERS);
  return {name, reinterpret_cast<void (*)()>(function), sizeof...(Parameters),
          of_kernel::sizes.data(), of_kernel::call};
}

#endif
