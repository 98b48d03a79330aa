/*
 * host.cc: a parent's program in C++: udm.hpp under its warnings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <iostream>
#include <udm.hpp>

int main() {
  udm_options options = udm::options();
  options.driver_library = "/there/is/no/such/driver";
  const udm_decode_args args = udm::decode_args();
  try {
    const udm::context context(options);
    return 1;
  } catch (const udm::error &error) {
    std::cout << error.what() << '\n';
    return error.status() == UDM_ERROR_NO_DRIVER && args.real_page_size == 1 ? 0 : 1;
  }
}
