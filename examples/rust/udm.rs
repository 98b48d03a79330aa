//! udm.rs: the calls of udm.h that the example needs, as raw declarations and in a safe wrapper.
//!
//! SPDX-License-Identifier: Apache-2.0
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::{fmt, mem, ptr};

pub type DevicePtr = u64;
pub type Stream = *mut c_void;

/// The seven outputs of one backend; 0 for one that the caller does not want.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BackendOutputs {
    pub cache_seqlens: DevicePtr,
    pub cu_seqlens_k: DevicePtr,
    pub page_table_1: DevicePtr,
    pub nsa_cache_seqlens: DevicePtr,
    pub nsa_cu_seqlens_k: DevicePtr,
    pub real_page_table: DevicePtr,
    pub seqlens_expanded: DevicePtr,
}

/// More outputs of one backend.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ExtraOutputs {
    pub cu_seqlens_q: DevicePtr,
    pub paged_mqa_ctx_lens: DevicePtr,
    pub paged_mqa_schedule: DevicePtr,
}

pub const MODE_TARGET_VERIFY: c_int = 1;

/// udm_decode_args, as UDM_DECODE_ARGS_INIT makes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DecodeArgs {
    struct_size: usize,
    pub seq_lens: DevicePtr,
    pub req_pool_indices: DevicePtr,
    pub req_to_token: DevicePtr,
    pub seq_lens_type: c_int,
    pub req_pool_indices_type: c_int,
    pub req_to_token_stride: i64,
    pub page_table_stride: i64,
    pub real_page_table_stride: i64,
    pub batch_size: i32,
    pub max_len: i32,
    pub num_backends: i32,
    pub nsa_index_topk: i32,
    pub real_page_size: i32,
    pub extent: c_int,
    pub backends: [BackendOutputs; 8],
    pub mode: c_int,
    pub tokens_per_request: i32,
    pub extend_lens: DevicePtr,
    pub extend_lens_type: c_int,
    pub num_tokens: i32,
    pub index_kpool: i32,
    pub flags: u32,
    pub num_sms: i32,
    pub schedule_variant: c_int,
    pub schedule_next_n: i32,
    reserved: i32,
    pub seqlen_offset: [i32; 8],
    pub extra: [ExtraOutputs; 8],
}

impl Default for DecodeArgs {
    fn default() -> Self {
        // Every field may be 0, except for two.
        let mut args: DecodeArgs = unsafe { mem::zeroed() };
        args.struct_size = mem::size_of::<DecodeArgs>();
        args.real_page_size = 1;
        args
    }
}

#[repr(C)]
struct RawContext {
    _private: [u8; 0],
}

extern "C" {
    fn udm_create(options: *const c_void, out: *mut *mut RawContext) -> c_int;
    fn udm_destroy(ctx: *mut RawContext);
    fn udm_decode_metadata_direct(
        ctx: *mut RawContext,
        args: *const DecodeArgs,
        stream: Stream,
    ) -> c_int;
    fn udm_driver_symbol(
        options: *const c_void,
        name: *const c_char,
        symbol: *mut *mut c_void,
    ) -> c_int;
    fn udm_last_error() -> *const c_char;
    fn udm_status_name(status: c_int) -> *const c_char;
}

fn text(pointer: *const c_char) -> String {
    // The library's strings are never null; this copies the string at once.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A failure: the name of the status, and the message of udm_last_error().
#[derive(Debug)]
pub struct Error {
    pub status: c_int,
    message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", text(unsafe { udm_status_name(self.status) }), self.message)
    }
}

impl std::error::Error for Error {}

fn check(status: c_int) -> Result<(), Error> {
    if status == 0 {
        return Ok(());
    }
    let message = text(unsafe { udm_last_error() });
    Err(Error { status, message })
}

/// The kernel in the CUDA context that was current in `Context::new`, which must outlive it.
pub struct Context(*mut RawContext);

// Launches take no lock and may come from any thread that has the CUDA context current.
unsafe impl Send for Context {}
unsafe impl Sync for Context {}

impl Context {
    pub fn new() -> Result<Context, Error> {
        let mut raw = ptr::null_mut();
        check(unsafe { udm_create(ptr::null(), &mut raw) })?;
        Ok(Context(raw))
    }

    /// Enqueues the launch.
    ///
    /// # Safety
    /// Every address of `args` is device memory of the sizes that udm.h states, and stays so until
    /// the kernel has run; `stream` is of the context that was current in `new`.
    pub unsafe fn decode_metadata_direct(
        &self,
        args: &DecodeArgs,
        stream: Stream,
    ) -> Result<(), Error> {
        check(udm_decode_metadata_direct(self.0, args, stream))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        unsafe { udm_destroy(self.0) }
    }
}

/// The address of a function of the driver that udm opens.
pub fn driver_symbol(name: &CStr) -> Result<*mut c_void, Error> {
    let mut address = ptr::null_mut();
    check(unsafe { udm_driver_symbol(ptr::null(), name.as_ptr(), &mut address) })?;
    Ok(address)
}
