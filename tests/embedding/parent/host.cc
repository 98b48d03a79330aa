/*
 * host.cc: a parent's program in C++: udm.hpp under its warnings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <cstdint>
#include <iostream>
#include <udm.hpp>

namespace {

CUdeviceptr address(const int32_t *values) { return reinterpret_cast<CUdeviceptr>(values); }

/* By the CPU reference, for requests of 5 and 9 tokens. */
bool fills_lengths(udm_decode_args args, const int32_t *expected) {
  const int32_t lengths[2] = {5, 9};
  int32_t expanded[4] = {-1, -1, -1, -1};
  args.seq_lens = address(lengths);
  args.batch_size = 2;
  args.num_backends = 1;
  args.backends[0].seqlens_expanded = address(expanded);
  udm::check(udm_decode_metadata_reference(&args));
  for (int i = 0; i < 4; ++i) {
    if (expanded[i] != expected[i]) return false;
  }
  return true;
}

bool modes_work() {
  const int32_t extend_lens[2] = {1, 2};
  const int32_t two_each[4] = {6, 7, 10, 11};
  const int32_t ragged[4] = {5, 8, 9, -1};
  return fills_lengths(udm::phase_args(UDM_MODE_TARGET_VERIFY, 2), two_each) &&
         fills_lengths(udm::ragged_args(UDM_MODE_DRAFT_EXTEND, address(extend_lens), UDM_INT32, 3),
                       ragged);
}

}  // namespace

int main() {
  if (!modes_work()) return 2;
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
