//! `native/libsqlite3.a`, SQLite for components, is what zig's C compiler makes of the sources in the crate
//! `libsqlite3-sys`, byte for byte. `UPDATE_EXPECT=1 cargo test -p tidegate-plugin-sqlite --test library` makes it anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use tidegate_sdk::serde_json::Value;

const ZIG: &str = "0.17.1";

/// What SQLite is made with. The sandbox has one thread, no shared memory, no libraries to load and no directories to
/// keep temporary files in; the host makes the names of journals durable.
const DEFINES: &[&str] = &[
    "SQLITE_THREADSAFE=0",
    "SQLITE_OMIT_LOAD_EXTENSION",
    "SQLITE_OMIT_WAL",
    "SQLITE_OMIT_SHARED_CACHE",
    "SQLITE_OMIT_DEPRECATED",
    "SQLITE_MAX_MMAP_SIZE=0",
    "SQLITE_TEMP_STORE=3",
    "SQLITE_DISABLE_DIRSYNC=1",
    "SQLITE_DQS=0",
    "SQLITE_USE_URI=0",
    "USE_PREAD=1",
    "HAVE_USLEEP=1",
];

/// SQLite seeds its random numbers from `/dev/urandom`, which a sandbox does not have; WASI has a call for it.
const SEED: &str = "  randomnessPid = osGetpid(0);\n#if !defined(SQLITE_TEST)";
const SEED_BY_WASI: &str = "  randomnessPid = osGetpid(0);
  if( nBuf<=256 && getentropy(zBuf, nBuf)==0 ) return nBuf;
#if !defined(SQLITE_TEST)";

#[test]
fn the_library_is_what_its_sources_make() {
    let Some(zig) = python_with_zig() else {
        let message = format!("skipped: zig {ZIG} is not installed (pip install ziglang=={ZIG})");
        assert!(env::var_os("TIDEGATE_REQUIRE_ALL").is_none(), "{message}");
        eprintln!("{message}");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let source = fs::read_to_string(sources().join("sqlite3.c")).unwrap();
    assert_eq!(source.matches(SEED).count(), 1, "the place where SQLite seeds its random numbers has moved");
    fs::write(directory.path().join("sqlite3.c"), source.replace(SEED, SEED_BY_WASI)).unwrap();
    let run = |arguments: &[&str]| {
        let mut zig = Command::new(zig);
        zig.args(["-m", "ziglang"]).args(arguments).current_dir(directory.path());
        let done = zig.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let defines: Vec<String> = DEFINES.iter().map(|define| format!("-D{define}")).collect();
    let mut compile = vec!["cc", "--target=wasm32-wasi", "-Os", "-g0", "-c", "sqlite3.c", "-o", "sqlite3.o"];
    compile.extend(defines.iter().map(String::as_str));
    run(&compile);
    run(&["ar", "rcsD", "libsqlite3.a", "sqlite3.o"]);

    let made = fs::read(directory.path().join("libsqlite3.a")).unwrap();
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("native/libsqlite3.a");
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&library, made).unwrap();
        return;
    }
    assert!(made == fs::read(&library).unwrap(), "native/libsqlite3.a is not what its sources make: UPDATE_EXPECT=1");
}

/// The Python that has zig in the version that made the library.
fn python_with_zig() -> Option<&'static str> {
    ["python3", "python"].into_iter().find(|python| {
        let version = Command::new(python).args(["-m", "ziglang", "version"]).output();
        version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).trim() == ZIG)
    })
}

/// Where cargo keeps SQLite's sources.
fn sources() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "wasm32-wasip2"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let metadata: Value = tidegate_sdk::serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "libsqlite3-sys").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("sqlite3")
}
