//! Loading compiled code from a file by mapping it. The one place of this crate that needs `unsafe`.
#![allow(unsafe_code, reason = "compiled code is trusted; the proof is at the call")]

use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Maps a file of compiled code.
///
/// Callers: `cache.rs` alone, after it has verified the file as its own.
pub(crate) fn component(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file must be the unmodified output of `Engine::precompile_component`, and stay so while it is mapped.
    // The only caller passes files of the cache's directory, which it has checked to belong to this user and to be
    // writable by nobody else; the file's SHA-256 was compared with the one that was written beside it when our own
    // compiler process made it; files there are never written in place, only renamed into place and removed. Wasmtime
    // itself checks the version and the settings that the code was compiled with.
    unsafe { Component::deserialize_file(engine, path) }
}
