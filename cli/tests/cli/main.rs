//! The program as its users meet it: real processes, real files, real sockets.

#[path = "../../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod postgres;
#[path = "../../../tests/support/redis.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod redis;
#[path = "../../../tests/support/server.rs"]
mod server;

mod access;
mod arguments;
mod backup;
mod check;
mod configuration;
mod connections;
mod endpoint;
mod expiry;
mod grpc;
mod health;
mod holder;
mod http2;
mod import;
mod installed;
mod life;
mod operating;
mod outage;
mod portal;
mod program;
mod redis_tls;
mod reload;
mod replaced;
#[path = "../../../tests/support/replaced_file.rs"]
mod replaced_file;
mod secrets;
mod serving;
mod sharing;
mod signals;
mod sockets;
mod store_kinds;
mod systemd;
mod terminal;
mod tls;
mod transcript;
mod users;
mod webhook;
