//! The plugins in the box, as components: `build.rs` compiles every folder of `plugins/` and this crate embeds the bytes.
//!
//! The rest of the host sees bytes and nothing else: it publishes, pins and runs them like any uploaded plugin.

/// A component that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// The name of its folder in `plugins/`.
    pub name: &'static str,
    /// The component. The same sources give the same bytes, whatever the machine.
    pub bytes: &'static [u8],
}

/// All of them, by name.
pub fn components() -> &'static [Bundled] {
    include!(concat!(env!("OUT_DIR"), "/components.rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `\0asm`, version 13, layer 1: a component, not a module.
    const COMPONENT_MAGIC: &[u8] = &[0x00, 0x61, 0x73, 0x6D, 0x0D, 0x00, 0x01, 0x00];

    #[test]
    fn every_folder_of_plugins_is_there_as_a_component() {
        let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins");
        let mut folders: Vec<String> = std::fs::read_dir(plugins)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("Cargo.toml").exists())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        folders.sort();
        let names: Vec<&str> = components().iter().map(|component| component.name).collect();
        assert_eq!(names, folders);
        for component in components() {
            assert!(component.bytes.starts_with(COMPONENT_MAGIC), "{} is not a component", component.name);
        }
    }

    #[test]
    fn no_component_names_a_path_of_the_machine_it_was_built_on() {
        // Where this checkout lies; the components were built from the same one.
        let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let root = checkout.strip_suffix("host/bundled/").unwrap().as_bytes();
        for component in components() {
            let found = component.bytes.windows(root.len()).any(|window| window == root);
            assert!(!found, "{} names the checkout's path", component.name);
        }
    }
}
