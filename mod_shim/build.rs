//! Compiles the module's C against the installed httpd and turns `c/shim.h` into Rust.
//!
//! The C objects go to the linker as arguments of the cdylib alone: the rlib, and with it the unit
//! tests, links without httpd's symbols.

use std::{env, error::Error, path::PathBuf, process::Command};

const SOURCES: &[&str] = &[
    "module",
    "config",
    "directives",
    "options",
    "route",
    "alias",
    "scripts",
    "handler",
    "hooks",
    "lookup",
    "environ",
    "proxies",
    "body",
    "reply",
    "startup",
    "schedule",
    "stay",
    "restart",
    "dump",
    "rust",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=c");
    println!("cargo:rerun-if-env-changed=APXS");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    bindings(&out)?;
    for object in objects()? {
        println!("cargo:rustc-link-arg-cdylib={}", object.display());
    }
    // An older cargo (1.85) gives the unit tests the same arguments: they never call httpd and may miss it.
    println!("cargo:rustc-link-arg-cdylib=-Wl,--unresolved-symbols=ignore-all");
    Ok(())
}

fn bindings(out: &std::path::Path) -> Result<(), Box<dyn Error>> {
    bindgen::Builder::default()
        .header("c/shim.h")
        .allowlist_file(".*shim\\.h")
        .ignore_functions()
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .generate()?
        .write_to_file(out.join("shim.rs"))?;
    Ok(())
}

fn objects() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let apxs = apxs()?;
    let mut build = cc::Build::new();
    build.std("gnu11").flag("-Wno-unused-parameter").flag("-fvisibility=hidden").warnings(true);
    for flag in query(&apxs, "EXTRA_CPPFLAGS")?.split_whitespace() {
        build.flag(flag);
    }
    for directory in ["INCLUDEDIR", "APR_INCLUDEDIR", "APU_INCLUDEDIR"] {
        build.include(query(&apxs, directory)?);
    }
    Ok(build.files(SOURCES.iter().map(|name| format!("c/{name}.c"))).try_compile_intermediates()?)
}

/// Debian calls it apxs or apxs2, Fedora apxs in /usr/bin; `APXS` names another.
fn apxs() -> Result<String, Box<dyn Error>> {
    let named = env::var("APXS").ok();
    let candidates =
        named.iter().map(String::as_str).chain(["apxs", "apxs2", "/usr/bin/apxs", "/usr/sbin/apxs"]);
    for candidate in candidates {
        if query(candidate, "INCLUDEDIR").is_ok() {
            return Ok(candidate.to_string());
        }
    }
    Err("apxs not found: install apache2-dev (Debian) or httpd-devel (Fedora, RHEL), or set APXS".into())
}

fn query(apxs: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let output = Command::new(apxs).args(["-q", name]).output()?;
    if !output.status.success() {
        return Err(format!("{apxs} -q {name}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}
