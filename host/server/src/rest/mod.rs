//! One file per resource; each has its routes in `routes()`.

pub(crate) mod connector_plugins;
pub(crate) mod connectors;
pub(crate) mod offsets;
pub(crate) mod plugins;
pub(crate) mod root;
