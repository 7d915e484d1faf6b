//! Text to model and back, with byte spans.

pub mod accept;
pub mod estate;
pub mod format;
pub mod lock;
pub mod node;
pub mod print;
mod read;
pub mod rule;
pub mod schema;
pub mod source;
pub mod yaml;
