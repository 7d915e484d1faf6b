//! Text to model and back, with byte spans.
