//! launch.rs: the launch of ../launch in Rust, and a target verify. udm.rs wraps the few calls of udm.h; driver.rs stands
//! for the host's own CUDA objects.
//!
//! SPDX-License-Identifier: Apache-2.0
mod driver;
mod udm;

use std::error::Error;

const BATCH: usize = 4;
const MAX_CONTEXT: usize = 1024;
const PAGE_SIZE: usize = 64;
const VERIFIED: usize = 4; // tokens per request
const PAGES: usize = MAX_CONTEXT / PAGE_SIZE;

fn main() -> Result<(), Box<dyn Error>> {
    let session = driver::Session::new()?; // the host's own objects
    let udm = udm::Context::new()?; // once: may compile; a warm cache makes it quick

    let slots: Vec<i32> = (0..(BATCH * MAX_CONTEXT) as i32).collect();
    let lengths = session.buffer(&[100, 1, 0, 1000])?;
    let rows = session.buffer(&[3, 1, 0, 2])?;
    let req_to_token = session.buffer(&slots)?;
    let seqlens = session.buffer(&[0; BATCH])?;
    let sums = session.buffer(&[0; BATCH + 1])?;
    let nsa_seqlens = session.buffer(&[0; BATCH])?;
    let nsa_sums = session.buffer(&[0; BATCH + 1])?;
    let pages = session.buffer(&[0; BATCH * PAGES])?;

    let mut args = udm::DecodeArgs::default();
    args.seq_lens = lengths.address();
    args.req_pool_indices = rows.address();
    args.req_to_token = req_to_token.address();
    args.req_to_token_stride = MAX_CONTEXT as i64;
    args.real_page_table_stride = PAGES as i64;
    args.batch_size = BATCH as i32;
    args.max_len = MAX_CONTEXT as i32;
    args.num_backends = 1;
    args.nsa_index_topk = 512;
    args.real_page_size = PAGE_SIZE as i32;
    args.backends[0] = udm::BackendOutputs {
        cache_seqlens: seqlens.address(),
        cu_seqlens_k: sums.address(),
        page_table_1: 0, // not written
        nsa_cache_seqlens: nsa_seqlens.address(),
        nsa_cu_seqlens_k: nsa_sums.address(),
        real_page_table: pages.address(),
        seqlens_expanded: seqlens.address(), // may be one with cache_seqlens
    };
    unsafe { udm.decode_metadata_direct(&args, session.stream())? }; // every step: only a launch
    session.synchronize()?;
    println!("cu_seqlens_k {:?}", sums.values()?);
    assert_eq!(sums.values()?, [0, 100, 101, 101, 1101]);
    assert_eq!(pages.values()?[..2], [48, 49]);

    // The target model verifies tokens of each request, which follow those in the KV cache.
    let expanded = session.buffer(&[0; BATCH * VERIFIED])?;
    let query_sums = session.buffer(&[0; BATCH + 1])?;
    args.mode = udm::MODE_TARGET_VERIFY;
    args.tokens_per_request = VERIFIED as i32;
    args.backends[0] = udm::BackendOutputs {
        seqlens_expanded: expanded.address(),
        ..Default::default() // the other outputs are not written
    };
    args.extra[0].cu_seqlens_q = query_sums.address();
    unsafe { udm.decode_metadata_direct(&args, session.stream())? };
    session.synchronize()?;
    println!("the last request's tokens see {:?}", &expanded.values()?[(BATCH - 1) * VERIFIED..]);
    assert_eq!(expanded.values()?[..VERIFIED], [101, 102, 103, 104]);
    assert_eq!(query_sums.values()?, [0, 4, 8, 12, 16]);

    args.max_len = -1; // a mistake: udm launches nothing, and the error names the argument
    let error = unsafe { udm.decode_metadata_direct(&args, session.stream()) }.unwrap_err();
    println!("{error}");
    assert_eq!(error.status, 1);
    Ok(())
}
