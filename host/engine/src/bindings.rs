//! What `bindgen!` makes of the contract in `wit/`, and nothing else.
//!
//! One world that exports every kind: a component is matched interface by interface (`plugin.rs`), so that it may be
//! several kinds at once and a missing interface is named instead of failing as a whole.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package tidegate:host;

        world everything {
            include tidegate:connect/source-plugin@0.1.0;
            include tidegate:connect/sink-plugin@0.1.0;
            include tidegate:connect/transform-plugin@0.1.0;
            include tidegate:connect/predicate-plugin@0.1.0;
            include tidegate:connect/converter-plugin@0.1.0;
        }
    ",
    imports: {
        "tidegate:connect/offsets@0.1.0": async,
        "tidegate:connect/http@0.1.0": async,
        "tidegate:connect/net@0.1.0": async | trappable,
    },
    exports: { default: async },
    with: { "tidegate:connect/net@0.1.0.connection": crate::host::net::Connection },
    additional_derives: [PartialEq],
});
