//! What a code generator makes of this description, written by hand so that the
//! example needs no `protoc`:
//!
//! ```proto
//! service Greeter {
//!   rpc Greet(GreetRequest) returns (GreetReply);
//!   rpc Forget(GreetRequest) returns (GreetReply);
//! }
//! message GreetRequest { string name = 1; }
//! message GreetReply { string text = 1; }
//! ```

/// What to greet.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GreetRequest {
    /// A name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

/// The greeting.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GreetReply {
    /// One sentence.
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

/// The path of a method that greets.
pub(crate) const GREET: &str = "/example.Greeter/Greet";

/// The path of a method that not everybody may call.
pub(crate) const FORGET: &str = "/example.Greeter/Forget";
