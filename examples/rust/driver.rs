//! driver.rs: the host's own CUDA context, stream and device memory, each freed when dropped. udm
//! gives the addresses of the driver's functions, so the program does not link libcuda.
//!
//! SPDX-License-Identifier: Apache-2.0
use crate::udm::{self, DevicePtr, Stream};
use std::error::Error;
use std::ffi::CString;
use std::os::raw::{c_int, c_uint, c_void};
use std::{mem, ptr};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

macro_rules! driver_calls {
    ($($field:ident $name:literal ($($parameter:ty),*);)*) => {
        pub struct Driver { $($field: unsafe extern "C" fn($($parameter),*) -> c_int,)* }

        impl Driver {
            fn load() -> Result<Driver> {
                Ok(Driver { $($field: unsafe {
                    mem::transmute::<*mut c_void, unsafe extern "C" fn($($parameter),*) -> c_int>(
                        udm::driver_symbol(&CString::new($name)?)?)
                },)* })
            }
        }
    };
}

driver_calls! {
    init "cuInit" (c_uint);
    ctx_create "cuCtxCreate_v2" (*mut *mut c_void, c_uint, c_int);
    ctx_destroy "cuCtxDestroy_v2" (*mut c_void);
    stream_create "cuStreamCreate" (*mut Stream, c_uint);
    stream_destroy "cuStreamDestroy_v2" (Stream);
    stream_synchronize "cuStreamSynchronize" (Stream);
    mem_alloc "cuMemAlloc_v2" (*mut DevicePtr, usize);
    mem_free "cuMemFree_v2" (DevicePtr);
    to_device "cuMemcpyHtoD_v2" (DevicePtr, *const c_void, usize);
    to_host "cuMemcpyDtoH_v2" (*mut c_void, DevicePtr, usize);
}

fn check(call: &str, result: c_int) -> Result<()> {
    match result {
        0 => Ok(()),
        error => Err(format!("{call}: CUDA error {error}").into()),
    }
}

/// A context of device 0, current on the thread that made it, and one of its streams.
pub struct Session {
    driver: Driver,
    context: *mut c_void,
    stream: Stream,
}

impl Session {
    pub fn new() -> Result<Session> {
        let driver = Driver::load()?;
        let (mut context, mut stream) = (ptr::null_mut(), ptr::null_mut());
        unsafe {
            check("cuInit", (driver.init)(0))?;
            check("cuCtxCreate", (driver.ctx_create)(&mut context, 0, 0))?;
            check("cuStreamCreate", (driver.stream_create)(&mut stream, 1))?;
        }
        Ok(Session { driver, context, stream })
    }

    pub fn stream(&self) -> Stream {
        self.stream
    }

    pub fn synchronize(&self) -> Result<()> {
        check("cuStreamSynchronize", unsafe { (self.driver.stream_synchronize)(self.stream) })
    }

    pub fn buffer(&self, values: &[i32]) -> Result<Buffer<'_>> {
        let mut buffer = Buffer { session: self, address: 0, count: values.len() };
        let bytes = mem::size_of_val(values);
        unsafe {
            check("cuMemAlloc", (self.driver.mem_alloc)(&mut buffer.address, bytes))?;
            let source = values.as_ptr().cast();
            check("cuMemcpyHtoD", (self.driver.to_device)(buffer.address, source, bytes))?;
        }
        Ok(buffer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        unsafe {
            (self.driver.stream_destroy)(self.stream);
            (self.driver.ctx_destroy)(self.context);
        }
    }
}

/// int32 elements in device memory.
pub struct Buffer<'a> {
    session: &'a Session,
    address: DevicePtr,
    count: usize,
}

impl Buffer<'_> {
    pub fn address(&self) -> DevicePtr {
        self.address
    }

    pub fn values(&self) -> Result<Vec<i32>> {
        let mut values = vec![0i32; self.count];
        let bytes = self.count * mem::size_of::<i32>();
        let target = values.as_mut_ptr().cast();
        let result = unsafe { (self.session.driver.to_host)(target, self.address, bytes) };
        check("cuMemcpyDtoH", result)?;
        Ok(values)
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        unsafe { (self.session.driver.mem_free)(self.address) };
    }
}
