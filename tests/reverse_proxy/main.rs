//! The example `reverse_proxy`: a gateway made of the layer.

#[path = "../support/example.rs"]
mod example;
mod proxying;
mod upstream;
mod world;
