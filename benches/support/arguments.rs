//! What a benchmark is told.

/// The number behind an argument of that name, or the usual one.
pub(crate) fn argument(name: &str, usual: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    let number = arguments.next().map(|number| number.replace('_', "").parse());
    number.map_or(usual, |number| number.expect("a number"))
}
