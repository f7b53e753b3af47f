// The op add in Rust, in the arithmetics int8 and exact: the smallest library there can be, to show how another language
// than C speaks through troupe_kernel.h. Only what it uses is declared, up to the last field that it uses; bindgen makes
// the rest out of the header.
//
//     rustc -O --edition 2021 --crate-type cdylib -C panic=abort -C target-cpu=native -o add.so add.rs

use std::ffi::{c_char, c_int};

const ABI: u32 = 1;
const OK: c_int = 0;
const NO_KERNEL: c_int = 2;
const ADD: u32 = 8;
const REFERENCE: u32 = 2;

#[repr(C)]
pub struct Info {
    name: *const c_char,
    doc: *const c_char,
    version: *const c_char,
    needs: *const c_char,
    ops: *const u32,
    num_ops: u32,
    promise: u32,
    score: u32,
    wants_panels: u32,
}

#[repr(C)]
pub struct Call {
    op: u32,
    layer: i32,
    counts: [u32; 3],
    heads: [u32; 3],
    input: *const u8,
    output: *const u8,
    weights: *const u8,
    params: [f32; 4],
    rope: [*const f32; 2],
    positions: u64,
}

#[repr(C)]
pub struct Segment {
    arith: u32,
    num_calls: u32,
    calls: *const Call,
}

#[repr(C)]
pub struct Frame {
    bufs: *const *mut f32,
    buf_len: *const u64,
}

pub struct Kernel {
    slots: Vec<[usize; 3]>, // a, b, y of each call
}

#[no_mangle]
pub extern "C" fn troupe_abi() -> u32 {
    ABI
}

#[no_mangle]
pub unsafe extern "C" fn troupe_describe(info: *mut Info, _err: *mut c_char) -> c_int {
    static OPS: [u32; 1] = [ADD];
    *info = Info {
        name: c"add".as_ptr(),
        doc: c"add in Rust, an example".as_ptr(),
        version: c"1".as_ptr(),
        needs: std::ptr::null(),
        ops: OPS.as_ptr(),
        num_ops: 1,
        promise: 0, // the bits of kernels/ref: Rust fuses nothing
        score: 1,
        wants_panels: 0,
    };
    OK
}

/// A library has nothing to remember; the host wants an address that is not null.
#[no_mangle]
pub unsafe extern "C" fn troupe_open(_threads: *const u32, lib: *mut *mut u8, _err: *mut c_char) -> c_int {
    *lib = std::ptr::NonNull::dangling().as_ptr();
    OK
}

#[no_mangle]
pub unsafe extern "C" fn troupe_compile(_lib: *mut u8, segment: *const Segment, kernel: *mut *mut Kernel, _err: *mut c_char) -> c_int {
    let calls = std::slice::from_raw_parts((*segment).calls, (*segment).num_calls as usize);
    if (*segment).arith == REFERENCE || calls.iter().any(|c| c.op != ADD) {
        return NO_KERNEL;
    }
    let slots = calls.iter().map(|c| [*c.input as usize, *c.input.add(1) as usize, *c.output as usize]).collect();
    *kernel = Box::into_raw(Box::new(Kernel { slots }));
    OK
}

#[no_mangle]
pub unsafe extern "C" fn troupe_run(kernel: *mut Kernel, frame: *const Frame, _err: *mut c_char) -> c_int {
    for [a, b, y] in &(*kernel).slots {
        let n = *(*frame).buf_len.add(*y) as usize;
        let [a, b, y] = [*a, *b, *y].map(|slot| *(*frame).bufs.add(slot));
        for i in 0..n {
            *y.add(i) = *a.add(i) + *b.add(i); // y may be a or b
        }
    }
    OK
}

#[no_mangle]
pub unsafe extern "C" fn troupe_free(kernel: *mut Kernel) {
    drop(Box::from_raw(kernel));
}

#[no_mangle]
pub extern "C" fn troupe_close(_lib: *mut u8) {}
