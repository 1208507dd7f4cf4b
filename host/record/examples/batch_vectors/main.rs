//! Writes the vectors of the batch format to `tests/vectors/batch`:
//!
//! ```text
//! cargo run -p tidegate-record --example batch_vectors
//! ```
//!
//! The test `vectors` fails when the files are not what this writes.

mod dump;
mod vectors;

use std::fs;
use std::io;

fn main() -> io::Result<()> {
    let folder = vectors::folder();
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "bin" || extension == "json") {
            fs::remove_file(path)?;
        }
    }
    for vector in vectors::all() {
        fs::write(folder.join(format!("{}.bin", vector.name)), &vector.bytes)?;
        fs::write(folder.join(format!("{}.json", vector.name)), vector.to_json())?;
    }
    Ok(())
}
