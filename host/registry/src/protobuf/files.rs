//! From the texts of `.proto` files to descriptors. Nothing is read from the disk.

use prost_reflect::{DescriptorPool, FileDescriptor};
use protox::file::{File, FileResolver, GoogleFileResolver};

/// Files that a registry need not have, because everybody's library brings them.
const KNOWN: [(&str, &str); 4] = [
    ("confluent/meta.proto", include_str!("known/confluent/meta.proto")),
    ("confluent/type/decimal.proto", include_str!("known/confluent/type/decimal.proto")),
    ("google/type/date.proto", include_str!("known/google/type/date.proto")),
    ("google/type/timeofday.proto", include_str!("known/google/type/timeofday.proto")),
];

/// The name of a file that has none: no import can have it.
const MAIN: &str = "(schema).proto";

struct Texts {
    main: String,
    references: Vec<(String, String)>,
    google: GoogleFileResolver,
}

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == MAIN {
            return File::from_source(MAIN, &self.main);
        }
        if let Some((_, text)) = self.references.iter().find(|(own, _)| own == name) {
            return File::from_source(name, text);
        }
        match KNOWN.iter().find(|(own, _)| *own == name) {
            Some((_, text)) => File::from_source(name, text),
            None => self.google.open_file(name),
        }
    }
}

/// The descriptor of a file.
pub(super) fn compile(text: &str, references: &[(String, String)]) -> Result<FileDescriptor, String> {
    let told = |error: protox::Error| {
        let place = error.file().map(|file| format!("{file}: ")).unwrap_or_default();
        format!("not a .proto file: {place}{error}")
    };
    let texts = Texts { main: text.to_owned(), references: references.to_vec(), google: GoogleFileResolver::new() };
    let mut compiler = protox::Compiler::with_file_resolver(texts);
    compiler.open_file(MAIN).map_err(told)?;
    let pool: DescriptorPool = compiler.descriptor_pool();
    pool.get_file_by_name(MAIN).ok_or_else(|| "not a .proto file".to_owned())
}

/// A text as the descriptors that are made of it, for whoever compares readers.
pub fn pool(text: &str) -> Result<DescriptorPool, String> {
    Ok(compile(text, &[])?.parent_pool().clone())
}
