//! The span of a decision, which continues the trace of its request
//! (W3C Trace Context).

use http::{HeaderMap, HeaderName};
use tracing::field::Empty;
use tracing::instrument::Instrumented;
use tracing::level_filters::LevelFilter;
use tracing::span::{Entered, EnteredSpan};
use tracing::{Instrument, Span};

use super::log::TARGET;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// That a request is being decided on, in a span if a subscriber wants one. Records
/// belong to it until this is dropped or left. It names the trace of the request and the
/// span that it came from, and nothing else.
#[derive(Debug)]
pub(crate) struct Deciding(
    /// Boxed, so that the usual request, which has none, moves one word.
    Option<Box<EnteredSpan>>,
);

impl Deciding {
    /// On a request with these headers. Where no subscriber wants a span, this is one
    /// comparison, and no header is looked for.
    #[inline(always)]
    pub(crate) fn on(headers: &HeaderMap) -> Self {
        if LevelFilter::current() < LevelFilter::DEBUG { Self(None) } else { Self::begin(headers) }
    }

    #[cold]
    fn begin(headers: &HeaderMap) -> Self {
        let span = tracing::debug_span!(
            target: TARGET, "decision", trace_id = Empty, parent_id = Empty
        );
        let Trace(span) = Trace::continuing(span, Parent::of(headers));
        Self(span.map(|span| Box::new(span.entered())))
    }

    /// Leaves the span, which is entered again when the decision goes on.
    #[inline]
    pub(crate) fn leave(self) -> Trace {
        Trace(self.0.map(|entered| Box::new(entered.exit())))
    }
}

/// The span of a decision that is not entered at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Option<Box<Span>>);

impl Trace {
    /// The same once a store has to be asked: that takes long enough for a span at
    /// `info`, so that an outage in the log names the traces that it hit.
    #[cold]
    pub(crate) fn while_asking(self, headers: &HeaderMap) -> Self {
        if self.0.is_some() || LevelFilter::current() < LevelFilter::INFO {
            return self;
        }
        let Some(parent) = Parent::of(headers) else { return self };
        let span = tracing::info_span!(
            target: TARGET, "decision", trace_id = Empty, parent_id = Empty
        );
        Self::continuing(span, Some(parent))
    }

    fn continuing(span: Span, parent: Option<Parent<'_>>) -> Self {
        if span.is_disabled() {
            return Self(None);
        }
        if let Some(Parent { trace_id, parent_id }) = parent {
            span.record("trace_id", trace_id).record("parent_id", parent_id);
        }
        Self(Some(Box::new(span)))
    }

    /// Until that is dropped, records belong to the decision.
    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.0.as_deref().map(Span::enter)
    }

    /// The future, with the records of it belonging to the decision.
    pub(crate) fn around<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.0.as_deref().cloned().unwrap_or_else(Span::none))
    }
}

/// What a valid `traceparent` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent<'h> {
    trace_id: &'h str,
    parent_id: &'h str,
}

impl<'h> Parent<'h> {
    /// By the one header of that name; several are none (section 3.2.1 of the Trace
    /// Context), as is one that is malformed.
    fn of(headers: &'h HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        Self::parse(line.to_str().ok()?)
    }

    /// Section 3.2.2: hexadecimal digits in lower case, identifiers that are not all
    /// zero, and in later versions than 00 perhaps something behind.
    fn parse(text: &'h str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let mut part = |length| {
            let part = parts.next()?;
            let hexadecimal = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            (part.len() == length && part.bytes().all(hexadecimal)).then_some(part)
        };
        let (version, trace_id, parent_id) = (part(2)?, part(32)?, part(16)?);
        part(2)?;
        let is_known = version == "00";
        let is_whole = version != "ff" && !(is_known && parts.next().is_some());
        let named = [trace_id, parent_id].iter().all(|id| id.bytes().any(|byte| byte != b'0'));
        (is_whole && named).then_some(Self { trace_id, parent_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn a_valid_traceparent_names_its_trace_and_its_parent() {
        for text in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-ff"),
            format!("cc-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-00-what-the-future-will-be-like"),
        ] {
            let parent = Parent { trace_id: TRACE, parent_id: PARENT };
            assert_eq!(Parent::parse(&text), Some(parent), "{text}");
        }
    }

    #[test]
    fn a_malformed_traceparent_names_nothing() {
        let (no_trace, no_parent) = ("0".repeat(32), "0".repeat(16));
        for text in [
            String::new(),
            "-".to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("cc-{TRACE}-{PARENT}-01.more"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{no_trace}-{PARENT}-01"),
            format!("00-{TRACE}-{no_parent}-01"),
            format!("00-{TRACE}-{PARENT}0-01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00_{TRACE}_{PARENT}_01"),
        ] {
            assert_eq!(Parent::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_repeated_traceparent_names_nothing() {
        let mut headers = HeaderMap::new();
        assert_eq!(Parent::of(&headers), None);
        let line = format!("00-{TRACE}-{PARENT}-01");
        headers.append(TRACEPARENT, line.parse().unwrap());
        assert!(Parent::of(&headers).is_some());
        headers.append(TRACEPARENT, line.parse().unwrap());
        assert_eq!(Parent::of(&headers), None);
    }
}
