//! build.rs: finds udm with pkg-config, and prints the lines that cargo reads. The Makefile here
//! reads the same lines, so the example also builds without cargo. No crates.
//!
//! SPDX-License-Identifier: Apache-2.0
use std::process::Command;

fn pkg_config(arguments: &[&str]) -> String {
    let output = Command::new("pkg-config")
        .args(arguments)
        .output()
        .expect("pkg-config cannot be run");
    if !output.status.success() {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).expect("pkg-config prints UTF-8")
}

fn main() {
    for flag in pkg_config(&["--libs", "udm >= 0.1"]).split_whitespace() {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={folder}");
        } else if let Some(name) = flag.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={name}");
        }
    }
    // so that the program finds the library where it was installed
    let folder = pkg_config(&["--variable=libdir", "udm"]);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.trim());
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
}
