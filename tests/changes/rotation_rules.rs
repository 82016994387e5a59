//! Every rule of a token's life, without a store: each guard in each state of an
//! account, each boundary in time, and the adversarial cases that are a matter
//! of the rules alone.

mod adversarial;
mod boundaries;
mod ending;
mod endings;
mod expiry;
mod imports;
mod lifetimes;
mod notices;
mod repetition;
mod sealing;
mod suspension;
mod table;
mod unused;
mod world;
