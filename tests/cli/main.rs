//! The program as its users meet it: real processes, real files, real sockets.

mod arguments;
mod life;
mod program;
mod secrets;
mod transcript;
mod users;
