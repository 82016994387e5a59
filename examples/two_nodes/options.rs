//! What the example is told.

/// The arguments of one node.
pub(crate) struct Options {
    /// Where it serves.
    pub(crate) listen: String,
    /// Where the database is: `postgres://…` or `redis://…`.
    pub(crate) store: String,
    /// Whether this is the first start of the deployment.
    pub(crate) set_up: bool,
}

impl Options {
    pub(crate) fn from_arguments() -> Result<Self, String> {
        let mut options =
            Self { listen: "127.0.0.1:0".to_owned(), store: String::new(), set_up: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--listen" => options.listen = value()?,
                "--store" => options.store = value()?,
                "--set-up" => options.set_up = true,
                _ => return Err(format!("unknown option {name}: --listen, --store, --set-up")),
            }
        }
        Ok(options)
    }
}
