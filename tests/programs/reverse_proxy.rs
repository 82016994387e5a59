//! The example `reverse_proxy`: a gateway made of the layer.

mod proxying;
mod upstream;
mod world;
