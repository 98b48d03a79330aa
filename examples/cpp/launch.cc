/*
 * launch.cc: the launch of ../launch in C++17, with udm.hpp, and a target verify.
 * Objects own the handle and the host's CUDA resources, and failures throw.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <array>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <vector>

#include <udm.hpp>

#include "driver.hpp"

namespace {

constexpr int32_t kBatch = 4;
constexpr int32_t MAX_CONTEXT = 1024;
constexpr int32_t TOKENS_PER_PAGE = 64;
constexpr int32_t VERIFIED = 4; /* tokens per request */
constexpr int32_t PAGES = MAX_CONTEXT / TOKENS_PER_PAGE;

int run() {
  const host::driver driver; /* the host brings its own context and stream */
  const host::current_context context(driver, 0);
  const host::stream stream(driver);

  udm::context udm; /* once: may compile; a warm cache makes it quick */
  std::cout << "image from " << udm_image_source_name(udm.info().image_source) << '\n';

  std::vector<int32_t> slots(size_t{kBatch} * MAX_CONTEXT);
  std::iota(slots.begin(), slots.end(), 0);
  const host::buffer lengths(driver, std::vector<int32_t>{100, 1, 0, 1000});
  const host::buffer rows(driver, std::vector<int32_t>{3, 1, 0, 2});
  const host::buffer req_to_token(driver, slots);
  const host::buffer seqlens(driver, kBatch);
  const host::buffer sums(driver, kBatch + 1);
  const host::buffer nsa_seqlens(driver, kBatch);
  const host::buffer nsa_sums(driver, kBatch + 1);
  const host::buffer pages(driver, size_t{kBatch} * PAGES);

  const auto set_inputs = [&](udm_decode_args &args) {
    args.seq_lens = lengths.address();
    args.req_pool_indices = rows.address();
    args.req_to_token = req_to_token.address();
    args.req_to_token_stride = MAX_CONTEXT;
    args.batch_size = kBatch;
    args.max_len = MAX_CONTEXT;
    args.num_backends = 1;
    args.nsa_index_topk = 512;
    args.real_page_size = TOKENS_PER_PAGE;
    args.real_page_table_stride = PAGES;
  };
  udm_decode_args args = udm::decode_args();
  set_inputs(args);
  args.backends[0] = {seqlens.address(),     sums.address(),     0 /* no page_table_1 */,
                      nsa_seqlens.address(), nsa_sums.address(), pages.address(),
                      seqlens.address()};

  udm.decode_metadata_direct(args, stream.get()); /* every step: only a launch */
  stream.synchronize();
  std::cout << "cu_seqlens_k";
  for (int32_t sum : sums.values()) std::cout << ' ' << sum;
  std::cout << '\n';

  /* The target model verifies tokens of each request. DeepGEMM's schedule comes with the lengths.
   */
  const int32_t num_sms = udm.info().multiprocessor_count;
  const host::buffer expanded(driver, size_t{kBatch} * VERIFIED);
  const host::buffer schedule(driver, 2 * (static_cast<size_t>(num_sms) + 1));
  udm_decode_args verify = udm::phase_args(UDM_MODE_TARGET_VERIFY, VERIFIED);
  set_inputs(verify);
  verify.backends[0].seqlens_expanded = expanded.address(); /* the other outputs stay null */
  verify.extra[0].paged_mqa_schedule = schedule.address();
  verify.num_sms = num_sms;
  verify.schedule_variant = UDM_SCHEDULE_SM90;
  udm.decode_metadata_direct(verify, stream.get());
  stream.synchronize();
  const std::vector<int32_t> lens = expanded.values();
  const std::vector<int32_t> starts = schedule.values();
  std::cout << "the last request's tokens see";
  for (size_t e = lens.size() - VERIFIED; e < lens.size(); ++e) std::cout << ' ' << lens[e];
  std::cout << "; the schedule ends with row " << starts[starts.size() - 2] << '\n';

  args.max_len = -1; /* a mistake: udm launches nothing, and the error names the argument */
  try {
    udm.decode_metadata_direct(args, stream.get());
    return 1;
  } catch (const udm::error &error) {
    std::cout << error.what() << '\n';
  }
  const udm::context moved = std::move(udm); /* one object owns it at a time */
  const bool right = sums.values().back() == 1101 && lens.back() == 1000 + VERIFIED &&
                     starts[starts.size() - 2] == kBatch * VERIFIED;
  return right && moved.get() ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
