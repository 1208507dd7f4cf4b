//! JSON texts: a validating scanner that indexes the top level of an object, the dictionary of names and shapes behind
//! it, and the reading and writing of strings.
//!
//! Nothing here builds a tree: whoever wants one reads a [`crate::Value`] from a text that the scanner has accepted.

pub mod scan;
pub mod shapes;
pub mod text;

pub use scan::{Kind, Root, ScanError, Scanner, Slot};
pub use shapes::{NameId, ShapeId, Shapes};
