//! What `wit-bindgen` generates from `wit/`: one world per kind of definition, so that a component exports only the kinds
//! it has. All of them share the types and imports of [`imports`]. Nothing outside this crate names these modules except
//! through [`export!`](crate::export).

/// The shared types and what the host offers.
pub mod imports {
    wit_bindgen::generate!({
        inline: "
            package tidegate:sdk;
            world imports {
                import tidegate:connect/types@0.1.0;
                import tidegate:connect/log@0.1.0;
                import tidegate:connect/metrics@0.1.0;
                import tidegate:connect/schemas@0.1.0;
                import tidegate:connect/offsets@0.1.0;
                import tidegate:connect/sink-context@0.1.0;
                import tidegate:connect/http@0.1.0;
                import tidegate:connect/net@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        // Else the whole world is encoded as exported by every plugin that links this crate.
        pub_export_macro: true,
    });
}

/// `describe`: every component.
pub mod plugin {
    wit_bindgen::generate!({
        inline: "package tidegate:sdk; world describing { export tidegate:connect/plugin@0.1.0; }",
        path: "../../wit",
        pub_export_macro: true,
    });
}

macro_rules! world_of_kind {
    ($(#[$doc:meta])* $module:ident, $world:literal) => {
        $(#[$doc])*
        pub mod $module {
            wit_bindgen::generate!({
                inline: $world,
                path: "../../wit",
                pub_export_macro: true,
                with: { "tidegate:connect/types@0.1.0": super::imports::tidegate::connect::types },
            });
        }
    };
}

world_of_kind! {
    /// Source connectors.
    source, "package tidegate:sdk; world sourcing { export tidegate:connect/source@0.1.0; }"
}
world_of_kind! {
    /// Sink connectors.
    sink, "package tidegate:sdk; world sinking { export tidegate:connect/sink@0.1.0; }"
}
world_of_kind! {
    /// Transforms.
    transform, "package tidegate:sdk; world transforming { export tidegate:connect/transform@0.1.0; }"
}
world_of_kind! {
    /// Predicates.
    predicate, "package tidegate:sdk; world testing { export tidegate:connect/predicate@0.1.0; }"
}
world_of_kind! {
    /// Converters and header converters.
    converter, "package tidegate:sdk; world converting { export tidegate:connect/converter@0.1.0; }"
}
