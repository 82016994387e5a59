//! What nodes that share a server must stand, written once for every kind of
//! server. A program that runs these scenarios has the modules `relay`,
//! `rotation` and `server` beside this one, and for every kind of server a test
//! that calls [`serve_if_told`].
//!
//! `tests/adversarial` lists the invariants I1 to I15, and says what D is.

#[path = "faults/answers.rs"]
mod answers;
#[path = "faults/child.rs"]
mod child;
#[path = "faults/engine.rs"]
mod engine;
#[path = "generated.rs"]
mod generated;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/listeners.rs"]
mod listeners;
#[path = "faults/loads.rs"]
mod loads;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/node.rs"]
mod node;
#[path = "faults/overload.rs"]
mod overload;
#[path = "faults/pending.rs"]
mod pending;
#[path = "faults/poll.rs"]
mod poll;
#[path = "faults/revocation.rs"]
mod revocation;
#[path = "secret.rs"]
mod secret;
#[path = "faults/start.rs"]
mod start;
#[path = "faults/suspension.rs"]
mod suspension;
#[path = "faults/world.rs"]
mod world;

pub(crate) use self::answers::answers_to_changes_are_lost;
pub(crate) use self::child::serve_if_told;
pub(crate) use self::engine::Engine;
pub(crate) use self::kills::the_server_is_killed_during_rotations;
pub(crate) use self::listeners::listeners_are_ended;
pub(crate) use self::loads::a_load_is_overtaken_by_a_revocation;
pub(crate) use self::network::{a_client_rotates_over_a_broken_network, networks_break};
pub(crate) use self::node::{BOUND, Node};
pub(crate) use self::overload::the_server_hangs_under_load;
pub(crate) use self::pending::a_pending_token_is_polled;
pub(crate) use self::start::a_node_starts_without_its_feed;
pub(crate) use self::suspension::nodes_are_suspended;
